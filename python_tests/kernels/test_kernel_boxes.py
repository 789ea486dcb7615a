"""Decodes of a part of the picture: the same bits inside as those of the whole; nothing else is read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from cases import make_labels
from kernel_tools import interpret, run
from native_tools import SMALL

from e4s_engine import regions, weights
from e4s_engine.backends.plans import record
from e4s_engine.kernels import module
from e4s_engine.kernels.launch import Operand
from e4s_engine.networks.rgi.decode import decode_pixels
from e4s_engine.networks.rgi.network import RGI
from e4s_engine.photo import blend
from e4s_engine.photo.boxes import bounds

CONFIG = dataclasses.replace(SMALL, size=128, channels=(16, 16, 16, 16, 16, 8), latents=12, injected=8)
SCALE = 1024 // CONFIG.size


@pytest.fixture(scope="module")
def decoder():
    """Return a function from a box in pixels of the crop, or None for the whole, to two pictures."""
    model = weights.random_model(CONFIG)
    function = dataclasses.replace(RGI.functions["decode"], call=decode_pixels)
    shapes = [(2, *shape) for shape in function.examples(CONFIG)]
    rng = np.random.default_rng(5)
    inputs = [
        rng.standard_normal(shapes[0]).astype(np.float32),
        make_labels("bands", 2, regions.LABEL_SIZE, rng),
    ]

    def decode(boxes: np.ndarray | None) -> np.ndarray:
        return run(record(CONFIG, function, "fp32", shapes), inputs, model.tensors, box=boxes)

    return decode


BOXES = np.array([(301, 422, 498, 640), (0, 0, 130, 1024)])


def test_the_pixels_of_a_box_are_those_of_the_whole(decoder, monkeypatch) -> None:
    """Memory is NaN before: whatever reads a pixel that was not computed shows it.

    The layers from 64 x 64 on: a spread map, a plain one, a transposed convolution with its FIR, and patches.
    """
    sizes = {"tiles": ("FILL", 8), "to_rgb": ("PIXELS", 256), "patches": ("PHASES", 0)}
    for name, (what, size) in sizes.items():
        monkeypatch.setattr(module(name), what, size)
    for what, size in (("BLOCK", 2048), ("PIXELS", 512), ("LEAST", 4096)):
        monkeypatch.setattr(module("spread"), what, size)
    whole, part = decoder(None), decoder(BOXES)
    for one, other, (top, left, bottom, right) in zip(whole, part, BOXES, strict=True):
        window = np.s_[top // SCALE : -(-bottom // SCALE), left // SCALE : -(-right // SCALE)]
        np.testing.assert_array_equal(other[window], one[window])
        assert (other == 0xFF).mean() > 0.3  # poisoned memory: nothing was written there


def test_the_box_of_a_foreground() -> None:
    """It holds every pixel with an opacity and few more; nothing is empty, and a wide reach takes all."""
    shown = np.zeros((5, 512, 512), np.uint8)
    shown[0, 100:140, 230:300] = shown[1, :9, 500:] = shown[3, 100:140, 230:300] = 1
    shown[4, 100:140, 230:300] = 1
    reach = np.array([0, 0, 0, 1024, 30], np.int32)
    launch = module("box").launch_bounds(Operand(0, "u8"), Operand(1, "i32"), Operand(2, "i32"), len(shown))
    boxes = interpret(launch, [shown, reach], [shown.size, reach.nbytes, 16 * len(shown)])[2]
    found = boxes.view(np.int32).reshape(-1, 4)
    for one, box in zip(shown[:2] > 0, found, strict=False):
        tight = bounds(blend.alpha(one, "feather") > 0)
        assert tight is not None
        assert all(t >= f for t, f in zip(tight[:2], box[:2], strict=True))
        assert all(t <= f for t, f in zip(tight[2:], box[2:], strict=True))
        assert np.abs(np.array(tight) - box).max() <= 8
    assert found[2].tolist() == [0] * 4 and found[3].tolist() == [0, 0, 1024, 1024]
    np.testing.assert_array_equal(found[4] - found[0], [-30, -30, 30, 30])
