"""Landmarks in a wrong order are noticed; faces that are turned are not."""

from __future__ import annotations

import numpy as np
import pytest
from api_tools import FIVE, WIDE, A, refused

from e4s_engine import synth
from e4s_engine.engine import Engine
from e4s_engine.errors import AlignmentError
from e4s_engine.faces import handedness

SIXTY_EIGHT = synth.render(synth.person(3), synth.scene(3), 128).landmarks


def turned(points, degrees):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (points - points.mean(0)) @ turn + points.mean(0)


@pytest.mark.parametrize("points", [FIVE, SIXTY_EIGHT], ids=["five", "68"])
@pytest.mark.parametrize("degrees", range(0, 360, 45))
def test_faces_may_be_turned_but_not_mirrored(points, degrees):
    face = turned(np.asarray(points, float), degrees)
    handedness.check(face, "landmarks")
    for wrong in (face[:, ::-1], face * [1, -1] + [0, 200], face * [-1, 1] + [200, 0]):
        with pytest.raises(AlignmentError, match="landmarks: these points are a mirror image of a face"):
            handedness.check(wrong, "landmarks")


def test_a_profile_is_not_judged():
    profile = np.array([[50, 40], [49, 40.5], [30, 55], [45, 70], [46, 71]], float)
    handedness.check(profile, "landmarks")
    handedness.check(profile[:, ::-1], "landmarks")


def test_every_way_in_checks_them(engine, tiny_weights):
    refused(
        AlignmentError,
        lambda: engine.crop(WIDE, landmarks=FIVE[:, ::-1]),
        "image landmarks: ",
        "mirror image",
    )
    refused(
        AlignmentError, lambda: engine.swap(A, WIDE, target_landmarks=FIVE[:, ::-1]), "target landmarks: "
    )
    with Engine(tiny_weights / "model.safetensors", landmarks=lambda _: [FIVE[:, ::-1]]) as swapped:
        refused(AlignmentError, lambda: swapped.crop(WIDE), "landmark model: ", "exchange x and y")
