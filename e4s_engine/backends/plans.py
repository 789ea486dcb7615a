"""The networks recorded: the plans that every compiled backend runs."""

from __future__ import annotations

from e4s_engine import decode, encode, ops, parse, regions, schema
from e4s_engine.align import CROP
from e4s_engine.config import Config, ModelConfig
from e4s_engine.plan import Plan


def record_encode(config: ModelConfig, precision: str, batch: int, height: int, width: int) -> Plan:
    """The encoder: pixels and labels -> style vectors."""
    plan = Plan(precision)
    pixels = plan.pixels(batch, height, width)
    labels = plan.labels(batch, regions.LABEL_SIZE, regions.LABEL_SIZE, regions.COUNT)
    weights = plan.weights(schema.tensors(config))
    plan.output(encode.encode_pixels(ops.record, pixels, labels, weights, config))
    return plan


def record_decode(config: ModelConfig, precision: str, batch: int, whole: bool = False) -> Plan:
    """MLPs and generator: style vectors and labels -> pictures, in floats or (whole) in 8 bits."""
    plan = Plan(precision)
    styles = plan.vectors(batch, regions.COUNT, config.style_dim)
    labels = plan.labels(batch, regions.LABEL_SIZE, regions.LABEL_SIZE, regions.COUNT)
    weights = plan.weights(schema.tensors(config))
    picture = decode.decode(ops.record, styles, labels, weights, config)
    if whole:
        ops.record.to_uint8(picture)
    else:
        plan.output(picture)
    return plan


def record_parse(config: Config, precision: str, batch: int, height: int, width: int) -> Plan:
    """The parser: pixels -> classes."""
    plan = Plan(precision)
    pixels = plan.pixels(batch, height, width)
    parse.classes(ops.record, pixels, plan.weights(schema.tensors(config)))
    return plan


def published(
    config: ModelConfig, parser: Config | None, precision: str, parser_precision: str, batch: int = 1
) -> dict[str, Plan]:
    """What a swap of one aligned crop runs, by the backend's calls; times `batch`."""
    plans = {
        "encode": record_encode(config, precision, batch, CROP, CROP),
        "decode": record_decode(config, precision, batch),
    }
    if parser is not None:
        plans["parse"] = record_parse(parser, parser_precision, batch, CROP, CROP)
    return plans
