"""Saved Faces: what a file holds, who takes it, and what is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import struct

import numpy as np
import pytest
import safetensors.numpy
from api_tools import LABELS, A, B, refused
from PIL import Image

from e4s_engine import weights
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, FaceFileError, LabelsError, OutputError
from e4s_engine.result import Face
from e4s_engine.weights import facefile


@pytest.fixture(scope="module")
def file(face, tmp_path_factory):
    path = tmp_path_factory.mktemp("faces") / "ann.face.safetensors"
    face.save(path, consent="may be swapped in demos\nuntil 2030", licence="CC BY 4.0")
    return path


def saved(**changes):
    """Return the bytes of a file whose tensors and header differ from a sound one's."""
    png = io.BytesIO()
    Image.fromarray(LABELS).save(png, "PNG")
    tensors = {
        "styles": np.zeros((12, 80), np.float32),
        "labels": np.frombuffer(png.getvalue(), np.uint8),
        "sharpness": np.zeros(12, np.float32),
        "thumbnail": np.frombuffer(b"\xff\xd8\xff\xe0", np.uint8),
    }
    header = {"format": facefile.FORMAT, "format_version": "1", "model": "0" * 32}
    for name, value in changes.items():
        (header if isinstance(value, str) else tensors)[name] = value
    return safetensors.numpy.save({n: t for n, t in tensors.items() if t is not None}, header)


def test_a_face_outlives_its_photo(engine, face, file):
    loaded = Face.load(file)
    np.testing.assert_array_equal(loaded.labels, face.labels)
    np.testing.assert_array_equal(loaded.styles, face.styles)
    np.testing.assert_array_equal(loaded.sharpness, face.sharpness)
    assert loaded.thumbnail == face.thumbnail and loaded.model == engine.fingerprint
    assert (loaded.consent, loaded.licence) == ("may be swapped in demos\nuntil 2030", "CC BY 4.0")
    assert loaded.crop is None and loaded.driven is None
    assert Image.open(io.BytesIO(loaded.thumbnail)).size == (128, 128)


