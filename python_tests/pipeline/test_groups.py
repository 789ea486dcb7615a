"""Several faces of one photo: chosen, swapped by one or several people, pasted into one picture."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from typing import Any

import numpy as np
import pytest
from api_tools import A, B, refused

from e4s_engine import weights
from e4s_engine.engine import Engine
from e4s_engine.errors import AlignmentError, ArgumentError, RegionError, WeightsError
from e4s_engine.faces.face import DetectedFace
from e4s_engine.networks.retinaface.config import DetectorConfig
from e4s_engine.options import SwapOptions

UNIT = np.array([[-0.5, 0], [0.5, 0], [0, 0.6], [-0.4, 1.1], [0.4, 1.1]])
POINTS = [UNIT * scale + (x, 60) for x, scale in ((60, 16), (160, 20), (250, 12))]  # largest: the middle one
GROUP = np.random.default_rng(9).integers(0, 256, (150, 310, 3), dtype=np.uint8)


def find(image: np.ndarray) -> list[np.ndarray]:
    """Find three faces in the group, none elsewhere."""
    return list(POINTS) if image.shape == GROUP.shape else []


@pytest.fixture(scope="module")
def people(tiny_weights) -> Any:
    with Engine(tiny_weights / "model.safetensors", landmarks=find, device="cpu") as engine:
        yield engine


@pytest.fixture(scope="module")
def ann(people) -> Any:
    return people.encode(A, align=False)


@pytest.fixture(scope="module")
def bob(people) -> Any:
    return people.encode(B, align=False)


def by_landmarks(engine: Engine, source: Any, photo: np.ndarray, face: int, **more: Any) -> np.ndarray:
    points = [POINTS[i] for i in (1, 0, 2)][face]  # by number: largest first
    return engine.swap(source, photo, target_landmarks=points, **more).image


def test_the_engine_lists_the_faces(people) -> None:
    faces = people.faces(GROUP)
    assert [round(face.centre[0]) for face in faces] == [160, 60, 250]
    assert people.faces(A) == [] and people.landmarks == "a landmark model"


def test_one_face_of_a_photo_is_encoded_parsed_and_cropped(people) -> None:
    """Every call that reads a single photo takes `face`."""
    for which, number in (("largest", 0), ("left", 1), (2, 2)):
        points = [POINTS[i] for i in (1, 0, 2)][number]
        found = people.encode(GROUP, face=which)
        wanted = people.portrait(GROUP, face=which)
        np.testing.assert_array_equal(found.labels, wanted.labels)
        np.testing.assert_array_equal(people.parse(GROUP, face=which), wanted.labels)
        np.testing.assert_array_equal(people.crop(GROUP, face=which), people.crop(GROUP, landmarks=points))
        (one,) = people.reconstruct(GROUP, face=which).faces
        assert one.number == number and one.regions is None
        np.testing.assert_allclose(one.quad, wanted.crop.quad)
    assert not np.array_equal(people.encode(GROUP).styles, people.encode(GROUP, face=2).styles)
    refused(AlignmentError, lambda: people.encode(GROUP, face=3), "image: there is no face number 3")
    refused(ArgumentError, lambda: people.encode(GROUP, face="all"), "image: face names 3 faces")


@pytest.mark.parametrize(("which", "face"), [("largest", 0), (2, 2), ("left", 1), ("right", 2), ([1], 1)])
def test_one_face_is_chosen(people, ann, which: Any, face: int) -> None:
    result = people.swap(ann, GROUP, faces=which)
    np.testing.assert_array_equal(result.image, by_landmarks(people, ann, GROUP, face))
    (swapped,) = result.faces
    assert swapped.number == face and swapped.regions is None
    np.testing.assert_array_equal(swapped.face, result.face)
    np.testing.assert_allclose(swapped.quad, people.faces(GROUP)[face].quad)


def test_a_callable_chooses_and_options_carry_it(people, ann) -> None:
    options = SwapOptions(faces=lambda faces: min(faces, key=lambda face: face.side))
    np.testing.assert_array_equal(
        people.swap(ann, GROUP, options=options).image, people.swap(ann, GROUP, faces=2).image
    )
    assert SwapOptions(faces=[2, 0]).faces == (2, 0)


@pytest.mark.parametrize("blend", ["feather", "multiband", "multiband10", "soft", "none"])
def test_all_faces_end_up_in_one_photo(people, ann, blend: str) -> None:
    """Each face is where a swap of it alone puts it; where two pastes overlap the later one is above."""
    result = people.swap(ann, GROUP, faces="all", blend=blend)
    assert [face.number for face in result.faces] == [0, 1, 2]
    alone = [people.swap(ann, GROUP, faces=number, blend=blend) for number in range(3)]
    np.testing.assert_array_equal(result.changed, np.any([one.changed for one in alone], axis=0))
    single = np.sum([one.changed for one in alone], axis=0) == 1
    for one in alone:
        here = single & one.changed
        assert here.any()
        np.testing.assert_array_equal(result.image[here], one.image[here])
    np.testing.assert_array_equal(result.image[~result.changed], GROUP[~result.changed])
    for part, one in zip(result.faces, alone, strict=True):
        np.testing.assert_array_equal(part.labels, one.labels)
        np.testing.assert_array_equal(part.crop, one.crop)
    np.testing.assert_array_equal(result.face, alone[0].face)


def test_several_people_each_with_their_regions(people, ann, bob) -> None:
    result = people.swap({2: ann, 0: {"eyes": bob, ("nose", "lips"): ann}}, GROUP)
    expected = [(2, None), (0, ("lips", "eyes", "nose"))]
    assert [(face.number, face.regions) for face in result.faces] == expected
    first = by_landmarks(people, ann, GROUP, 2)
    alone = people.swap({"eyes": bob, ("nose", "lips"): ann}, GROUP)
    here = alone.changed & (first == GROUP).all(2)
    np.testing.assert_array_equal(result.image[here], alone.image[here])
    eyes = people.swap({0: ann, 1: bob}, GROUP, ["eyes"])
    assert [face.regions for face in eyes.faces] == [("eyes",), ("eyes",)]


def test_a_batch_takes_groups(people, ann, bob) -> None:
    batch = people.swap_batch([{0: ann, 1: bob}, ann], [GROUP, GROUP])
    np.testing.assert_array_equal(batch[0].image, people.swap({0: ann, 1: bob}, GROUP).image)
    np.testing.assert_array_equal(batch[1].image, people.swap(ann, GROUP).image)
    everyone = people.swap_batch(bob, [GROUP] * 2, faces="all")
    np.testing.assert_array_equal(everyone[1].image, people.swap(bob, GROUP, faces="all").image)


def test_nothing_asked_for_changes_nothing(people, ann) -> None:
    result = people.swap(ann, GROUP, [], faces="all")
    np.testing.assert_array_equal(result.image, GROUP)
    assert not result.changed.any()


def test_a_portrait_is_one_face_of_its_photo(people, ann) -> None:
    portrait = people.portrait(GROUP, face=1)
    assert portrait.number == 1
    np.testing.assert_array_equal(people.swap(ann, portrait).image, people.swap(ann, GROUP, faces=1).image)
    refused(ArgumentError, lambda: people.portrait(GROUP, face="all"), "image: face names 3 faces")
    refused(ArgumentError, lambda: people.swap(ann, portrait, faces="all"), "target: a Portrait is one face")


def test_results_of_groups_can_be_pickled(people, ann) -> None:
    result = people.swap(ann, GROUP, faces=[0, 2])
    again = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(again.image, result.image)
    assert [face.number for face in again.faces] == [0, 2]


def test_what_cannot_be_chosen_is_said(people, ann, bob) -> None:
    swap = people.swap
    refused(AlignmentError, lambda: swap(ann, GROUP, faces=3), "target: there is no face number 3", "finds 3")
    refused(AlignmentError, lambda: swap({0: ann, 7: bob}, GROUP), "target: there is no face number 7")
    refused(ArgumentError, lambda: swap(ann, GROUP, faces="both"), "faces: expected 'largest', 'all'")
    refused(ArgumentError, lambda: swap({0: ann}, GROUP, faces="all"), "names the target's faces itself")
    refused(ArgumentError, lambda: swap({0: ann, "eyes": bob}, GROUP), "source: ", "numbers of faces")
    refused(RegionError, lambda: swap({0: {}}, GROUP), "source[0]: the dict of sources is empty")
    points = {"target_landmarks": POINTS[0]}
    refused(ArgumentError, lambda: swap(ann, GROUP, faces="all", **points), "landmarks name one face")
    refused(ArgumentError, lambda: swap(ann, B, faces=0, align=False), "target: align=False takes the photo")
    labels = np.ones((8, 8), np.uint8)
    refused(
        ArgumentError, lambda: swap(ann, GROUP, faces="all", target_labels=labels), "labels describe one crop"
    )


def test_a_source_with_several_faces_gives_the_largest(people) -> None:
    np.testing.assert_array_equal(people.encode(GROUP).styles, people.encode(people.portrait(GROUP)).styles)


def test_small_faces_are_warned_about(people, ann, caplog: pytest.LogCaptureFixture) -> None:
    people.swap(ann, GROUP, faces=2)
    assert [m for m in caplog.messages if m.startswith("target: the face is about 24 pixels wide")]


def test_a_model_may_return_faces_of_its_own(tiny_weights, ann) -> None:
    own = DetectedFace.around(POINTS[0], 0.25)
    with Engine(tiny_weights / "model.safetensors", landmarks=lambda _: [own]) as engine:
        assert engine.faces(GROUP) == [own]


def test_neighbours_in_a_crop_are_background(people, tiny_weights) -> None:
    """Pixels nearer to another face are background, whatever the parser calls them."""
    near = [UNIT * 20 + (120, 60), UNIT * 20 + (165, 60)]
    skin = np.full((512, 512), 6, np.uint8)
    path = tiny_weights / "model.safetensors"
    with Engine(path, parser=lambda _: skin, landmarks=lambda _: near) as engine:
        left, right = engine.parse(engine.portrait(GROUP, face="left")), engine.portrait(GROUP, face="right")
        assert (left[:, :256] == 6).all() and (left[256, 500:] == 0).all()
        np.testing.assert_array_equal(right.labels, left[:, ::-1])
    with Engine(path, parser=lambda _: skin, landmarks=lambda _: near[:1]) as engine:
        np.testing.assert_array_equal(engine.parse(GROUP), skin)


def test_a_detector_beside_the_weights_comes_first(tiny_weights, tmp_path) -> None:
    """Weights beside the model's are loaded into the engine's backend; damaged ones are named."""
    shutil.copy(tiny_weights / "model.safetensors", tmp_path / "model.safetensors")
    small = weights.random_model(DetectorConfig(blocks=(1, 1, 1, 1), width=8, features=16))
    quiet = {f"ClassHead.{i}.conv1x1.bias": np.array([30, 0, 30, 0], np.float32) for i in range(3)}
    quiet |= {f"ClassHead.{i}.conv1x1.weight": np.zeros((4, 16, 1, 1), np.float32) for i in range(3)}
    quiet = dataclasses.replace(small, tensors={**small.tensors, **quiet})  # finds nobody
    weights.save(quiet, tmp_path / "retinaface.safetensors")
    with Engine(tmp_path / "model.safetensors", device="cpu") as engine:
        assert engine.landmarks.startswith("RetinaFace")
        assert engine.faces(GROUP) == []
    shutil.copy(tmp_path / "model.safetensors", tmp_path / "retinaface.safetensors")
    refused(
        WeightsError,
        lambda: Engine(tmp_path / "model.safetensors", device="cpu"),
        "landmarks: ",
        "expected 'retinaface'",
    )
