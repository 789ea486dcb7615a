"""Errors of callers: each has the right class, names the argument and gives the remedy."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from api_tools import FIVE, LABELS, WIDE, A, B, refused
from PIL import Image
from tiny_tools import TINY

from e4s_engine import errors
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
from e4s_engine.options import SwapOptions
from e4s_engine.result import Face


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
        ({"landmarks": 5}, ArgumentError, ["landmarks: expected one of 'auto', 'retinaface'"]),
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


def test_edit_names_its_own_arguments(engine):
    for more, error, word in (
        ({}, ImageError, "reference: no such file"),
        ({"reference": A, "image": "b.png"}, ImageError, "image: no such file"),
        ({"reference": A, "reference_labels": LABELS + 12}, LabelsError, "reference labels: "),
        ({"reference": A, "labels": LABELS + 12}, LabelsError, "image labels: "),
        (
            {"reference": {"eyes": A}, "regions": None, "reference_labels": LABELS},
            ArgumentError,
            "reference_labels: ",
        ),
    ):
        given = {"image": B, "reference": "a.png", "regions": ["eyes"], **more}
        message = refused(error, partial(engine.edit, **given), word)
        assert message.startswith(word)
    refused(ArgumentError, lambda: engine.edit(A, B, ["eyes"], shape=True), "shape: edit leaves", "use swap")


def test_edit_takes_the_options_of_a_swap(engine):
    options = SwapOptions(blend="none", extent=0.2)
    one = engine.edit(A, B, ["hair"], 0.5, options=options)
    expected = engine.swap(B, A, ["hair"], shape=False, extent=0.5, blend="none")
    np.testing.assert_array_equal(one.image, expected.image)
    own = engine.edit(A, B, ["hair"], options=options)  # their extent counts where none is passed beside
    expected = engine.swap(B, A, ["hair"], shape=False, extent=0.2, blend="none")
    np.testing.assert_array_equal(own.image, expected.image)


def test_weights_of_the_environment_are_named(monkeypatch):
    monkeypatch.setenv("E4S_WEIGHTS", "absent.safetensors")
    refused(WeightsError, Engine, "E4S_WEIGHTS: no such file: absent.safetensors")
    refused(WeightsError, lambda: Engine("other.safetensors"), "weights: no such file: other.safetensors")


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


def test_labels_without_a_face(engine):
    empty = np.zeros((64, 64), np.uint8)
    refused(LabelsError, lambda: engine.swap(A, B, source_labels=empty), "source labels", "background")
    refused(LabelsError, lambda: engine.encode(A, empty), "image labels", "background")


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
    calls = [
        lambda: engine.swap(face, B, extent=extent),
        lambda: engine.swap_batch(face, [B], extent=extent),
    ]
    if extent is not None:  # an edit's None is the options' extent
        calls.append(lambda: engine.edit(B, face, "eyes", extent))
    for call in calls:
        refused(ArgumentError, call, "extent: expected a number in [0, 1]", repr(extent))


@pytest.mark.parametrize("extent", [0, 1, 0.5, np.float32(0.5), np.int64(1)])
def test_extents_that_are_fine(engine, face, extent):
    assert engine.swap(face, B, "eyes", extent=extent).image.shape == B.shape


@pytest.mark.parametrize(
    ("option", "values", "words"),
    [
        (
            "blend",
            ["poisson", None, ["feather"], np.array(["none"])],
            "feather, multiband, multiband10, soft, none",
        ),
        ("align", ["yes", None, 1, 0, 1.0, [True], np.array(True)], "'auto', True or False"),
        ("shape", ["yes", None, 1, 0.0, []], "True or False"),
        ("texture", ["no", None, 1], "True or False"),
        ("hair_first", ["no", None, 0], "True or False"),
        ("earrings_first", ["no", None, 1], "True or False"),
        ("relight", ["no", None, 0], "True or False"),
        ("match", ["colour", None, True, ["color"]], "one of auto, color, none"),
    ],
)
def test_other_options(engine, face, option, values, words):
    for value in values:
        message = refused(ArgumentError, partial(engine.swap, face, B, **{option: value}), words)
        assert message.startswith(f"{option}: expected")


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
