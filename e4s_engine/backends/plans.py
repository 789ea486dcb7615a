"""The networks recorded: the plans that every compiled backend runs, and what such backends share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine import ops, regions
from e4s_engine.backends import Bytes, Floats
from e4s_engine.errors import BackendError
from e4s_engine.networks import schema
from e4s_engine.networks.bisenet import parse
from e4s_engine.networks.config import Config, ModelConfig, kind_of
from e4s_engine.networks.rgi import decode, encode
from e4s_engine.photo.align import CROP
from e4s_engine.plan import Array, Plan
from e4s_engine.plan.fuse import fuse
from e4s_engine.weights import Model
from e4s_engine.weights.tensorfile import TensorFile

Record = Callable[[int], Plan]  # the plan of a batch


def record_encode(config: ModelConfig, precision: str, batch: int, height: int, width: int) -> Plan:
    """The encoder: pixels and labels -> style vectors."""
    plan = Plan(precision)
    pixels = plan.pixels(batch, height, width)
    labels = plan.labels(batch, regions.LABEL_SIZE, regions.LABEL_SIZE, regions.COUNT)
    weights = plan.weights(schema.tensors(config), kind_of(config))
    plan.output(encode.encode_pixels(ops.record, pixels, labels, weights, config))
    return fuse(plan)


def record_decode(config: ModelConfig, precision: str, batch: int, whole: bool = False) -> Plan:
    """MLPs and generator: style vectors and labels -> pictures, in floats or (whole) in 8 bits."""
    plan = Plan(precision)
    styles = plan.vectors(batch, regions.COUNT, config.style_dim)
    labels = plan.labels(batch, regions.LABEL_SIZE, regions.LABEL_SIZE, regions.COUNT)
    weights = plan.weights(schema.tensors(config), kind_of(config))
    picture = decode.decode(ops.record, styles, labels, weights, config)
    if whole:
        ops.record.to_uint8(picture)
    else:
        plan.output(picture)
    return fuse(plan)


def record_parse(config: Config, precision: str, batch: int, height: int, width: int) -> Plan:
    """The parser: pixels -> classes."""
    plan = Plan(precision)
    pixels = plan.pixels(batch, height, width)
    parse.classes(ops.record, pixels, plan.weights(schema.tensors(config), kind_of(config)))
    return fuse(plan)


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


class Planned(ABC):
    """Encoder, generator and parser as recorded plans. A backend says how a plan is run."""

    def __init__(self, model: Model, parser: Model | None, precision: str, parser_precision: str) -> None:
        assert isinstance(model.config, ModelConfig)
        self.precision = precision
        self._parser_precision = parser_precision
        self._config = model.config
        self._parser_config = parser.config if parser else None
        owners = {"model": model, "parse": parser}
        self._files = {
            name: owner.tensors
            for name, owner in owners.items()
            if owner and isinstance(owner.tensors, TensorFile)
        }

    def invert(self, pictures: Bytes, labels: Bytes, styles: Floats, steps: int, rate: float) -> Floats:
        """Raises BackendError: a recorded plan has no gradients."""
        raise BackendError(
            "backend: inversion descends gradients, which compiled plans do not have; make the engine with "
            "Engine(..., backend='reference') (PyTorch)"
        )

    def encode(self, images: Bytes, labels: Bytes) -> Floats:
        """Aligned crops [N,1024,1024,3] and labels [N,512,512] -> style vectors [N,12,D]."""
        height, width = images.shape[1:3]

        def record(batch: int) -> Plan:
            return record_encode(self._config, self.precision, batch, height, width)

        styles = np.empty((len(images), regions.COUNT, self._config.style_dim), np.float32)
        self._run("encode", (height, width), record, [images, labels], styles)
        return styles

    def decode(self, styles: Floats, labels: Bytes) -> Floats:
        """Style vectors [N,12,D] and labels [N,512,512] -> images [N,S,S,3], unclamped."""

        def record(batch: int) -> Plan:
            return record_decode(self._config, self.precision, batch)

        pictures = np.empty((len(styles), self._config.size, self._config.size, 3), np.float32)
        self._run("decode", (), record, [np.asarray(styles, np.float32), labels], pictures)
        return pictures

    def parse(self, images: Bytes) -> Bytes:
        """Pictures [N,1024,1024,3] or [N,512,512,3] -> the parser's own classes [N,512,512]."""
        config = self._parser_config
        assert config is not None, "the engine asks for labels when there is no parser"
        height, width = images.shape[1:3]

        def record(batch: int) -> Plan:
            return record_parse(config, self._parser_precision, batch, height, width)

        classes = np.empty((len(images), parse.SIDE, parse.SIDE), np.uint8)
        self._run("parse", (height, width), record, [images], classes)
        return classes

    @abstractmethod
    def _run(
        self,
        kind: str,
        size: tuple[int, ...],
        record: Record,
        inputs: list[npt.NDArray[Any]],
        out: npt.NDArray[Any],
    ) -> None:
        """Run a network over inputs [N,...] into out [N,...], a few pictures at a time."""

    def _published_plans(self, batch: int = 1) -> dict[str, Plan]:
        return published(self._config, self._parser_config, self.precision, self._parser_precision, batch)

    @staticmethod
    def _arrays_of(name: str, model: Model, parser: Model | None) -> Mapping[str, Array]:
        """Return the arrays that the weights of a published plan are made of."""
        owner = parser if name == "parse" else model
        assert owner is not None
        return owner.tensors

    def _kept_arrays(self, name: str) -> Mapping[str, Array]:
        """Return the tensors that a network's weights may still be made of; empty where none were kept."""
        return self._files.get("parse" if name == "parse" else "model", {})


def unpacked(error: KeyError) -> BackendError:
    """Return the error for a tensor that is to be packed once more, in another form, and was not kept."""
    return BackendError(
        f"weights: {error} is needed in another form at this picture size, and official files are not kept "
        "in memory; convert it (`e4s convert OFFICIAL OUT.safetensors`) and load the result"
    )


def slices(count: int, most: int) -> Iterator[slice]:
    """A batch in parts of so many at most."""
    for start in range(0, count, most):
        yield slice(start, min(start + most, count))
