"""Properties of every swap whatever the weights, tested on a tiny random model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e4s_engine import regions
from e4s_engine.engine import Engine
from e4s_engine.pipeline import compose
from e4s_engine.pipeline.generate import to_uint8

names = st.lists(st.sampled_from(regions.NAMES), min_size=1, max_size=4, unique=True)
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=["native", "reference"])
def engine(request, tiny_weights):
    return Engine(tiny_weights / "model.safetensors", device="cpu", backend=request.param)


def same(first, second):
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.face, second.face)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.holes, second.holes)


def grown(mask, radius):
    """Return the pixels within `radius` rows and columns of a mask: the reach of a feathered paste."""
    out = np.zeros_like(mask)
    for row, column in np.argwhere(mask):
        out[max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius + 1] = True
    return out


@pytest.fixture(scope="module")
def pair(people):
    (source, source_labels), (target, target_labels), _ = people
    labels = {"source_labels": source_labels, "target_labels": target_labels}
    return source, target, labels


@pytest.mark.parametrize("blend", ["feather", "multiband", "multiband10", "soft", "none"])
@pytest.mark.parametrize("hair_first", [True, False])
def test_a_face_onto_itself_is_its_reconstruction(engine, people, blend, hair_first):
    image, labels = people[0]
    options = {"source_labels": labels, "target_labels": labels, "hair_first": hair_first, "blend": blend}
    same(engine.swap(image, image, **options), engine.reconstruct(image, labels, blend=blend))


@few
@given(names)
def test_regions_onto_themselves_are_the_reconstruction(engine, people, chosen):
    image, labels = people[0]
    found = engine.swap(image, image, chosen, source_labels=labels, target_labels=labels)
    np.testing.assert_array_equal(found.face, engine.reconstruct(image, labels).face)


def test_no_regions_leave_the_target_untouched(engine, pair):
    source, target, labels = pair
    result = engine.swap(source, target, [], **labels)
    np.testing.assert_array_equal(result.image, target)
    np.testing.assert_array_equal(result.labels, labels["target_labels"])
    assert not result.holes.any()
    assert result.face.shape == (engine.config.size, engine.config.size, 3)


@few
@given(names, st.sampled_from(["feather", "none"]))
def test_outside_the_foreground_nothing_changes(engine, pair, chosen, blend):
    source, target, labels = pair
    result = engine.swap(source, target, chosen, blend=blend, **labels)
    ids = regions.region_ids(chosen)
    foreground = compose.region_foreground(ids, result.labels, result.holes, labels["target_labels"])
    outside = ~grown(foreground, 5).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(result.image[outside], target[outside])


def test_whole_face_changes_no_background(engine, pair):
    source, target, labels = pair
    result = engine.swap(source, target, **labels)
    outside = ~grown(labels["target_labels"] != regions.BACKGROUND, 5).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(result.image[outside], target[outside])
    assert (result.image != target).any()


@few
@given(names, st.randoms())
def test_order_of_names_does_not_matter(engine, pair, chosen, random):
    source, target, labels = pair
    shuffled = list(chosen)
    random.shuffle(shuffled)
    same(
        engine.swap(source, target, chosen, **labels),
        engine.swap(source, target, shuffled, **labels),
    )


@pytest.mark.parametrize("chosen", [None, ["eyes", "nose"], ["hair"], ["mouth", "glasses"]])
def test_a_swap_that_takes_nothing_leaves_the_photo_as_it_is(engine, pair, chosen):
    source, target, labels = pair
    for options in ({"extent": 0}, {"texture": False}):
        results = [engine.swap(source, target, chosen, shape=False, **options, **labels)]
        if chosen is not None:
            own = (labels["target_labels"], labels["source_labels"])
            results.append(
                engine.edit(target, source, chosen, labels=own[0], reference_labels=own[1], **options)
            )
        for result in results:
            np.testing.assert_array_equal(result.image, target)
            assert not result.changed.any() and result.faces[0].regions == ()
    changed = engine.swap(source, target, "face", extent=0, **labels)  # takes the shape
    assert changed.changed.any()


def test_edit_changes_texture_alone(engine, pair):
    source, target, labels = pair
    own = {"labels": labels["target_labels"], "reference_labels": labels["source_labels"]}
    result = engine.edit(target, source, ["hair"], 1.0, **own)
    np.testing.assert_array_equal(result.labels, labels["target_labels"])
    same(result, engine.swap(source, target, ["hair"], shape=False, **labels))
    half = engine.edit(target, source, ["hair"], 0.5, **own)
    assert (half.face != result.face).any()


def test_shape_without_texture_keeps_the_targets_vectors(engine, pair):
    source, target, labels = pair
    result = engine.swap(source, target, ["nose"], texture=False, **labels)
    styles = engine.encode(target, labels["target_labels"]).styles
    np.testing.assert_array_equal(result.face, to_uint8(engine.decode(styles, result.labels)))


def test_several_sources(engine, people, pair):
    source, target, labels = pair
    third, third_labels = people[2]
    given_labels = {"hair": third_labels, ("eyes", "lips"): labels["source_labels"]}
    result = engine.swap(
        {"hair": third, ("eyes", "lips"): source},
        target,
        source_labels=given_labels,
        target_labels=labels["target_labels"],
    )
    faces = {
        "hair": engine.encode(third, third_labels),
        ("lips", "eyes"): engine.encode(source, labels["source_labels"]),
    }
    same(result, engine.swap(faces, target, target_labels=labels["target_labels"]))
    everything = dict.fromkeys(("eyes", "nose"), source)
    split_labels = dict.fromkeys(everything, labels["source_labels"])
    same(
        engine.swap(everything, target, source_labels=split_labels, target_labels=labels["target_labels"]),
        engine.swap(source, target, ["eyes", "nose"], **labels),
    )


def test_a_batch_is_its_swaps_one_by_one(engine, people):
    images, labels = zip(*people, strict=True)
    face = engine.encode(images[0], labels[0])
    batch = engine.swap_batch(face, list(images), target_labels=list(labels))
    for image, mask, result in zip(images, labels, batch, strict=True):
        same(result, engine.swap(face, image, target_labels=mask))
    assert engine.swap_batch([], []) == []


def test_decode_of_encode_is_the_reconstruction(engine, people):
    image, labels = people[0]
    face = engine.encode(image, labels)
    assert face.styles.shape == (12, engine.config.style_dim)
    assert face.styles.dtype == np.float32
    decoded = engine.decode(face.styles, face.labels)
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(to_uint8(decoded), engine.reconstruct(image, labels).face)


@pytest.mark.parametrize("side", [96, 256, 700, 1024, 1500])
def test_the_result_has_the_targets_size(engine, people, side):
    (source, source_labels), (target, labels), _ = people
    small = (
        np.ascontiguousarray(target[:side, :side])
        if side <= 1024
        else np.pad(target, [(0, 476)] * 2 + [(0, 0)])
    )
    result = engine.swap(source, small, ["nose"], source_labels=source_labels, target_labels=labels)
    assert result.image.shape == small.shape
    changed = (result.image != small).any(2)
    assert 0 < changed.mean() < 0.2


def test_hair_transfer(engine, people):
    (source, source_labels), (target, target_labels), _ = people
    result = engine.swap(source, target, ["hair"], source_labels=source_labels, target_labels=target_labels)
    free = target_labels != regions.GLASSES
    taken = (source_labels == regions.HAIR) & free
    assert (result.labels[taken] == regions.HAIR).all()
    left = (target_labels == regions.HAIR) & ~taken
    np.testing.assert_array_equal(result.holes, left)
