"""A whole-face swap of aligned crops as one graph: two encodes side by side, labels and styles, the decode.

8-bit pixels and labels of both faces in; 8-bit pixels, labels and holes out.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from e4s_engine import decode, encode, ops, regions, schema
from e4s_engine.align import CROP
from e4s_engine.config import ModelConfig
from e4s_engine.plan import Plan

from . import compose
from .graph import Numbering, described, part
from .launch import Launch, Operand, Packed, Program

SLOTS = (
    "source_pixels", "source_labels", "target_pixels", "target_labels", "source_styles", "target_styles",
    "styles", "labels", "holes", "picture",
)  # fmt: skip

ENCODED = ("pixels", "labels", "styles")  # the externals of an encode


@dataclasses.dataclass
class Swap:
    """The parts of the graph. sizes: bytes of the slots, in their order."""

    sizes: list[int]
    encodes: tuple[Program, Program]
    composition: list[Launch]
    decode: Program

    @property
    def programs(self) -> list[Program]:
        """Those that have weights."""
        return [*self.encodes, self.decode]

    def launches(self) -> list[Launch]:
        """All of them, in order."""
        first, second = (program.launches for program in self.encodes)
        return [*first, *second, *self.composition, *self.decode.launches]

    def packed(self) -> dict[Packed, None]:
        """Every weight they read."""
        return self.encodes[0].packed() | self.decode.packed()

    def parts(self, numbering: Numbering) -> list[dict[str, Any]]:
        """What the runtime takes."""
        slot = {name: i for i, name in enumerate(SLOTS)}
        first, second = (
            part(program, {i: slot[f"{whose}_{what}"] for i, what in enumerate(ENCODED)}, numbering)
            for whose, program in zip(("source", "target"), self.encodes, strict=True)
        )
        middle = {
            "blocks": [(size, i) for i, size in enumerate(self.sizes)],
            "launches": described(self.composition, numbering),
        }
        last = part(self.decode, {0: slot["styles"], 1: slot["labels"], 2: slot["picture"]}, numbering)
        return [first, second, middle, last]


def record(config: ModelConfig, precision: str, batch: int) -> Swap:
    """The graph of `batch` swaps."""
    encodes = (_encode(config, precision, batch), _encode(config, precision, batch))
    area, styles = regions.LABEL_SIZE**2, regions.COUNT * config.style_dim * 4
    pixels, picture = CROP * CROP * 3, config.size**2 * 3
    sizes = [pixels, area, pixels, area, styles, styles, styles, area, area, picture]
    composition = [
        compose.launch_labels(
            _slot("source_labels"), _slot("target_labels"), _slot("labels"), _slot("holes"), batch
        ),
        compose.launch_styles(
            _slot("source_styles"), _slot("target_styles"), _slot("styles"), batch, config.style_dim
        ),
    ]
    return Swap([size * batch for size in sizes], encodes, composition, _decode(config, precision, batch))


def _slot(name: str) -> Operand:
    return Operand(SLOTS.index(name), "f32" if name.endswith("styles") else "u8")


def _encode(config: ModelConfig, precision: str, batch: int) -> Program:
    plan = Plan(precision)
    pixels = plan.pixels(batch, CROP, CROP)
    labels = plan.labels(batch, regions.LABEL_SIZE, regions.LABEL_SIZE, regions.COUNT)
    weights = plan.weights(schema.tensors(config))
    plan.output(encode.encode_pixels(ops.record, pixels, labels, weights, config))
    return Program(plan)


def _decode(config: ModelConfig, precision: str, batch: int) -> Program:
    plan = Plan(precision)
    styles = plan.vectors(batch, regions.COUNT, config.style_dim)
    labels = plan.labels(batch, regions.LABEL_SIZE, regions.LABEL_SIZE, regions.COUNT)
    weights = plan.weights(schema.tensors(config))
    ops.record.to_uint8(decode.decode(ops.record, styles, labels, weights, config))
    return Program(plan)
