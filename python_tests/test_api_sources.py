"""Errors of callers in who gives what: regions, dicts of sources, batches, alignment."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from api_tools import FIVE, LABELS, WIDE, A, B, C, refused

from e4s_engine.engine import Engine
from e4s_engine.errors import (
    AlignmentError,
    ArgumentError,
    ImageError,
    LabelsError,
    RegionError,
)

# Regions


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("eys", "eyes"), ("lipss", "lips"), ("Noze", "nose"), ("hiar", "hair"), ("eye brows", "eyebrows")],
)
def test_unknown_regions_suggest_the_nearest(engine, face, name, nearest):
    for call in (
        lambda: engine.swap(face, B, [name]),
        lambda: engine.swap(face, B, name),
        lambda: engine.edit(B, face, ["eyes", name]),
        lambda: engine.swap({name: face}, B),
    ):
        refused(RegionError, call, f"unknown region {name!r}", f"did you mean {nearest!r}", "Known are")


def test_a_string_lists_regions_with_commas(engine, face):
    expected = engine.swap(face, B, ["eyes", "nose"])
    for names in ("eyes,nose", "eyes, nose", ["nose,eyes"], ("eye", "nose , eyes")):
        np.testing.assert_array_equal(engine.swap(face, B, names).image, expected.image)
    several = engine.swap({"eyes,nose": face}, B)
    np.testing.assert_array_equal(several.image, expected.image)
    refused(RegionError, lambda: engine.swap(face, B, "eyes,nos"), "unknown region 'nos'", "'nose'")
    refused(RegionError, lambda: engine.swap(face, B, "eyes,"), "unknown region ''")


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        (["zzz"], ["unknown region 'zzz'", "Known are: background, lips"]),
        ([""], ["unknown region ''"]),
        ([12], ["12", "0..11"]),
        ([-1], ["-1", "0..11"]),
        ([True], ["True", "region names"]),
        ([None], ["None", "region names"]),
        (5.5, ["region names", "5.5"]),
        ([["eyes"]], ["region names"]),
        ([b"eyes"], ["region names"]),
    ],
)
def test_what_is_no_region(engine, face, regions, words):
    message = refused(RegionError, lambda: engine.swap(face, B, regions), *words)
    assert message.startswith("regions: ")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({}, ["source: the dict of sources is empty", "at least one"]),
        ({(): A}, ["source key: ", "names no region"]),
        ({"eyes": A, ("nose", "eyes"): B}, ["eyes given by two sources", "exactly one"]),
        ({"face": A, "lips": B}, ["lips given by two sources"]),
        ({"eye": A, "eyes": B}, ["eyes given by two sources"]),
        ({"eyse": A}, ["source key: unknown region", "did you mean"]),
        ({None: A}, ["source key: "]),
    ],
)
def test_dicts_of_sources(engine, source, words):
    refused(RegionError, lambda: engine.swap(source, B), *words)


def test_a_dict_of_sources_names_the_regions_itself(engine, face):
    refused(RegionError, lambda: engine.swap({"eyes": face}, B, ["eyes"]), "regions: ", "regions=None")


def test_labels_of_a_dict_of_sources(engine):
    source = {"eyes": A, ("lips", "nose"): C}
    labels = {"eyes": LABELS, ("lips", "nose"): LABELS}
    whole = engine.swap(source, B, source_labels=labels, target_labels=LABELS)
    faces = {key: engine.encode(image, LABELS) for key, image in source.items()}
    np.testing.assert_array_equal(whole.image, engine.swap(faces, B, target_labels=LABELS).image)
    refused(
        ArgumentError, lambda: engine.swap(source, B, source_labels=LABELS), "source_labels: ", "same keys"
    )
    for wrong in ({"hair": LABELS}, {"lips": LABELS}):
        call = partial(engine.swap, source, B, source_labels=wrong)
        refused(ArgumentError, call, "source_labels: ", "no key", "same keys")
    wrong = {"eyes": LABELS + 12}
    refused(LabelsError, lambda: engine.swap(source, B, source_labels=wrong), "source['eyes'] labels: ")
    refused(ArgumentError, lambda: engine.swap(source, B, source_landmarks=FIVE), "source_landmarks: ")


# Batches


def test_batch_lengths(engine, face):
    swap = engine.swap_batch
    refused(ArgumentError, lambda: swap([A, B], [A, B, C]), "sources: expected 1 or 3", "got 2")
    refused(ArgumentError, lambda: swap([], [A]), "sources: expected 1")
    refused(ArgumentError, lambda: swap(A, B), "targets: expected a list", "ndarray")
    refused(ArgumentError, lambda: swap(A, "a.png"), "targets: expected a list", "str")
    for name, count in [("source_labels", 1), ("target_labels", 2)]:
        for wrong in ([LABELS] * 3, LABELS, []):
            call = partial(swap, A, [B, C], **{name: wrong})
            refused(ArgumentError, call, f"{name}: expected a list of {count}")
    refused(
        ArgumentError, lambda: swap(A, [B], target_landmarks=FIVE), "target_landmarks: expected a list of 1"
    )
    assert swap(face, []) == []


def test_batches_check_everything_before_any_work(tiny_weights):
    with Engine(tiny_weights / "model.safetensors", parser=lambda _: pytest.fail("worked first")) as engine:
        refused(ImageError, lambda: engine.swap_batch(A, [B, C, None]), "targets[2]: ")
        refused(
            LabelsError, lambda: engine.swap_batch(A, [B, C], target_labels=[None, LABELS + 12]), "targets[1]"
        )


def test_regions_from_an_iterator_hold_for_every_source(engine):
    sources, targets = [engine.encode(A), engine.encode(C)], [B, A]
    batch = engine.swap_batch(sources, targets, (name for name in ("eyes", "nose")))
    assert engine.swap_batch(sources, targets, 5)[0].image.shape == B.shape  # an id alone
    for made, source, target in zip(batch, sources, targets, strict=True):
        np.testing.assert_array_equal(made.image, engine.swap(source, target, ["eyes", "nose"]).image)


# Alignment


def test_photos_that_are_not_square(engine):
    words = ("target: 96 x 64", "pass landmarks", "landmarks='auto'")
    refused(AlignmentError, lambda: engine.swap(A, WIDE), *words)
    refused(AlignmentError, lambda: engine.swap(A, WIDE, align=False), "is not square", "cut a square")
    assert engine.swap(A, WIDE, target_landmarks=FIVE).image.shape == WIDE.shape


def test_align_true_needs_landmarks(engine):
    refused(AlignmentError, lambda: engine.swap(A, B, align=True), "source: align=True needs landmarks")
    made = engine.swap(A, B, align=True, source_landmarks=FIVE, target_landmarks=FIVE)
    assert made.image.shape == B.shape


def test_bad_landmarks_are_named(engine):
    refused(
        AlignmentError, lambda: engine.swap(A, B, source_landmarks=FIVE[:3]), "source landmarks: ", "[3, 2]"
    )
    refused(AlignmentError, lambda: engine.swap(A, B, target_landmarks=FIVE + 900), "target landmarks: ")


def test_a_landmark_model_serves_every_photo(tiny_weights, engine):
    with Engine(tiny_weights / "model.safetensors", landmarks=lambda _: [FIVE]) as aligned:
        made = aligned.swap(A, WIDE)
    expected = engine.swap(A, WIDE, source_landmarks=FIVE, target_landmarks=FIVE)
    np.testing.assert_array_equal(made.image, expected.image)
    with Engine(tiny_weights / "model.safetensors", landmarks=lambda _: []) as blind:
        refused(AlignmentError, lambda: blind.swap(A, WIDE), "source: ", "finds no face", "align=False")
        message = refused(AlignmentError, lambda: blind.swap(WIDE, A), "source: ", "finds no face")
        assert "align=False" not in message  # which takes square photos alone
        assert blind.swap(A, B, align=False).image.shape == B.shape
