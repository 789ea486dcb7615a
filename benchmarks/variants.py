"""Variants of a swap that the benchmark compares. Each runs one swap and times its stages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from e4s_engine import ops
from e4s_engine.backends.native import Native
from e4s_engine.cli import timing as bench
from e4s_engine.cli.timing import Floats, Times
from e4s_engine.networks.rgi import decode, encode
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.ops.ops import Ops
from e4s_engine.testing.loaded import loaded
from e4s_engine.testing.portraits import portrait
from e4s_engine.weights import Model

_AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Variant(Protocol):
    """One way to run the networks. `styles` may leave its work to `decode`."""

    def encode(self, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Floats:
        """Encode pictures [N,1024,1024,3] with labels [N,512,512] to style vectors [N,12,D]."""

    def styles(self, vectors: Floats) -> Any:
        """Convert style vectors [1,12,D] to the codes that `decode` takes."""

    def decode(self, codes: Any, labels: npt.NDArray[np.uint8]) -> Floats:
        """Decode codes with labels [1,512,512] to a picture [1,S,S,3]."""


class InTorch:
    """The networks over an ops namespace: encodes one picture at a time on a CPU, a batch on a GPU."""

    def __init__(
        self, model: Model, form: Ops[torch.Tensor], precision: str, device: str, compiled: bool = False
    ) -> None:
        assert isinstance(model.config, ModelConfig)
        wrap: Callable[[Any], Any] = torch.compile if compiled else lambda function: function
        if compiled:
            # Every layer recompiles the layers' function; the default limit of 8 leaves most of them eager.
            torch._dynamo.config.recompile_limit = 64
        self._encode, self._style_codes = wrap(encode.encode_pixels), wrap(decode.style_codes)
        self._generate = wrap(decode.generate)
        self._config, self._form, self._device = model.config, form, device
        self._type = _AUTOCAST[precision]
        self._weights = {name: torch.from_numpy(t).to(device) for name, t in model.tensors.items()}

    def _run(self, function: Callable[..., Any], *arrays: Any) -> Any:
        placed = [torch.as_tensor(array).to(self._device) for array in arrays]
        with (
            torch.inference_mode(),
            torch.autocast(self._device.partition(":")[0], self._type, enabled=self._type is not None),
        ):
            value = function(*placed)
        if self._device != "cpu":
            torch.cuda.synchronize()
        return value

    def encode(self, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Floats:
        def one(image: Any, mask: Any) -> Any:
            return self._encode(self._form, image, mask, self._weights, self._config)

        step = 1 if self._device == "cpu" else len(pixels)
        parts = [
            self._run(one, pixels[i : i + step], labels[i : i + step]) for i in range(0, len(pixels), step)
        ]
        return torch.cat(parts).float().cpu().numpy()

    def styles(self, vectors: Floats) -> Any:
        return self._run(lambda x: self._style_codes(self._form, x, self._weights), vectors)

    def decode(self, codes: Any, labels: npt.NDArray[np.uint8]) -> Floats:
        def generate(code: Any, mask: Any) -> Any:
            return self._generate(self._form, code, mask, self._weights, self._config)

        return self._run(generate, codes, labels).float().permute(0, 2, 3, 1).cpu().numpy()


class Own:
    """The project's own runtime, whose decode includes the MLPs."""

    def __init__(self, model: Model, precision: str) -> None:
        self._native = loaded(Native(precision), model)

    def encode(self, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Floats:
        return self._native.run("rgi", "encode", pixels, labels)

    def styles(self, vectors: Floats) -> Any:
        return vectors

    def decode(self, codes: Any, labels: npt.NDArray[np.uint8]) -> Floats:
        return self._native.run("rgi", "decode", codes, labels)


def make(name: str, model: Model, device: str) -> Variant:
    """Create a variant by name: FORM_PRECISION, with form published, onepass, compiled (onepass), native."""
    form, _, precision = name.partition("_")
    if form == "native":
        return Own(model, precision)
    operations = ops.published if form == "published" else ops.reference
    return InTorch(model, operations, precision, device, compiled=form == "compiled")


def can_compile() -> bool:
    """Return whether torch.compile can find the C++ compiler it needs."""
    return any(shutil.which(name) for name in (os.environ.get("CXX") or "g++", "clang++"))


def swap(variant: Variant, cached: Floats | None = None) -> tuple[Floats, Times]:
    """Run one whole-face swap with a variant: see `bench.one_swap`."""
    return bench.one_swap(variant.encode, variant.decode, variant.styles, cached)


def psnr(found: Floats, expected: Floats) -> float:
    """Return the PSNR in decibels over a range of 2, with both pictures clamped to [-1, 1]."""
    error = float(np.square(found.clip(-1, 1) - expected.clip(-1, 1)).mean())
    return float(10 * np.log10(4 / error)) if error else float("inf")


def agreement(model: Model, parser: Model) -> Mapping[str, float]:
    """Compute the share of parser labels on which the native backend agrees with the fp32 reference."""
    from e4s_engine.backends.reference import Reference

    picture = portrait(0)[0][None]
    expected = loaded(Reference("cpu", "fp32"), parser).run("parser", "parse", picture)
    return {
        p: float((loaded(Native(p), parser).run("parser", "parse", picture) == expected).mean())
        for p in ("fp32", "bf16")
    }
