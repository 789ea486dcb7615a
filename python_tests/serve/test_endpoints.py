"""The service's endpoints: what they answer is what the engine does."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from e4s_engine import regions, synth
from e4s_engine.engine import Engine
from e4s_engine.marks import xmp
from e4s_engine.marks.statement import Statement
from e4s_engine.photo import images, packets
from e4s_engine.result import Face

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
from serve_tools import running

from e4s_engine.serve.limits import Limits

SIDE = 256
PEOPLE = [synth.render(synth.person(seed), synth.scene(seed), SIDE, 2) for seed in (12, 7)]
PLAIN = {"align": "false"}


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


ANN, BEN = (png(person.image) for person in PEOPLE)
ANN_LABELS, BEN_LABELS = (png(person.labels) for person in PEOPLE)


@pytest.fixture(scope="module")
def engine(tiny_weights):
    def detect(image):
        return [PEOPLE[1].landmarks]

    with Engine(tiny_weights / "model.safetensors", device="cpu", landmarks=detect, max_batch=2) as tiny:
        yield tiny


@pytest.fixture(scope="module")
def client(engine):
    with running(engine) as (client, _):
        yield client


def test_swap_by_form(client, engine):
    reply = client.form("/v1/swap", {"source": ANN, "target": BEN, "regions": "eyes,nose", **PLAIN})
    assert reply.status == 200 and reply.headers["content-type"] == "image/png"
    wanted = engine.swap(ANN, BEN, ["eyes", "nose"], align=False).image
    np.testing.assert_array_equal(reply.picture, wanted)


def test_swap_by_json(client, engine):
    body = {"source": ANN, "target": BEN, "regions": ["eyes", "nose"], "extent": 0.5, "align": False}
    reply = client.json("/v1/swap", body)
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    wanted = engine.swap(ANN, BEN, ["eyes", "nose"], align=False, extent=0.5).image
    np.testing.assert_array_equal(images.read(base64.b64decode(reply.json["image"])), wanted)
    faces = [{"number": None, "quad": None, "regions": ["eyes", "nose"]}]
    told = {"format": "png", "width": SIDE, "height": SIDE, "faces": faces}
    assert {name: value for name, value in reply.json.items() if name != "image"} == told
    plain = client.json("/v1/swap", body, accept="*/*")
    assert plain.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(plain.picture, wanted)


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_formats(client, format):  # noqa: A002
    fields = {"source": ANN, "target": BEN, "regions": "eyes", "format": format, "quality": 40, **PLAIN}
    reply = client.form("/v1/swap", fields)
    assert reply.headers["content-type"] == f"image/{format}" and reply.picture.shape == (SIDE, SIDE, 3)
    assert Image.open(io.BytesIO(reply.body)).format == format.upper()


def test_labels_landmarks_and_several_people(client, engine):
    points = PEOPLE[1].landmarks.tolist()
    body = {
        "source": ANN, "regions": ["eyes"], "also": [{"regions": "lips", "image": BEN}], "target": BEN,
        "source_labels": ANN_LABELS, "target_landmarks": points,
        "source_landmarks": None, "align": "auto",
    }  # fmt: skip
    reply = client.json("/v1/swap", body, accept="image/png")
    wanted = engine.swap(
        {("eyes",): ANN, "lips": BEN},
        BEN,
        source_labels={("eyes",): PEOPLE[0].labels},
        target_landmarks=points,
    )
    np.testing.assert_array_equal(reply.picture, wanted.image)
    form = {"source": ANN, "target": BEN, "regions": "eyes", "blend": "none"}
    form["target_landmarks"] = json.dumps(points)
    same = client.form("/v1/swap", form).picture
    np.testing.assert_array_equal(
        same, engine.swap(ANN, BEN, "eyes", target_landmarks=points, blend="none").image
    )


def test_edit_and_reconstruct(client, engine):
    edit = client.form(
        "/v1/edit", {"image": BEN, "reference": ANN, "regions": "hair", "extent": 0.5, **PLAIN}
    )
    np.testing.assert_array_equal(edit.picture, engine.edit(BEN, ANN, "hair", 0.5, align=False).image)
    again = client.form("/v1/reconstruct", {"image": BEN, "labels": BEN_LABELS, **PLAIN})
    wanted = engine.reconstruct(BEN, PEOPLE[1].labels, align=False).image
    np.testing.assert_array_equal(again.picture, wanted)


def test_parse(client, engine):
    reply = client.form("/v1/parse", {"image": BEN, **PLAIN})
    labels = np.asarray(Image.open(io.BytesIO(reply.body)))
    np.testing.assert_array_equal(labels, engine.parse(BEN, align=False))
    told = client.json("/v1/parse", {"image": BEN, "align": False}).json
    assert told["regions"] == [regions.NAMES[i] for i in np.unique(labels)]


def test_faces(client):
    (face,) = client.form("/v1/faces", {"image": BEN}).json["faces"]
    assert face["number"] == 0 and np.allclose(face["points"], PEOPLE[1].landmarks)


def test_encode_gives_a_source_without_its_photo(client, engine, tmp_path):
    reply = client.form("/v1/encode", {"images": [ANN, ANN], "consent": "agreed", **PLAIN})
    assert reply.headers["content-type"] == "application/vnd.safetensors"
    assert Face.load(reply.body).consent == "agreed"
    swapped = client.form("/v1/swap", {"source": reply.body, "target": BEN, "regions": "eyes", **PLAIN})
    np.testing.assert_array_equal(swapped.picture, engine.swap(reply.body, BEN, "eyes", align=False).image)
    told = client.json("/v1/encode", {"images": [ANN], "align": False, "thumbnail": False}).json
    assert told["model"] == engine.fingerprint
    assert Face.load(base64.b64decode(told["face"])).thumbnail is None


def test_answers_carry_their_marks(client):
    done = client.form(
        "/v1/swap", {"source": ANN, "target": BEN, "regions": "eyes", "format": "jpeg", **PLAIN}
    )
    verdict = client.form("/v1/verify", {"file": done.body}).json
    assert verdict["marked"] and verdict["ours"] and not verdict["problems"]
    assert not client.json("/v1/verify", {"file": BEN}).json["marked"]
    assert client.form("/v1/verify", {"file": b"nothing"}).status == 422


def test_videos_say_what_they_are_too(client):
    """Such as `e4s video` writes: the mark is a box of its own, and nothing is decoded."""
    clip = (16).to_bytes(4, "big") + b"ftypisom" + bytes(4) + (8).to_bytes(4, "big") + b"mdat"
    marked = clip + packets.mp4_box(xmp.packet(Statement("swap", 1.0), None))
    for file in (marked, marked.replace(b"isom", b"qt  ")):
        verdict = client.form("/v1/verify", {"file": file}).json
        assert verdict["marked"] and verdict["ours"] and not verdict["problems"]
    assert not client.json("/v1/verify", {"file": clip}).json["marked"]
    assert client.form("/v1/verify", {"file": marked, "pixels": "quick"}).status == 422
    refused = client.form("/v1/swap", {"source": ANN, "target": marked, **PLAIN})
    assert refused.status == 422 and refused.error.startswith("target: ")


def test_a_guard_may_refuse(tiny_weights):
    def nobody(target, source):
        return "not here"

    guarded = Engine(tiny_weights / "model.safetensors", device="cpu", landmarks=None, guard=nobody)
    with guarded, running(guarded) as (client, _):
        reply = client.form("/v1/swap", {"source": ANN, "target": BEN, "regions": "eyes", **PLAIN})
        assert reply.status == 403 and "not here" in reply.error


@pytest.mark.parametrize(
    ("share", "status"), [("0", 200), ("false", 200), ("auto", 200), ("2", 422), ("true", 422)]
)
def test_shares_and_choices(client, share, status):
    """recolor=true needs weights that are not here."""
    fields = {"source": ANN, "target": BEN, "regions": "eyes", "recolor": share, **PLAIN}
    assert client.form("/v1/swap", fields).status == status


def test_requests_of_many_clients_are_batched(client, engine):
    """Two at a time go through the networks together; everybody gets an answer of their own."""
    from concurrent.futures import ThreadPoolExecutor

    names = ["eyes", "nose", "lips"]
    fields = [{"source": ANN, "target": BEN, "regions": name, **PLAIN} for name in names]
    with ThreadPoolExecutor(3) as pool:
        replies = list(pool.map(lambda one: client.form("/v1/swap", one), fields))
    for name, reply in zip(names, replies, strict=True):
        wanted = engine.swap(ANN, BEN, name, align=False).image
        assert np.abs(reply.picture.astype(int) - wanted).max() <= 1


def test_every_picture_of_a_request_is_measured(engine):
    with running(engine, Limits(megapixels=0.07)) as (client, _):
        large = png(np.zeros((300, 300, 3), np.uint8))
        one = {"source": ANN, "regions": "eyes", "target": BEN, "align": False}
        for more in ({"target": large}, {"also": [{"regions": "lips", "image": large}]}):
            reply = client.json("/v1/swap", one | more)
            assert reply.status == 413 and "300 x 300 pixels" in reply.error
        assert client.json("/v1/encode", {"images": [ANN, large], "align": False}).status == 413
        assert client.json("/v1/swap", one).status == 200


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        ("swap", {"source": ANN, "target": BEN, "regions": "ieyes"}, ["did you mean 'eyes'"]),
        ("swap", {"source": ANN, "target": b"no picture"}, ["target: ", "not an image"]),
        ("swap", {"source": ANN}, ["target: Field required"]),
        ("swap", {"source": ANN, "target": BEN, "extend": "1"}, ["extend: "]),
        ("swap", {"source": ANN, "target": BEN, "extent": "nan"}, ["extent: "]),
        ("swap", {"source": ANN, "target": BEN, "blend": "fether"}, ["blend: ", "'feather'"]),
        ("swap", {"source": ANN, "target": BEN, "quality": "90"}, ["quality: ", "lossless"]),
        ("swap", {"source": ANN, "target": BEN, "faces": "7"}, ["target: there is no face number 7"]),
        ("swap", {"source": ANN, "target": BEN, "target_landmarks": "[[1,2]"}, ["target_landmarks: "]),
        ("swap", {"source": ANN, "target": BEN, "source_labels": ANN[:99]}, ["source_labels: "]),
        ("edit", {"image": BEN, "reference": ANN}, ["regions: Field required"]),
        ("edit", {"image": BEN, "reference": ANN, "regions": "hair", "shape": "true"}, ["shape: "]),
        ("encode", {"images": [ANN] * 17}, ["images: "]),
        ("parse", {"image": "!"}, ["image: ", "base64"]),
    ],
)  # fmt: skip
def test_values_that_cannot_be_used_are_named(client, path, fields, words):
    reply = client.form(f"/v1/{path}", fields)
    assert reply.status == 422 and all(word in reply.error for word in words), reply.body
