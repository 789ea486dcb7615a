"""Region names, presets and label tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e4s_engine import regions
from e4s_engine.errors import LabelsError, RegionError


def test_official_names_are_aliases():
    official = ["lip", "eyebrows", "eyes", "hair", "nose", "skin", "ears", "belowface", "mouth", "eye_glass"]
    assert regions.region_ids([*official, "ear_rings", "background"]) == tuple(range(12))


def test_presets():
    assert regions.region_ids("face") == (1, 2, 3, 5, 6, 9)
    assert regions.region_ids("all") == tuple(range(12))
    assert set(regions.region_ids("face")) < set(regions.region_ids("head"))


@given(st.lists(st.sampled_from([*regions.NAMES, *regions.PRESETS]), max_size=8), st.randoms())
def test_order_and_repeats_do_not_matter(names, random):
    shuffled = names * 2
    random.shuffle(shuffled)
    assert regions.region_ids(names) == regions.region_ids(shuffled)


@pytest.mark.parametrize(
    ("typed", "meant"), [("eyse", "eyes"), ("noze", "nose"), ("eye brws", "eyebrows"), ("hiar", "hair")]
)
def test_unknown_name_suggests_the_nearest(typed, meant):
    with pytest.raises(RegionError, match=f"regions: unknown region.*did you mean '{meant}'"):
        regions.region_ids([typed])


@pytest.mark.parametrize("wrong", [12, -1, 3.5, None, [["eyes"]], b"eyes", True])
def test_what_is_no_region(wrong):
    with pytest.raises(RegionError, match="regions"):
        regions.region_ids([wrong])
    with pytest.raises(RegionError, match="regions"):
        regions.region_ids(7.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("written", ["3,5", "3 5", "eyes nose", "eyes, 5", ["3", "nose"], " 5 , eyes"])
def test_ids_and_spaces_in_words(written):
    assert regions.region_ids(written) == (3, 5)


@pytest.mark.parametrize("wrong", ["12", "3 12", b"eyes", bytearray(b"eyes")])
def test_ids_in_words_are_checked(wrong):
    with pytest.raises(RegionError, match=r"outside 0\.\.11|expected region names"):
        regions.region_ids(wrong)


def test_names_forgive_case_spaces_and_dashes():
    assert regions.region_ids([" Eyes", "EAR-RINGS", "eye glass"]) == (3, 10, 11)


def test_labels_are_resized_by_nearest_neighbour():
    small = np.arange(12, dtype=np.uint8).reshape(3, 4)
    large = regions.check_labels(small)
    assert large.shape == (512, 512)
    rows, columns = np.arange(512) * 3 // 512, np.arange(512) * 4 // 512
    np.testing.assert_array_equal(large, small[rows][:, columns])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((4, 4), 12, np.uint8), "0..11, found 12"),
        (np.full((4, 4), -1), "found -1"),
        (np.zeros((4, 4), np.float32), "integer"),
        (np.zeros((4, 4, 3), np.uint8), r"shape \[4, 4, 3\]"),
        (np.zeros((0, 4), np.uint8), "shape"),
        (np.zeros((4, 4), bool), "integer"),
    ],
)
def test_what_is_no_label_map(labels, message):
    with pytest.raises(LabelsError, match=f"source_labels: .*{message}"):
        regions.check_labels(labels, "source_labels")


def test_from_19():
    ids = np.arange(19, dtype=np.uint8)[None]
    assert regions.from_19(ids, "bisenet")[0, 17] == regions.HAIR
    assert regions.from_19(ids, "celebamask_hq")[0, 13] == regions.HAIR
    for wrong in (ids + 1, ids.astype(float), ids[0]):
        with pytest.raises(LabelsError):
            regions.from_19(wrong, "bisenet")
    with pytest.raises(LabelsError, match="convention"):
        regions.from_19(ids, "cityscapes")


@pytest.mark.parametrize("order", ["C", "F"])
def test_labels_of_the_right_size_are_copied(order):
    given = np.asarray(np.random.default_rng(0).integers(0, regions.COUNT, (64, 64), np.uint8), order=order)
    same = regions.resize_nearest(given, 64)
    np.testing.assert_array_equal(same, given)
    assert not np.shares_memory(same, given) and same.flags.c_contiguous