def test_it_is_small(engine):
    """Also one of the official model, of 512 numbers a region, and of labels with details."""
    rows = np.arange(512)
    busy = ((rows[:, None] // 9 + rows[None, :] // 7) % 12).astype(np.uint8)
    big = Face(busy, np.ones((12, 512), np.float32), thumbnail=engine.encode(A, LABELS).thumbnail)
    assert len(facefile.pack(facefile.Saved(busy, big.styles, None, big.thumbnail, None, "", ""))) < 60_000


@pytest.mark.parametrize("form", [lambda f: f, str, lambda f: f.read_bytes()], ids=["path", "str", "bytes"])
def test_every_source_may_be_a_file(engine, face, file, form):
    given = form(file)
    wanted = engine.swap(face, B, ["eyes"], target_labels=LABELS).image
    np.testing.assert_array_equal(engine.swap(given, B, ["eyes"], target_labels=LABELS).image, wanted)
    np.testing.assert_array_equal(engine.swap({"eyes": given}, B, target_labels=LABELS).image, wanted)
    (batch,) = engine.swap_batch([given], [B], ["eyes"], target_labels=[LABELS])
    (each,) = engine.swap_each(given, [B], ["eyes"], target_labels=[LABELS])
    np.testing.assert_array_equal(batch.image, wanted)
    np.testing.assert_array_equal(each.image, wanted)
    edited = engine.edit(B, given, ["hair"], labels=LABELS).image
    np.testing.assert_array_equal(edited, engine.edit(B, face, ["hair"], labels=LABELS).image)


def test_nothing_but_a_source(engine, file):
    """A file has no photo: a target, and calls that look at pixels, say so."""
    refused(ArgumentError, lambda: engine.swap(A, file), "target: ", "a Face, which has no picture")
    refused(ArgumentError, lambda: engine.swap(A, file, faces="all"), "target: a Face is one face")
    refused(ArgumentError, lambda: engine.parse(file), "image: ", "saved Faces never hold their photo")
    refused(ArgumentError, lambda: engine.swap(file, B, source_labels=LABELS), "brings its own labels")
    refused(ArgumentError, lambda: engine.swap(file, B, reenact=True), "reenact=True")


def test_another_models_face_is_refused(tiny_weights, engine, file, tmp_path):
    other = weights.random_model(weights.load(tiny_weights / "model.safetensors", "rgi").config, 9)
    with Engine(other, landmarks=None, device="cpu") as stranger:
        assert stranger.fingerprint != engine.fingerprint
        message = refused(FaceFileError, lambda: stranger.swap(file, B, target_labels=LABELS), "source: ")
        assert engine.fingerprint in message and stranger.fingerprint in message


def test_a_model_has_one_fingerprint_in_every_form(tiny_weights, engine):
    path = tiny_weights / "model.safetensors"
    assert weights.load(path, "rgi").fingerprint() == engine.fingerprint == engine.encode(A, LABELS).model


def test_texts_and_the_thumbnail_are_the_callers(face, file, tmp_path):
    loaded = Face.load(file)
    loaded.save(tmp_path / "same.face")
    assert Face.load(tmp_path / "same.face").consent == loaded.consent
    dataclasses.replace(loaded, licence="none").save(tmp_path / "bare.face", consent="", thumbnail=False)
    bare = Face.load(tmp_path / "bare.face")
    assert (bare.consent, bare.licence, bare.thumbnail) == ("", "none", None)
    refused(ArgumentError, lambda: face.save(tmp_path / "x.face", consent="x" * 2001), "consent", "2000")


def test_faces_made_by_hand_are_checked(tmp_path):
    styles = np.zeros((12, 80), np.float32)
    Face(LABELS, styles).save(tmp_path / "hand.face")
    assert Face.load(tmp_path / "hand.face").model is None
    path = tmp_path / "bad.face"
    refused(ArgumentError, lambda: Face(LABELS, styles.astype(int)).save(path), "styles: ", "int64")
    refused(LabelsError, lambda: Face(LABELS + 5, styles).save(path), "0..11")
    refused(ArgumentError, lambda: Face(LABELS, styles).save(tmp_path / "ann.png"), ".safetensors or .face")
    refused(OutputError, lambda: Face(LABELS, styles).save(tmp_path / "no" / "ann.face"), "does not exist")
    assert not path.exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no header"),
        (b"\xff" * 64, "no header"),
        (pickle.dumps({"styles": 1}), "no header"),
        (saved(format="e4s_engine"), "not that of a Face"),
        (saved(format_version="2"), "format version '2'"),
        (saved(consent="x" * 2001), "consent"),
        (saved(styles=None), "lacks styles"),
        (saved(styles=np.full((12, 80), np.nan, np.float32)), "styles"),
        (saved(styles=np.zeros((11, 80), np.float32)), "styles"),
        (saved(styles=np.zeros((12, 80), np.float16)), "styles"),
        (saved(sharpness=np.full(12, -1, np.float32)), "sharpness"),
        (saved(thumbnail=np.frombuffer(b"GIF89a", np.uint8)), "thumbnail"),
        (saved(labels=np.zeros((512, 512), np.uint8)), "expected bytes"),
        (saved(labels=np.zeros(9, np.uint8)), "no PNG"),
        (bytes(1 << 21), "bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_files_are_refused(data, words):
    refused(FaceFileError, lambda: Face.load(data), "face: ", words)


def test_labels_are_known_before_they_are_decoded():
    """A PNG of a few bytes may unpack to gigabytes."""
    small = io.BytesIO()
    Image.fromarray(LABELS).save(small, "PNG")
    for side in (513, 60_000):  # Pillow itself would complain of the second
        huge = bytearray(small.getvalue())
        huge[16:24] = struct.pack(">II", side, side)
        data = saved(labels=np.frombuffer(bytes(huge), np.uint8))
        refused(FaceFileError, lambda data=data: Face.load(data), "no PNG of 512 x 512")


def test_damage_anywhere_is_an_error_or_harmless(file):
    whole = file.read_bytes()
    draw = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole[: int(draw.integers(1, len(whole) + 1))] if draw.random() < 0.3 else whole)
        for _ in range(int(draw.integers(1, 4))):
            # Half of the damage is in the header, where it matters most.
            end = min(len(data), 700) if draw.random() < 0.5 else len(data)
            data[int(draw.integers(0, end))] = int(draw.integers(0, 256))
        try:
            face = Face.load(bytes(data))
        except FaceFileError:
            continue
        assert face.labels.max() < 12 and np.isfinite(face.styles).all()


def test_deep_headers_are_refused():
    text = b'{"__metadata__":' + b'{"a":' * 5000 + b"1" + b"}" * 5001
    refused(FaceFileError, lambda: Face.load(len(text).to_bytes(8, "little") + text), "face: ")


def test_files_are_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return print, ("executed",)

    path = tmp_path / "trap.face"
    path.write_bytes(pickle.dumps(Trap()))
    refused(FaceFileError, lambda: Face.load(path), "trap.face")
    refused(FaceFileError, lambda: Face.load(tmp_path / "none.face"), "No such file")
    refused(FaceFileError, lambda: Face.load("https://example.org/ann.face"), "URL")


def test_the_header_is_plain_json(file):
    data = file.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert set(header) == {"__metadata__", "styles", "labels", "sharpness", "thumbnail"}
    assert header["__metadata__"]["licence"] == "CC BY 4.0"
