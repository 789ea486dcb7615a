"""Variants of a swap that the benchmark compares. Each runs one swap and times its stages."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import torch

from e4s_engine import ops
from e4s_engine.backends import Boxes, Floats
from e4s_engine.backends.native import Native
from e4s_engine.networks.rgi import decode, encode
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.ops.ops import Ops
from e4s_engine.options import SwapOptions
from e4s_engine.photo import align
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline import stages
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.pipeline import Pipeline
from e4s_engine.pipeline.portraits import Job, Part, WholeFace
from e4s_engine.regions import Labels
from e4s_engine.result import Face
from e4s_engine.testing.loaded import loaded
from e4s_engine.testing.portraits import portrait
from e4s_engine.weights import Model

Times = dict[str, float]

_AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class InTorch:
    """The RGI networks over an ops namespace: encodes one picture at a time on a CPU, a batch on a GPU."""

    def __init__(
        self, model: Model, form: Ops[torch.Tensor], precision: str, device: str, compiled: bool = False
    ) -> None:
        assert isinstance(model.config, ModelConfig)
        wrap: Callable[[Any], Any] = torch.compile if compiled else lambda function: function
        if compiled:
            # Every layer recompiles the layers' function; the default limit of 8 leaves most of them eager.
            torch._dynamo.config.recompile_limit = 64
        self._encode_pixels, self._style_codes = wrap(encode.encode_pixels), wrap(decode.style_codes)
        self._generate = wrap(decode.generate)
        self._config, self._form, self._device = model.config, form, device
        self._type = _AUTOCAST[precision]
        self._weights = {name: torch.from_numpy(t).to(device) for name, t in model.tensors.items()}

    def run(self, network: str, function: str, *arrays: Any) -> Floats:
        """See `Backend`. network: "rgi"; function: "encode" or "decode"."""
        assert network == "rgi"
        return self._encode(*arrays) if function == "encode" else self._decode(*arrays)

    def _in_torch(self, function: Callable[..., Any], *arrays: Any) -> Any:
        placed = [torch.as_tensor(array).to(self._device) for array in arrays]
        with (
            torch.inference_mode(),
            torch.autocast(self._device.partition(":")[0], self._type, enabled=self._type is not None),
        ):
            value = function(*placed)
        if self._device != "cpu":
            torch.cuda.synchronize()
        return value

    def _encode(self, pixels: Pixels, labels: Labels) -> Floats:
        def one(image: Any, mask: Any) -> Any:
            return self._encode_pixels(self._form, image, mask, self._weights, self._config)

        step = 1 if self._device == "cpu" else len(pixels)
        parts = [
            self._in_torch(one, pixels[i : i + step], labels[i : i + step])
            for i in range(0, len(pixels), step)
        ]
        return torch.cat(parts).float().cpu().numpy()

    def _decode(self, styles: Floats, labels: Labels) -> Floats:
        def whole(vectors: Any, mask: Any) -> Any:
            codes = self._style_codes(self._form, vectors, self._weights)
            return self._generate(self._form, codes, mask, self._weights, self._config)

        return self._in_torch(whole, styles, labels).float().permute(0, 2, 3, 1).cpu().numpy()


class Variant:
    """Variant of the networks under the product's own pipeline. picture: the last decoded picture."""

    swapper = None

    def __init__(self, networks: Any, size: int) -> None:
        self._networks, self.in_boxes = networks, isinstance(networks, Native)
        backend: Any = self  # as much of one as a swap needs
        self.pipeline = Pipeline(backend, None, None, size)
        self.picture: Any = None

    def run(self, network: str, function: str, *arrays: Any, boxes: Boxes | None = None) -> Floats:
        """See `Backend`."""
        parts = {} if boxes is None else {"boxes": boxes}
        out: Floats = self._networks.run(network, function, *arrays, **parts)
        if function == "decode":
            self.picture = out
        return out


def make(name: str, model: Model, device: str) -> Variant:
    """Create a variant by name: FORM_PRECISION, with form published, onepass, compiled (onepass), native."""
    form, _, precision = name.partition("_")
    assert isinstance(model.config, ModelConfig)
    if form == "native":
        return Variant(loaded(Native(precision), model), model.config.size)
    operations = ops.published if form == "published" else ops.reference
    networks = InTorch(model, operations, precision, device, compiled=form == "compiled")
    return Variant(networks, model.config.size)


def can_compile() -> bool:
    """Return whether torch.compile can find the C++ compiler it needs."""
    return any(shutil.which(name) for name in (os.environ.get("CXX") or "g++", "clang++"))


@functools.cache
def person(seed: int) -> Portrait:
    """Return a stand-in for an aligned photo with its labels."""
    image, labels = portrait(seed)
    return Portrait(f"portrait {seed}", align.whole(image), labels)


def swap(variant: Variant, count: int = 1, cached: Face | None = None, full: bool = False) -> Times:
    """Time whole-face swaps of portraits in one batch: seconds of every stage.

    full: flag that generates the whole face where the product generates only what is pasted.
    cached: source that is encoded already; else the first `count` portraits are the sources.
    """
    jobs = [Job(person(count + i), (Part(cached or person(i), ()),), WholeFace()) for i in range(count)]
    with stages.timed() as times:
        variant.pipeline.swap(jobs, SwapOptions(full_face=full))
    return times


def agreement(model: Model, parser: Model) -> Mapping[str, float]:
    """Compute the share of parser labels on which the native backend agrees with the fp32 reference."""
    from e4s_engine.backends.reference import Reference

    picture = portrait(0)[0][None]
    expected = loaded(Reference("cpu", "fp32"), parser).run("parser", "parse", picture)
    return {
        p: float((loaded(Native(p), parser).run("parser", "parse", picture) == expected).mean())
        for p in ("fp32", "bf16")
    }
