"""The flow around face-vid2vid: sizes, whose pose goes where, rounding; both backends give one picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from e4s_engine.backends import native
from e4s_engine.backends.reference import Reference
from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.facevid2vid.pose import Poses, read_poses
from e4s_engine.photo import shrink
from e4s_engine.pipeline import reenact as stage
from e4s_engine.testing.loaded import loaded
from e4s_engine.weights import random_model

CONFIG = FaceVid2VidConfig(
    points=5, depth=4, features=8, widest=24, levels=2, mixed=4, first=(8, 12, 16), width=16, out=8,
    middle=1, hidden=12, bins=66, pose=8, blocks=(1, 1, 1, 1),
)  # fmt: skip


def photo(seed: int) -> np.ndarray:
    side = shrink.SCALE * CONFIG.side
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def vectors(yaw: float, shift: float) -> np.ndarray:
    """Return what `head_pose` gives for a turned and moved head: all weight on the bins around the angle."""
    logits = np.full((3, 66), -50, np.float32)
    logits[0, round((yaw + 99) / 3)] = logits[1:, 33] = 50
    rest = np.array([shift, 0, 0, *[0.0] * 3 * CONFIG.points], np.float32)
    return np.concatenate([logits.reshape(-1), rest])[None, None]


class Network:
    """Stands for a backend: poses depend on the picture's brightness, the result is one grey."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[np.ndarray, ...]]] = []
        self.points = np.random.default_rng(0).normal(0, 0.3, (1, CONFIG.points, 3)).astype(np.float32)

    def __call__(self, kind: str, function: str, *arrays: np.ndarray) -> np.ndarray:
        assert kind == "facevid2vid" and arrays[0].shape == (1, CONFIG.side, CONFIG.side, 3)
        self.calls.append((function, arrays))
        if function == "head_pose":
            return vectors(30, 0.25) if arrays[0].mean() > 0.5 else vectors(0, 0)
        return self.points if function == "key_points" else np.full(arrays[0].shape, 0.4999, np.float32)


def test_the_sources_points_take_the_targets_pose() -> None:
    run = Network()
    dark, bright = np.zeros_like(photo(0)), np.full_like(photo(0), 255)
    picture = stage.reenact(dark, bright, run, CONFIG)
    assert [name for name, _ in run.calls] == ["head_pose", "head_pose", "key_points", "reenact"]
    assert (picture == 127).all() and picture.dtype == np.uint8  # truncated
    assert (run.calls[2][1][0] == 0).all()  # key points of the source alone
    shown, here, there = run.calls[3][1]
    assert (shown == 0).all()
    np.testing.assert_allclose(here, run.points, atol=1e-6)
    angle = 30 / 180 * 3.14
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    np.testing.assert_allclose(there, run.points @ turn.T + (0.25, 0, 0), atol=1e-5)


def test_the_turn_between_two_faces() -> None:
    def subject(*angles: float) -> stage.Subject:
        zeros = np.zeros((1, 3), np.float32)
        pose = Poses(np.array([angles], np.float32), zeros, np.zeros((1, 5, 3), np.float32))
        return stage.Subject(np.zeros((1, 1, 3), np.float32), pose)

    assert subject(10, 0, -5).turn(subject(4, 1, 6)) == 11


def test_angles_are_the_mean_of_their_bins() -> None:
    pose = read_poses(vectors(-42, 0.5), CONFIG)
    np.testing.assert_allclose(pose.angles, [[-42, 0, 0]], atol=1e-3)
    np.testing.assert_allclose(pose.translation, [[0.5, 0, 0]])


@pytest.mark.parametrize("seed", [1, 2])
def test_both_backends_draw_the_same_picture(seed: int) -> None:
    model = random_model(CONFIG, seed)
    pictures: list[Any] = []
    for backend in (Reference("cpu", "fp32"), native.Native("fp32")):
        run = loaded(backend, model).run
        pictures.append(stage.reenact(photo(seed), photo(seed + 10), run, CONFIG).astype(int))
    assert np.abs(pictures[0] - pictures[1]).mean() <= 0.5
