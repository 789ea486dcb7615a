"""Labels painted by hand over those that a swap composes: what changes, what stays, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from api_tools import LABELS, A, B

from e4s_engine import regions
from e4s_engine.errors import ArgumentError, LabelsError
from e4s_engine.photo import blend
from e4s_engine.pipeline.generate import to_uint8

NOSE = (slice(250, 300), slice(240, 280))


def layer(*strokes):
    painted = np.full((512, 512), regions.UNPAINTED, np.uint8)
    for place, region in strokes:
        painted[place] = region
    return painted


@pytest.fixture(scope="module")
def me(engine):
    return engine.encode(A, LABELS, keep_photo=True)


def test_the_face_follows_where_it_was_painted_and_nowhere_else(engine, me):
    result = engine.swap(me, me, [], painted=layer((NOSE, regions.LIPS)))
    wanted = LABELS.copy()
    wanted[NOSE] = regions.LIPS
    assert np.array_equal(result.labels, wanted)
    assert result.faces[0].regions == ("lips",)
    # Lips and nose as a whole, as one grew at the other's expense, and what the feather reaches.
    parts = np.isin(LABELS, (regions.LIPS, regions.NOSE)) | (wanted == regions.LIPS)
    rows = np.arange(len(A)) * 512 // len(A)
    reached = blend.grown(parts, 16)[rows[:, None], rows]
    assert result.changed.any() and not (result.changed & ~reached).any()
    assert np.array_equal(result.image[~result.changed], me.crop.photo[~result.changed])
    decoded = engine.decode(me.styles, wanted)
    assert np.array_equal(result.face, to_uint8(decoded))


def test_paint_lies_over_a_swap(engine, me):
    source = engine.encode(B, LABELS)
    plain = engine.swap(source, me, ["eyes"])
    painted = engine.swap(source, me, ["eyes"], painted=layer((NOSE, regions.NOSE)))
    inside = layer((NOSE, 0)) == 0
    assert np.array_equal(painted.labels, np.where(inside, regions.NOSE, plain.labels))
    assert painted.faces[0].regions == ("eyes", "nose")
    whole = engine.swap(source, me, painted=layer((NOSE, regions.HAIR)))
    assert whole.faces[0].regions is None and (whole.labels[NOSE] == regions.HAIR).all()


def test_nothing_painted_changes_nothing(engine, me):
    assert np.array_equal(engine.swap(me, me, [], painted=layer()).image, me.crop.photo)
    source = engine.encode(B, LABELS)
    plain = engine.swap(source, me, ["nose"])
    same = engine.swap(source, me, ["nose"], painted=np.full((64, 64), 255))
    assert np.array_equal(plain.image, same.image) and same.faces[0].regions == ("nose",)


def test_texture_that_the_target_lacks_comes_from_a_source_that_has_it(engine, me):
    glasses = layer((NOSE, regions.GLASSES))
    with pytest.raises(LabelsError, match=r"painted: glasses \(10\) is painted, but neither target nor"):
        engine.swap(me, me, [], painted=glasses)
    labels = LABELS.copy()
    labels[:40] = regions.GLASSES
    source = engine.encode(B, labels)
    result = engine.swap(source, me, [], painted=glasses, relight=False, full_face=True)
    styles = me.styles.copy()
    styles[regions.GLASSES] = source.styles[regions.GLASSES]
    decoded = engine.decode(styles, result.labels)
    assert np.array_equal(result.face, to_uint8(decoded))


def test_what_is_painted_with_own_texture_takes_the_photo_s_colours(engine):
    """A face of one colour stays so, whatever the model draws; `match="none"` leaves the model's colours."""
    grey = np.full((96, 96, 3), (150, 120, 100), np.uint8)
    mine = engine.encode(grey, LABELS, keep_photo=True)
    stroke = layer((NOSE, regions.SKIN))
    matched, plain = (engine.swap(mine, mine, [], painted=stroke, match=mode) for mode in ("auto", "none"))
    off = [np.abs(r.image[r.changed].mean(0) - grey[0, 0]).max() for r in (matched, plain)]
    assert off[0] < 4 < off[1]


@pytest.mark.parametrize(
    ("painted", "words"),
    [
        (np.full((512, 512), 12, np.uint8), "found 12"),
        (np.full((512, 512), -1), "found -1"),
        (np.zeros((512, 512)), "got float64"),
        (np.zeros((0, 3), np.uint8), r"got uint8 \[0, 3\]"),
        ("nose", "got str"),
    ],
)
def test_labels_that_are_none_are_refused(engine, me, painted, words):
    with pytest.raises(LabelsError, match=rf"painted: expected .*{words}"):
        engine.swap(me, me, [], painted=painted)


def test_paint_is_for_one_face(engine, me):
    from e4s_engine.pipeline import painting
    from e4s_engine.pipeline.portraits import Job, Regions

    job = Job(me, (), Regions(()))
    with pytest.raises(ArgumentError, match=r"painted: labels describe one crop, but this swap has 2 faces"):
        painting.painted([job, job], layer())
