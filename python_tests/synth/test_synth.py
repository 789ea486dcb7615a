"""Procedural portraits: reproducible, exact in labels and landmarks, separable by region."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from e4s_engine import regions as R
from e4s_engine import synth
from e4s_engine.synth import params as P
from e4s_engine.synth.people import person
from e4s_engine.synth.scenes import scene

BARE = P.Person(hair=P.Hair(style="crop"))


def inside(polygon, points):
    """Return which points [N, 2] lie in a polygon [M, 2] (even-odd rule)."""
    result = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        if y0 != y1:
            crossing = (points[:, 1] < y0) != (points[:, 1] < y1)
            result ^= crossing & (points[:, 0] < x0 + (points[:, 1] - y0) / (y1 - y0) * (x1 - x0))
    return result


def pixels(labels, region):
    """Return the centres x, y [N, 2] of a region's pixels."""
    return np.argwhere(labels == region)[:, ::-1] + 0.5


@pytest.mark.parametrize("size", [64, 128])
def test_shapes_types_and_values(size):
    picture = synth.render(synth.person(1), synth.scene(1), size, 1)
    assert picture.image.shape == (size, size, 3)
    assert picture.image.dtype == np.uint8
    assert picture.labels.shape == (size, size)
    assert picture.labels.dtype == np.uint8
    assert picture.labels.max() < R.COUNT
    assert picture.landmarks.shape == (68, 2)
    assert picture.landmarks.dtype == np.float32


def test_same_seed_same_picture():
    a, b = (synth.render(synth.person(7), synth.scene(8), 64, 2) for _ in range(2))
    for name in ("image", "labels", "landmarks"):
        assert np.array_equal(getattr(a, name), getattr(b, name))
    assert synth.person(7) == synth.person(7) != synth.person(9)


def test_a_picture_does_not_depend_on_its_batch():
    pairs = [(synth.person(i), synth.scene(i)) for i in (3, 4, 5)]
    batch = list(synth.render_many(pairs, 64, 1))
    alone = next(synth.render_many(pairs[1:2], 64, 1))
    spread = list(synth.render_many(pairs, 64, 1, workers=1))
    for i, picture in ((1, alone), (0, spread[0]), (2, spread[2])):
        assert np.array_equal(batch[i].image, picture.image)
        assert np.array_equal(batch[i].labels, picture.labels)


def test_main_regions_exist_in_all_of_many():
    for i in range(12):
        labels = synth.render(synth.person(i), replace(synth.scene(i), occluder=P.Occluder()), 64, 1).labels
        present = set(np.unique(labels))
        assert {R.LIPS, R.NOSE, R.SKIN, R.NECK, R.BACKGROUND} <= present
        assert R.EYES in present or R.GLASSES in present or synth.scene(i).expression.blink > 0.5
        assert 0.1 < (labels == R.SKIN).mean() < 0.55


def test_accessories_mouth_and_hand():
    dressed = replace(BARE, glasses=P.Glasses("round"), earrings=P.Earrings("hoop", 1.0))
    shown = P.Scene(expression=P.Expression(open=0.6), occluder=P.Occluder("hand"))
    labels = synth.render(dressed, shown, 128, 1).labels
    assert {R.GLASSES, R.EARRINGS, R.MOUTH, R.HAIR, R.EARS} <= set(np.unique(labels))
    without = synth.render(dressed, replace(shown, occluder=P.Occluder()), 128, 1).labels
    hidden = labels != without
    assert hidden.sum() > 50
    assert (labels[hidden] == R.BACKGROUND).all()


def test_ffhq_framing():
    for pose in (P.Pose(), P.Pose(yaw=30, pitch=-8), P.Pose(roll=20)):
        marks = synth.render(BARE, P.Scene(pose=pose), 64, 1).landmarks / 64
        left, right = marks[36:42].mean(0), marks[42:48].mean(0)
        middle, mouth = (left + right) / 2, (marks[48] + marks[54]) / 2
        x = right - left - (mouth - middle)[::-1] * [-1, 1]
        x = x / np.hypot(*x) * max(np.hypot(*(right - left)) * 2, np.hypot(*(mouth - middle)) * 1.8)
        assert np.allclose(x, [0.5, 0], atol=1e-3)
        assert np.allclose(middle + 0.1 * (mouth - middle), [0.5, 0.5], atol=1e-3)


