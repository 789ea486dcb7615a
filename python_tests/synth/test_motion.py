"""Films: flow leads every point to where it is in the next frame, as pictures and labels show."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from e4s_engine import synth
from e4s_engine.synth import motion


@pytest.fixture(scope="module")
def shots():
    moments = motion.scenes(7, 3, speed=3.0)
    return list(motion.film(synth.person(7), moments, 96, supersample=3))


def moved(shot):
    """Return the rows and columns of the next frame to which a frame's pixels move."""
    rows, columns = np.indices(shot.valid.shape)
    across, down = np.moveaxis(np.rint(shot.flow), -1, 0).astype(int)
    limit = len(rows) - 1
    return (rows + down).clip(0, limit), (columns + across).clip(0, limit)


def test_labels_and_pictures_follow_the_flow(shots):
    for shot, later in pairwise(shots):
        to = moved(shot)
        assert shot.valid.mean() > 0.9 and np.abs(shot.flow).max() > 1
        assert (later.picture.labels[to] == shot.picture.labels)[shot.valid].mean() > 0.96
        still = np.abs(later.picture.image.astype(int) - shot.picture.image)[shot.valid].mean()
        followed = np.abs(later.picture.image[to].astype(int) - shot.picture.image)[shot.valid].mean()
        assert followed < 0.75 * still


def test_landmarks_move_with_the_flow(shots):
    shot, later = shots[:2]
    nose = slice(27, 36)
    for point, target in zip(shot.picture.landmarks[nose], later.picture.landmarks[nose], strict=True):
        column, row = np.floor(point).astype(int)
        np.testing.assert_allclose(shot.flow[row, column], target - point, atol=0.6)


def test_a_film_ends_without_flow_and_its_face_is_inside(shots):
    assert not shots[-1].valid.any() and not shots[-1].flow.any()
    points = np.stack([shot.picture.landmarks for shot in shots])
    assert points.min() > 0 and points.max() < 96
