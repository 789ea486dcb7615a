"""The ways to run a swap that the benchmark compares. Each runs one swap and times its stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from e4s_engine import align, bench, blend, compose, decode, encode, ops
from e4s_engine.backends.native import Native
from e4s_engine.config import ModelConfig
from e4s_engine.pipeline import to_uint8
from e4s_engine.weights import Model

Floats = npt.NDArray[np.float32]
Times = dict[str, float]

_AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Variant(Protocol):
    """One way to run the networks. styles is None where it cannot be told from decode."""

    def encode(self, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Floats:
        """[N,1024,1024,3], [N,512,512] -> [N,12,D]."""

    def styles(self, vectors: Floats) -> Any:
        """[1,12,D] -> what `decode` takes."""

    def decode(self, codes: Any, labels: npt.NDArray[np.uint8]) -> Floats:
        """[1,S,S,3] of the codes in labels [1,512,512]."""


class InTorch:
    """The networks over an ops namespace, one picture at a time on the CPU, all at once on a GPU."""

    def __init__(self, model: Model, form: SimpleNamespace, precision: str, device: str) -> None:
        assert isinstance(model.config, ModelConfig)
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
            return encode.encode_pixels(self._form, image, mask, self._weights, self._config)

        step = 1 if self._device == "cpu" else len(pixels)
        parts = [
            self._run(one, pixels[i : i + step], labels[i : i + step]) for i in range(0, len(pixels), step)
        ]
        return torch.cat(parts).float().cpu().numpy()

    def styles(self, vectors: Floats) -> Any:
        return self._run(lambda x: decode.style_codes(self._form, x, self._weights), vectors)

    def decode(self, codes: Any, labels: npt.NDArray[np.uint8]) -> Floats:
        def generate(code: Any, mask: Any) -> Any:
            return decode.generate(self._form, code, mask, self._weights, self._config)

        return self._run(generate, codes, labels).float().permute(0, 2, 3, 1).cpu().numpy()


class Compiled:
    """The project's own runtime; its MLPs are part of the decode."""

    def __init__(self, model: Model, precision: str) -> None:
        self._native = Native(model, None, precision)

    def encode(self, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Floats:
        return self._native.encode(pixels, labels)

    def styles(self, vectors: Floats) -> Any:
        return vectors

    def decode(self, codes: Any, labels: npt.NDArray[np.uint8]) -> Floats:
        return self._native.decode(codes, labels)


def make(name: str, model: Model, device: str) -> Variant:
    """A variant by its name: FORM_PRECISION, the form published, onepass or native."""
    form, _, precision = name.partition("_")
    if form == "native":
        return Compiled(model, precision)
    return InTorch(model, {"published": ops.published, "onepass": ops.reference}[form], precision, device)


def swap(variant: Variant, cached: Floats | None = None) -> tuple[Floats, Times]:
    """One whole-face swap: the face [S,S,3] and the seconds of every stage.

    cached: the source's style vectors [12,D], where the source was encoded before.
    """
    (source, source_labels), (target, target_labels) = bench.portrait(0), bench.portrait(1)
    labels, holes = compose.whole_face_labels(source_labels, target_labels)
    pixels, masks = np.stack([source, target]), np.stack([source_labels, target_labels])
    first = 0 if cached is None else 1
    clock = _Clock()
    vectors = clock("encode", variant.encode, pixels[first:], masks[first:])
    giver, taker = (vectors[0] if cached is None else cached), vectors[-1]
    codes = clock("styles", variant.styles, compose.whole_face_styles(giver, taker)[None])
    face = clock("decode", variant.decode, codes, labels[None])[0]
    clock("blend", _blend, face, target, labels, holes)
    clock.times["total"] = sum(clock.times.values())
    return face, clock.times


def _blend(face: Floats, target: Any, labels: Any, holes: Any) -> Any:
    alpha = blend.alpha(compose.whole_face_foreground(labels, holes), "feather")
    return align.paste(align.Crop(target, target, None), to_uint8(face), alpha)


class _Clock:
    def __init__(self) -> None:
        self.times: Times = {}

    def __call__(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        value = function(*arguments)
        self.times[name] = time.perf_counter() - start
        return value


def psnr(found: Floats, expected: Floats) -> float:
    """Decibels over a range of 2, both clamped to [-1, 1]."""
    error = float(np.square(found.clip(-1, 1) - expected.clip(-1, 1)).mean())
    return float(10 * np.log10(4 / error)) if error else float("inf")


def agreement(model: Model, parser: Model) -> Mapping[str, float]:
    """The share of parser labels that the native backend leaves as the fp32 reference has them."""
    from e4s_engine.backends.reference import Reference

    picture = bench.portrait(0)[0][None]
    expected = Reference(model, parser, "cpu", "fp32").parse(picture)
    return {p: float((Native(model, parser, p).parse(picture) == expected).mean()) for p in ("fp32", "bf16")}