@pytest.mark.parametrize("yaw", [-30.0, 0.0, 25.0])
def test_landmarks_fit_their_regions(yaw):
    shown = P.Scene(pose=P.Pose(yaw=yaw, pitch=4), expression=P.Expression(open=0.15))
    picture = synth.render(BARE, shown, 128, 2)
    marks, labels = picture.landmarks, picture.labels
    eyes = pixels(labels, R.EYES)
    covered = np.zeros(len(eyes), bool)
    for first in (36, 42):
        hull = marks[first : first + 6]
        covered |= inside(hull + 1.5 * np.sign(hull - hull.mean(0)), eyes)
    assert covered.mean() > 0.9
    outer = marks[48:60]
    lips = np.concatenate([pixels(labels, R.LIPS), pixels(labels, R.MOUTH)])
    assert inside(outer + 2.0 * np.sign(outer - outer.mean(0)), lips).mean() > 0.9
    column, row = marks[30].astype(int)
    assert labels[row, column] == R.NOSE
    column, row = marks[8].astype(int)
    assert labels[row - 4, column] == R.SKIN
    assert labels[row + 6, column] == R.NECK


def test_yaw_turns_the_nose():
    noses = [
        pixels(synth.render(BARE, P.Scene(pose=P.Pose(yaw=y)), 64, 1).labels, R.NOSE)[:, 0].mean()
        for y in (-30, 0, 30)
    ]
    assert noses[0] < noses[1] - 2 < noses[2] - 4


def test_a_mirrored_pose_mirrors_the_labels():
    person_ = replace(BARE, hair=P.Hair(style="bald"))
    right = synth.render(person_, P.Scene(pose=P.Pose(yaw=25)), 128, 1).labels
    left = synth.render(person_, P.Scene(pose=P.Pose(yaw=-25)), 128, 1).labels
    assert (right == left[:, ::-1]).mean() > 0.985


def test_combine_takes_nothing_or_everything():
    a, b = synth.person(1), synth.person(2)
    assert synth.combine(a, b, []) is a
    everything = synth.combine(a, b, "all")
    assert everything.frame is a
    assert replace(everything, frame=None) == b


@pytest.mark.parametrize(("region", "near"), [("eyes", 0.22), ("nose", 0.22), ("lips", 0.22), ("brows", 0.2)])
def test_combine_changes_only_what_is_near(region, near):
    a, b = (replace(p, glasses=P.Glasses()) for p in (person(11), person(24)))
    shown = replace(scene(3), occluder=P.Occluder())
    before = synth.render(a, shown, 64, 2)
    after = synth.render(synth.combine(a, b, [region]), shown, 64, 2)
    change = np.abs(before.image.astype(int) - after.image).max(-1)
    own = pixels(before.labels, R.region_ids(region)[0])
    everywhere = np.argwhere(np.ones((64, 64)))[:, ::-1] + 0.5
    distance = np.hypot(*(everywhere[:, None] - own[None]).transpose(2, 0, 1)).min(1).reshape(64, 64)
    assert change.max() > 20
    assert change[distance > 64 * near].max() <= 12


@pytest.mark.parametrize(("a", "b"), [(3, 40), (11, 24), (17, 5)])
def test_a_face_that_is_taken_leaves_hair_ears_and_background_where_they_were(a, b):
    """The skull stays the target's: broad faces on narrow heads, and the other way round."""
    target, source = person(a), person(b)
    widths = (0.92, 1.08) if a % 2 else (1.08, 0.92)
    target, source = (
        replace(p, face=replace(p.face, width=w), skull=w)
        for p, w in zip((target, source), widths, strict=True)
    )
    shown = replace(scene(a), occluder=P.Occluder())
    before, after = (synth.render(p, shown, 128, 2) for p in (target, synth.combine(target, source, R.FACE)))
    kept = [R.BACKGROUND, R.HAIR, R.EARS, R.GLASSES, R.EARRINGS]
    high = np.arange(128)[:, None] < before.landmarks[33, 1]  # above the nose: the jaw is the face's
    stays = np.isin(before.labels, kept) & high
    assert stays.mean() > 0.1
    assert (after.labels == before.labels)[stays].mean() > 0.98
    plain = stays & (before.labels != R.GLASSES)  # the new face shows through a lens
    change = np.abs(after.image.astype(int) - before.image)[plain]
    assert change.mean() < 5  # a steeper forehead lifts the hair over it a little


def test_combined_from_two_sources():
    a, b, c = synth.person(1), synth.person(2), synth.person(3)
    mixed = synth.combine(synth.combine(a, b, ["nose"]), c, ["lips", "mouth"])
    assert (mixed.nose, mixed.lips, mixed.teeth, mixed.eyes) == (b.nose, c.lips, c.teeth, a.eyes)
    assert mixed.frame is a


@pytest.mark.parametrize("style", P.HAIR_STYLES)
def test_every_hairstyle_renders(style):
    share = (synth.render(P.Person(hair=P.Hair(style)), P.Scene(), 64, 1).labels == R.HAIR).mean()
    assert share == 0 if style == "bald" else 0.03 < share < 0.6


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="size"):
        synth.render(BARE, P.Scene(), 4)
    with pytest.raises(ValueError, match="supersample"):
        synth.render(BARE, P.Scene(), 64, 0)
