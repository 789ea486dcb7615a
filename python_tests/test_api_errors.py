"""Errors of callers: each has the right class, names the argument and gives the remedy."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image

import e4s_engine
from e4s_engine import backends, errors, weights
from e4s_engine.engine import Engine
from e4s_engine.errors import (
    AlignmentError,
    ArgumentError,
    BackendError,
    ClosedError,
    E4SError,
    ImageError,
    LabelsError,
    RegionError,
    WeightsError,
)
from e4s_engine.result import Face
from e4s_engine.testing.portraits import portrait

SIDE = 96
LABELS = portrait(0)[1]
A, B, C = (np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for seed in range(3))
WIDE = np.zeros((64, 96, 3), np.uint8)
FIVE = np.array([[38, 40], [58, 40], [48, 52], [40, 62], [56, 62]], float)


@pytest.fixture(scope="module")
def face(engine):
    return engine.encode(A, LABELS)


def refused(error, call, *words):
    with pytest.raises(E4SError) as caught:
        call()
    assert type(caught.value) is error, repr(caught.value)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    return message


def test_errors_at_fault_are_value_errors():
    kinds = (ArgumentError, ImageError, LabelsError, RegionError, AlignmentError, WeightsError)
    assert all(issubclass(kind, ValueError) and issubclass(kind, E4SError) for kind in kinds)
    assert issubclass(errors.OutputError, OSError) and issubclass(BackendError, RuntimeError)


# Engine construction


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"device": "gpu"}, ArgumentError, ["device: expected 'auto', 'cpu', 'cuda' or 'cuda:N'", "'gpu'"]),
        ({"device": "cuda:x"}, ArgumentError, ["device: expected"]),
        ({"device": "cpu\n"}, ArgumentError, ["device: expected"]),
        ({"device": None}, ArgumentError, ["device: expected", "None"]),
        ({"device": torch.device("cpu")}, ArgumentError, ["device: expected"]),
        ({"device": "cuda:99"}, BackendError, ["device: 'cuda:99'"]),
        ({"precision": "fp8"}, ArgumentError, ["precision: expected one of auto, fp32", "'fp8'"]),
        ({"precision": None}, ArgumentError, ["precision: expected"]),
        ({"precision": "fp16", "device": "cpu"}, BackendError, ["precision: fp16", "'fp32' or 'bf16'"]),
        ({"backend": "onnx"}, ArgumentError, ["backend: expected one of auto, native", "'onnx'"]),
        ({"backend": 1}, ArgumentError, ["backend: expected"]),
        ({"parser": 5}, ArgumentError, ["parser: expected 'auto', a path, a callable or None", "5"]),
        ({"parser": "absent.safetensors"}, WeightsError, ["parser: no such file"]),
        ({"parser": b"parser"}, ArgumentError, ["parser: expected"]),
        ({"landmarks": 5}, ArgumentError, ["landmarks: expected a callable or 'module:attribute'"]),
        ({"landmarks": "no_such_module:find"}, ArgumentError, ["landmarks: cannot import"]),
    ],
    ids=str,
)
def test_engine_arguments(tiny_weights, arguments, error, words):
    refused(error, lambda: Engine(tiny_weights / "model.safetensors", **arguments), *words)


def test_the_native_backend_on_a_device_that_is_not_there(tiny_weights):
    file = tiny_weights / "model.safetensors"
    assert Engine(file, backend="native").backend == Engine(file, device="cpu").backend == "native"
    refused(BackendError, partial(Engine, file, backend="native", device="cuda:99"), "device: ")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("absent.pt", ["weights: no such file"]),
        (5, ["weights: expected a path"]),
        (np.zeros(3), ["weights: expected a path"]),
        ("", ["weights: "]),
    ],
)
def test_engine_weights(path, words, monkeypatch):
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    refused(WeightsError, lambda: Engine(path), *words)


def test_the_parsers_weights_are_no_model(tiny_weights):
    refused(WeightsError, lambda: Engine(tiny_weights / "parser.safetensors"), "weights: ", "expected 'rgi'")
    model = tiny_weights / "model.safetensors"
    refused(WeightsError, lambda: Engine(model, parser=model), "parser: ", "expected 'parser'")


def test_a_closed_engine(tiny_weights):
    with Engine(tiny_weights / "model.safetensors", backend="reference") as engine:
        face = engine.encode(A)
    engine.close()  # a second close is harmless
    for call in (
        lambda: engine.swap(A, B),
        lambda: engine.swap_batch([A], [B]),
        lambda: engine.edit(A, B, "eyes"),
        lambda: engine.reconstruct(A),
        lambda: engine.encode(A),
        lambda: engine.decode(face.styles, face.labels),
        lambda: engine.parse(A),
        lambda: engine.crop(A),
    ):
        refused(ClosedError, call, "closed", "make a new one")


# Images and faces


@pytest.mark.parametrize("bad", [None, 5, "absent.png", [A], np.zeros((96, 96, 3)), WIDE[:5], {}, b""])
def test_images_are_named_in_errors(engine, bad):
    if not isinstance(bad, dict):
        refused(ImageError, lambda: engine.swap(bad, B), "source: ")
    refused(ImageError, lambda: engine.swap(A, bad), "target: ")
    refused(ImageError, lambda: engine.encode(bad), "image: ")
    refused(ImageError, lambda: engine.swap_batch([A], [B, bad]), "targets[1]: ")
    refused(ImageError, lambda: engine.swap({"eyes": A, "lips": bad}, B), "source['lips']: ")


def test_a_face_is_no_target(engine, face):
    for call in (
        lambda: engine.swap(A, face),
        lambda: engine.swap_batch(A, [face]),
        lambda: engine.edit(face, A, "eyes"),
        lambda: engine.reconstruct(face),
        lambda: engine.encode(face),
        lambda: engine.parse(face),
    ):
        refused(ArgumentError, call, "expected an image", "Face", "no picture")


def test_a_face_of_another_model(engine, face):
    other = Face(face.labels, np.zeros((12, 1280), np.float32))
    refused(
        ArgumentError, lambda: engine.swap(other, B), "source.styles: ", f"[12, {TINY.style_dim}]", "1280"
    )


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"styles": np.full((12, TINY.style_dim), np.nan, np.float32)}, ArgumentError, ["styles", "NaN"]),
        ({"styles": np.full((12, TINY.style_dim), 1e300)}, ArgumentError, ["styles", "infinite"]),
        ({"styles": np.zeros((12, TINY.style_dim), int)}, ArgumentError, ["styles", "float32", "int64"]),
        ({"styles": None}, ArgumentError, ["styles: expected style vectors", "NoneType"]),
        ({"labels": np.full((512, 512), 12, np.uint8)}, LabelsError, ["labels", "0..11", "12"]),
        ({"labels": None}, LabelsError, ["labels"]),
    ],
)
def test_a_face_made_by_hand(engine, face, change, error, words):
    made = Face(**{"labels": face.labels, "styles": face.styles, **change})
    refused(error, lambda: engine.swap(made, B), "source.", *words)
    refused(error, lambda: engine.decode(made.styles, made.labels), *words)


def test_a_face_brings_its_own_labels(engine, face):
    refused(ArgumentError, lambda: engine.swap(face, B, source_labels=LABELS), "source: a Face", "pass none")
    refused(ArgumentError, lambda: engine.swap(face, B, source_landmarks=FIVE), "source: a Face", "pass none")


# Labels


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS.astype(float), ["integer labels", "float64"]),
        (LABELS > 0, ["integer labels", "bool"]),
        (np.full((8, 8), 12, np.uint8), ["0..11", "12", "from_19"]),
        (np.full((8, 8), 255, np.uint8), ["0..11", "255"]),
        (np.full((8, 8), -1), ["0..11", "-1"]),
        (np.zeros((8, 8, 3), np.uint8), ["[h, w]", "[8, 8, 3]"]),
        (np.zeros(8, np.uint8), ["[h, w]", "[8]"]),
        (np.zeros((0, 8), np.uint8), ["[h, w]", "[0, 8]"]),
        (np.full((8, 8), None), ["integer labels", "object"]),
        (LABELS.tolist(), ["expected a label map", "list"]),
        ("labels.png", ["expected a label map", "str"]),
        (5, ["expected a label map", "int"]),
        (torch.zeros(8, 8, dtype=torch.bfloat16), ["expected a label map"]),
    ],
)
def test_wrong_labels(engine, face, labels, words):
    refused(LabelsError, lambda: engine.swap(A, B, source_labels=labels), "source labels: ", *words)
    refused(LabelsError, lambda: engine.swap(A, B, target_labels=labels), "target labels: ", *words)
    refused(LabelsError, lambda: engine.encode(A, labels), "image labels: ", *words)
    refused(LabelsError, lambda: engine.decode(face.styles, labels), "labels: ", *words)


@pytest.mark.parametrize(
    "kind", [np.int64, np.uint8, torch.from_numpy, Image.fromarray, np.asfortranarray, lambda a: a[::2, ::2]]
)
def test_labels_of_other_kinds(engine, kind):
    doubled = LABELS.repeat(2, 0).repeat(2, 1) if kind is not torch.from_numpy else LABELS
    given = doubled.astype(kind) if isinstance(kind, type) else kind(doubled)
    np.testing.assert_array_equal(engine.encode(A, given).labels, LABELS)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, ["NoneType"]),
        ([[1], [1, 2]], ["list"]),
        (LABELS / 1.0, ["integer labels"]),
        (LABELS + 12, ["0..11"]),
        (LABELS[None], ["[h, w]"]),
    ],
)
def test_a_parser_that_returns_nonsense(tiny_weights, found, words):
    with Engine(tiny_weights / "model.safetensors", parser=lambda _: found) as engine:
        refused(LabelsError, lambda: engine.parse(A), "image: parser: ", *words)
        refused(LabelsError, lambda: engine.swap(A, B), "parser: ", *words)


def test_no_parser_and_no_labels(tiny_weights):
    with Engine(tiny_weights / "model.safetensors", parser=None) as engine:
        refused(LabelsError, lambda: engine.swap(A, B), "no parser", "pass labels", "Engine(parser=...)")
        refused(LabelsError, lambda: engine.parse(A), "image: ", "no parser", "pass labels")
        assert engine.parser == "none"
        assert engine.swap(A, B, source_labels=LABELS, target_labels=LABELS).image.shape == B.shape


# Options


@pytest.mark.parametrize(
    "extent",
    [float("nan"), float("inf"), -0.1, 1.0001, 2, "1", True, None, [0.5], 1j, np.complex64(1), np.array(0.5)],
)
def test_extent(engine, face, extent):
    for call in (
        lambda: engine.swap(face, B, extent=extent),
        lambda: engine.edit(B, face, "eyes", extent),
        lambda: engine.swap_batch(face, [B], extent=extent),
    ):
        refused(ArgumentError, call, "extent: expected a number in [0, 1]", repr(extent))


@pytest.mark.parametrize("extent", [0, 1, 0.5, np.float32(0.5), np.int64(1)])
def test_extents_that_are_fine(engine, face, extent):
    assert engine.swap(face, B, "eyes", extent=extent).image.shape == B.shape


@pytest.mark.parametrize(
    ("option", "values", "words"),
    [
        ("blend", ["poisson", None, ["feather"], np.array(["none"])], "feather, multiband, none"),
        ("align", ["yes", None, 1, 0, 1.0, [True], np.array(True)], "'auto', True or False"),
        ("shape", ["yes", None, 1, 0.0, []], "True or False"),
        ("texture", ["no", None, 1], "True or False"),
        ("hair_first", ["no", None, 0], "True or False"),
        ("relight", ["no", None, 0], "True or False"),
    ],
)
def test_other_options(engine, face, option, values, words):
    for value in values:
        message = refused(ArgumentError, partial(engine.swap, face, B, **{option: value}), words)
        assert message.startswith(f"{option}: expected")


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
    for call in (lambda: engine.swap(A, WIDE), lambda: engine.swap(A, WIDE, align=False)):
        refused(AlignmentError, call, "target: 96 x 64", "pass landmarks", "Engine(landmarks=...)")
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
        assert blind.swap(A, B, align=False).image.shape == B.shape


# Threads, and the default engine


def test_threads_get_what_one_thread_gets(engine, face):
    jobs = [(A, B, None), (face, C, ["eyes", "nose"]), ({"hair": A, "lips": face}, B, None), (C, A, "face")]
    expected = [engine.swap(*job) for job in jobs]
    made, problems = {}, []

    def work(thread):
        try:
            for step in range(len(jobs)):
                i = (thread + step) % len(jobs)
                made[thread, i] = engine.swap(*jobs[i])
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    for (_, i), result in made.items():
        for name in ("image", "face", "labels", "holes"):
            np.testing.assert_array_equal(getattr(result, name), getattr(expected[i], name))
    assert len(made) == 16


def test_the_inputs_are_never_modified(engine):
    source, target, labels = A.copy(), B.copy(), LABELS.copy()
    result = engine.swap(source, target, [], source_labels=labels, target_labels=labels)
    result.image[...] = 0
    result.labels[...] = 0
    engine.swap(source, target, source_labels=labels, target_labels=labels).image[...] = 0
    for now, before in ((source, A), (target, B), (labels, LABELS)):
        np.testing.assert_array_equal(now, before)


def test_callables_may_do_as_they_like_with_their_picture(tiny_weights):
    def parser(picture):
        picture[...] = 0
        return LABELS

    def model(picture):
        picture[...] = 0
        return [FIVE]

    path = tiny_weights / "model.safetensors"
    large = np.tile(B, (8, 8, 1))
    with Engine(path, parser=parser) as one, Engine(path, parser=lambda _: LABELS) as other:
        for target in (B, large):
            np.testing.assert_array_equal(one.swap(A, target, []).image, target)
            np.testing.assert_array_equal(one.swap(A, target).image, other.swap(A, target).image)
    with Engine(path, landmarks=model) as one:
        np.testing.assert_array_equal(one.swap(A, B, []).image, B)


def test_results_of_a_batch_share_nothing(engine, face):
    for regions in ([], "eyes"):
        one, two = engine.swap_batch(face, [B, B], regions)
        for name in ("image", "face", "labels", "holes"):
            assert not np.shares_memory(getattr(one, name), getattr(two, name))


@pytest.fixture
def no_default(monkeypatch):
    monkeypatch.setattr(e4s_engine.engine, "_default", [])


def test_the_default_engine(engine, tiny_weights, monkeypatch, no_default):
    monkeypatch.setenv("E4S_WEIGHTS", str(tiny_weights / "model.safetensors"))
    from e4s_engine import engine as module

    expected = engine.swap(A, B, regions=["eyes"], extent=0.5).image
    np.testing.assert_array_equal(e4s_engine.swap(A, B, regions=["eyes"], extent=0.5).image, expected)
    np.testing.assert_array_equal(module.swap(A, B, regions=["eyes"], extent=0.5).image, expected)
    assert module.default_engine() is module.default_engine()


def test_a_failure_of_the_default_engine_is_not_for_ever(monkeypatch, no_default, tiny_weights):
    monkeypatch.setenv("E4S_WEIGHTS", "absent.safetensors")
    for _ in range(2):
        refused(WeightsError, lambda: e4s_engine.swap(A, B), "weights: ", "absent.safetensors")
    monkeypatch.setenv("E4S_WEIGHTS", str(tiny_weights / "model.safetensors"))
    assert e4s_engine.swap(A, B, []).image.shape == B.shape


def test_public_names():
    assert set(e4s_engine.__all__) <= set(dir(e4s_engine))
    for name in e4s_engine.__all__:
        assert getattr(e4s_engine, name) is not None
    assert e4s_engine.convert is weights.convert
    with pytest.raises(AttributeError, match="no attribute 'swop'"):
        _ = e4s_engine.swop


def test_a_call_under_way_outlives_close(tiny_weights, people):
    image, labels = people[0]
    engine = Engine(tiny_weights / "model.safetensors", parser=lambda _: (engine.close(), labels)[1])
    assert engine.encode(image).styles.shape == (12, engine.config.style_dim)
    with pytest.raises(ClosedError):
        engine.encode(image)


def test_styles_that_decode_to_no_picture(engine, people):
    styles = np.full((12, engine.config.style_dim), 3e38, np.float32)
    with pytest.raises(ArgumentError, match="styles: the image is not finite"):
        engine.decode(styles, people[0][1])


def test_landmarks_that_would_not_be_used(engine, people):
    points = np.float64([[400, 400], [600, 410], [500, 520], [420, 640], [590, 650]])
    with pytest.raises(ArgumentError, match="image: align=False takes the photo as it is; pass no landmarks"):
        engine.crop(people[0][0], align=False, landmarks=points)


def test_a_wrong_choice_is_found_before_the_weights_are_read():
    with pytest.raises(ArgumentError, match="device: expected 'auto'"):
        Engine("absent.safetensors", device="gpu")


def test_a_gpu_at_hand_is_preferred(tiny_weights, monkeypatch):
    """backend="auto" takes the reference backend if there is a GPU; its device is this machine's own."""
    monkeypatch.setattr(backends, "_gpu_at_hand", lambda: True)
    assert Engine(tiny_weights / "model.safetensors").backend == "reference"
    assert Engine(tiny_weights / "model.safetensors", backend="native").backend == "native"
