"""Rules for composing labels and style vectors, over random maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from e4s_engine import regions
from e4s_engine.pipeline import compose

SIDE = 12
label_maps = hnp.arrays(np.uint8, (SIDE, SIDE), elements=st.integers(0, 11))
region_sets = st.sets(st.integers(0, 11), min_size=1, max_size=12).map(sorted)
vectors = hnp.arrays(np.float32, (12, 6), elements=st.floats(-2, 2, width=32))


@given(label_maps, label_maps, st.booleans(), st.booleans())
def test_whole_face_rules(source, target, hair_first, earrings_first):
    labels, holes = compose.whole_face_labels(source, target, hair_first, earrings_first)
    background = target == regions.BACKGROUND
    np.testing.assert_array_equal(labels == regions.BACKGROUND, background)
    np.testing.assert_array_equal(labels[target == regions.GLASSES], regions.GLASSES)
    face = np.isin(source, regions.FACE) & ~background & (target != regions.GLASSES)
    if not hair_first:
        assert (labels[target == regions.HAIR] == regions.HAIR).all()
        face &= target != regions.HAIR
    if not earrings_first:
        assert (labels[target == regions.EARRINGS] == regions.EARRINGS).all()
        face &= target != regions.EARRINGS
    np.testing.assert_array_equal(labels[face], source[face])
    assert (labels[holes] == regions.SKIN).all()
    kept = np.isin(target, [regions.NECK, regions.EARS, regions.EARRINGS, regions.HAIR])
    assert not (holes & (kept | face | background)).any()


@given(label_maps, st.booleans(), st.booleans())
def test_whole_face_onto_itself_changes_nothing(labels, hair_first, earrings_first):
    swapped, holes = compose.whole_face_labels(labels, labels, hair_first, earrings_first)
    np.testing.assert_array_equal(swapped, labels)
    assert not holes.any()


@given(label_maps, label_maps, region_sets)
def test_region_rules(source, target, chosen):
    labels, holes = compose.region_labels([(source, chosen)], target)
    protected = target == regions.BACKGROUND
    for region in (regions.GLASSES, regions.HAIR):
        if region not in chosen:
            protected |= target == region
    grown = (source == regions.HAIR) & (target == regions.BACKGROUND) & (regions.HAIR in chosen)
    protected &= ~grown
    np.testing.assert_array_equal(labels[protected], target[protected])
    taken = np.isin(source, chosen) & ~protected
    np.testing.assert_array_equal(labels[taken], source[taken])
    vacated = np.isin(target, chosen) & ~taken & ~protected
    np.testing.assert_array_equal(holes, vacated)
    behind = holes & (target == regions.HAIR) & (source == regions.BACKGROUND)
    assert (labels[behind] == regions.BACKGROUND).all()
    assert (labels[holes & ~behind] == regions.SKIN).all()
    untouched = ~taken & ~vacated
    np.testing.assert_array_equal(labels[untouched], target[untouched])


@given(label_maps, region_sets)
def test_regions_onto_themselves_change_nothing(labels, chosen):
    swapped, holes = compose.region_labels([(labels, chosen)], labels)
    np.testing.assert_array_equal(swapped, labels)
    assert not holes.any()


@given(label_maps, label_maps, label_maps, st.permutations(range(12)), st.integers(1, 11))
def test_several_sources_in_any_order(first, second, target, order, cut):
    parts = [(first, sorted(order[:cut])), (second, sorted(order[cut:]))]
    forward, backward = compose.region_labels(parts, target), compose.region_labels(parts[::-1], target)
    np.testing.assert_array_equal(forward[0], backward[0])
    np.testing.assert_array_equal(forward[1], backward[1])
    one = compose.region_labels([(first, range(12))], target)
    both = compose.region_labels([(first, parts[0][1]), (first, parts[1][1])], target)
    np.testing.assert_array_equal(one[0], both[0])


def test_a_face_part_lies_over_another_sources_hair():
    target = np.full((2, 2), regions.SKIN, np.uint8)
    hair, eyes = np.full_like(target, regions.HAIR), np.full_like(target, regions.EYES)
    labels, _ = compose.region_labels([(eyes, [regions.EYES]), (hair, [regions.HAIR])], target)
    assert (labels == regions.EYES).all()


def test_hair_transfer_covers_the_forehead_and_leaves_what_its_source_shows():
    background, hair, skin, glasses = regions.BACKGROUND, regions.HAIR, regions.SKIN, regions.GLASSES
    target = np.array([[background, hair, hair, hair, skin, glasses]], np.uint8)
    source = np.array([[hair, skin, background, regions.EARS, hair, hair]], np.uint8)
    labels, holes = compose.region_labels([(source, [regions.HAIR])], target)
    assert labels.tolist() == [[hair, skin, background, skin, hair, glasses]]
    assert holes.tolist() == [[False, True, True, True, False, False]]
    labels, _ = compose.region_labels([(source, [regions.EYES]), (target, [regions.HAIR])], target)
    assert labels.tolist() == target.tolist()


def test_skin_beside_vanished_hair_is_pasted_with_it():
    target = np.full((40, 60), regions.SKIN, np.uint8)
    target[:20] = regions.HAIR
    target[:, 50:] = regions.BACKGROUND
    labels = np.where(target == regions.HAIR, regions.SKIN, target).astype(np.uint8)
    labels[:, :20] = target[:, :20]  # here the hair stays
    holes = labels != target
    mask = compose.region_foreground([regions.HAIR], labels, holes, target)
    band = mask & (target == regions.SKIN)
    assert band[20:26, 20:50].all() and band.sum() == 6 * (30 + 6)  # and 6 columns beside the hair that stays
    assert not mask[:, 50:].any()
    assert not compose.region_foreground([regions.NOSE], target, holes & False, target).any()


@given(vectors, vectors)
def test_whole_face_styles(source, target):
    mixed = compose.whole_face_styles(source, target)
    kept = [regions.BACKGROUND, regions.HAIR, regions.GLASSES, regions.EARRINGS]
    np.testing.assert_array_equal(mixed[kept], target[kept])
    taken = [regions.LIPS, regions.EYEBROWS, regions.EYES, regions.NOSE, regions.SKIN, regions.NECK]
    np.testing.assert_array_equal(mixed[taken], source[taken])
    np.testing.assert_array_equal(compose.whole_face_styles(source, target, 0), target)


def test_a_source_gives_what_it_shows_of_what_every_face_has():
    source = np.array([[regions.GLASSES, regions.SKIN, regions.NOSE, regions.LIPS]], np.uint8)
    assert compose.shown(source, [regions.EYES, regions.EYEBROWS]) == [regions.EYEBROWS]
    assert compose.shown(source, [regions.NOSE, regions.LIPS]) == [regions.NOSE, regions.LIPS]
    assert not compose.request([regions.EYES], source).any()
    assert compose.request([regions.NOSE], source).tolist() == [0, 0, 0, 0, 0, 1, *[0] * 6]
    assert (compose.request(None, source) == compose.WHOLE).all()


def test_whole_face_styles_of_a_source_without_ears_and_mouth():
    source, target = np.ones((12, 4), np.float32), np.full((12, 4), 3, np.float32)
    source[[regions.EARS, regions.MOUTH]] = 0
    mixed = compose.whole_face_styles(source, target)
    assert (mixed[regions.EARS] == 1.5).all()
    assert (mixed[regions.MOUTH] == 3).all()


@given(vectors, vectors, region_sets, st.floats(0, 1))
def test_region_styles(source, target, chosen, extent):
    mixed = compose.region_styles([(source, chosen)], target, extent)
    others = [r for r in range(12) if r not in chosen]
    np.testing.assert_array_equal(mixed[others], target[others])
    for region in chosen:
        wanted = (1 - extent) * target[region] + extent * source[region]
        if not source[region].any():
            wanted = target[region]  # the source has no such region
        np.testing.assert_allclose(mixed[region], wanted, atol=1e-5)


def test_texture_of_a_region_the_target_does_not_show_comes_with_the_shape():
    source, target = np.ones((12, 4), np.float32), np.full((12, 4), 3, np.float32)
    target[regions.MOUTH] = 0
    parts = [(source, [regions.MOUTH, regions.EYES])]
    completed = compose.complete_styles(target, parts, target)
    assert (completed[regions.MOUTH] == 1).all()
    assert (completed[regions.EYES] == 3).all()


@given(label_maps, label_maps, region_sets)
def test_region_foreground_covers_every_change(source, target, chosen):
    labels, holes = compose.region_labels([(source, chosen)], target)
    foreground = compose.region_foreground(chosen, labels, holes, target)
    assert foreground[labels != target].all()
    assert foreground[holes].all()
    if regions.BACKGROUND not in chosen:
        assert not foreground[(target == regions.BACKGROUND) & (labels == regions.BACKGROUND)].any()
    if regions.HAIR not in chosen:
        assert (labels == regions.BACKGROUND)[target == regions.BACKGROUND].all()


@pytest.mark.parametrize("extent", [0, 1])
def test_mix_is_exact_at_both_ends(extent):
    target, source = np.float32([0.1, 0.7]), np.float32([0.3, np.float32(1) / 3])
    np.testing.assert_array_equal(compose.mix(target, source, extent), source if extent else target)


def test_what_takes_the_targets_colours() -> None:
    assert compose.matched_skins([regions.NOSE, regions.LIPS], "auto") == [regions.NOSE]
    assert compose.matched_skins([regions.NOSE, regions.SKIN], "auto") == []
    assert compose.matched_skins(None, "auto") == compose.matched_skins(None, "none") == []
    assert compose.matched_skins(None, "color") == list(compose.SKINS)


def test_a_matched_hole_is_compared_with_the_skin_beside_it() -> None:
    target = np.full((512, 512), regions.SKIN, np.uint8)
    target[200:300, 200:300] = regions.NOSE
    labels = target.copy()
    labels[200:300, 280:300] = regions.SKIN  # the new nose is narrower
    holes = labels != target
    nose, filled = compose.matched_areas([regions.NOSE], labels, holes, target)
    assert nose.moved.sum() == 100 * 80 and nose.wanted.sum() == 100 * 100
    assert (filled.moved & holes).sum() == holes.sum() and not (filled.given & holes).any()
    rows, columns = np.nonzero(filled.given)
    assert (rows.min(), rows.max(), columns.max()) == (200 - 32, 299 + 32, 299 + 32)
    assert compose.matched_areas([], labels, holes, target) == ()
    assert len(compose.matched_areas(compose.SKINS, labels, holes, target)) == len(compose.SKINS)
