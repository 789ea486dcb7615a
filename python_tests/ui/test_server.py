"""The page's server: what it answers to its page, to wrong requests, and to other sites."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from api_tools import LABELS, A, B

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from ui_tools import Client, base64_png, pixels, png, served

import e4s_engine
from e4s_engine import regions, weights
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, BackendError
from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.ui import photos
from e4s_engine.ui.visitors import Limits

UNPAINTED = regions.UNPAINTED
VID2VID = FaceVid2VidConfig(
    points=5, depth=2, features=4, widest=16, mixed=4, first=(4, 4, 8), width=8, out=4, middle=1, hidden=4,
    bins=6, pose=4, blocks=(1, 1, 1, 1),
)  # fmt: skip


@pytest.fixture(scope="module")
def port(engine):
    with served(engine, notice="be kind") as port:
        yield port


@pytest.fixture
def client(port):
    client = Client(port)
    yield client
    client.post("/api/forget", {})


@pytest.fixture
def swap(client):
    """Return a request to swap the eyes of `B` into `A`."""
    target, source = client.add(A, "target"), client.add(B, "source")
    return {"target": target["id"], "sources": [{"photo": source["id"], "regions": ["eyes"]}]}


def refusal(answer, status=422):
    got, body = answer
    assert got == status, body
    return json.loads(body)


def test_the_page_comes_from_the_server_alone(client):
    status, page = client.get("/")
    assert status == 200 and b"<title>e4s" in page
    assert "default-src 'none'" in client.headers["content-security-policy"]
    assert client.headers["x-content-type-options"] == "nosniff"
    for name in (
        "style.css",
        "main.js",
        "paint.js",
        "photos.js",
        "facemap.js",
        "api.js",
        "png.js",
        "icon.svg",
    ):
        status, file = client.get(f"/{name}")
        assert status == 200 and file and name.encode() in page + client.get("/main.js")[1]
        assert b"//" not in file.replace(b"http://www.w3.org/2000/svg", b"") or name.endswith("js")
        assert b"https:" not in file
    assert client.get("/../app.py")[0] == 404


def test_the_page_learns_what_there_is(client, engine):
    facts = json.loads(client.get("/api/about")[1])
    assert facts["regions"] == list(regions.NAMES) and facts["size"] == engine.config.size
    assert facts["notice"] == "be kind" and not facts["demo"]
    options = {option["name"]: option for option in facts["options"]}
    assert options["extent"]["default"] == 1.0 and "feather" in options["blend"]["choices"]
    assert "relight" not in options  # this model has none
    assert not {"align", "faces", "reenact"} & set(options)


def test_a_photo_is_read_once_and_its_labels_travel_exactly(client, engine):
    photo = client.add(A)
    assert (photo["width"], photo["height"], photo["error"]) == (96, 96, None)
    assert photo["picked"]["number"] is None
    status, labels = client.get(f"/api/photos/{photo['id']}/labels")
    assert status == 200 and client.headers["content-type"] == "image/png"
    assert labels[24] == 8 and np.array_equal(pixels(labels), engine.parse(A))  # 8 bits a pixel
    for view in ("face", "photo"):
        status, shown = client.get(f"/api/photos/{photo['id']}/{view}")
        assert status == 200 and pixels(shown).shape[0] == {"face": 1024, "photo": 96}[view]
    assert client.ask("DELETE", f"/api/photos/{photo['id']}")[0] == 204
    assert client.get(f"/api/photos/{photo['id']}/labels")[0] == 404


def test_a_download_is_the_engine_s_swap(client, engine, swap, tmp_path):
    status, data = client.post("/api/download", {**swap, "format": ".png", "options": {"extent": 0.5}})
    assert status == 200 and client.headers["content-disposition"].startswith("attachment")
    face, me = engine.encode(B), engine.encode(A, keep_photo=True)
    wanted = engine.swap(face, me, ["eyes"], extent=0.5)
    assert np.array_equal(pixels(data), wanted.image) and (wanted.image != A).any()
    files = data, client.post("/api/swap", swap)[1], client.post("/api/sheet", swap)[1]
    for number, file in enumerate(files):
        path = tmp_path / f"{number}.png"
        path.write_bytes(file)
        assert e4s_engine.verify(path).marked
    status, data = client.post("/api/download", {**swap, "format": ".jpg", "quality": 80})
    assert status == 200 and data[:2] == b"\xff\xd8"


def test_paint_goes_with_a_swap(client, engine, swap):
    painted = np.full((512, 512), UNPAINTED, np.uint8)
    painted[250:300, 240:280] = regions.NOSE
    body = {**swap, "painted": base64_png(painted)}
    status, composed = client.post("/api/labels", body)
    assert status == 200
    me = engine.encode(A, keep_photo=True)
    wanted = engine.swap(engine.encode(B), me, ["eyes"], painted=painted)
    assert np.array_equal(pixels(composed), wanted.labels)
    assert np.array_equal(pixels(client.post("/api/download", body)[1]), wanted.image)
    alone = {"target": swap["target"], "sources": [], "painted": base64_png(painted)}
    wanted = engine.swap(me, me, [], painted=painted)
    assert np.array_equal(pixels(client.post("/api/download", alone)[1]), wanted.image)


def test_several_people_give_what_they_are_asked_for(client, engine, swap):
    third = client.add(np.flip(B, 0).copy(), "source")
    swap["sources"].append({"photo": third["id"], "regions": ["lips", "hair"]})
    data = client.post("/api/download", swap)[1]
    people = {("eyes",): engine.encode(B), ("lips", "hair"): engine.encode(np.flip(B, 0).copy())}
    assert np.array_equal(pixels(data), engine.swap(people, engine.encode(A, keep_photo=True)).image)
    for twice in (["eyes"], ["eyes", "nose"]):
        swap["sources"][1]["regions"] = twice
        assert "every region needs exactly one" in refusal(client.post("/api/swap", swap))["error"]
    swap["sources"][1]["regions"] = None
    assert "regions: a whole face comes from one source" in refusal(client.post("/api/swap", swap))["error"]


def test_views_and_the_sheet(client, swap):
    for view, side in (("face", 1024), ("photo", 96)):
        status, shown = client.post("/api/swap", {**swap, "view": view})
        assert status == 200 and client.headers["content-type"] == "image/jpeg"
        assert max(pixels(shown).shape) in (side, 96)
        assert client.headers["server-timing"].startswith("swap;dur=")
    status, sheet = client.post("/api/sheet", swap)
    assert status == 200 and pixels(sheet).shape[1] > 4 * 384


@pytest.mark.parametrize(
    ("change", "about", "words"),
    [
        ({"options": {"extent": 2}}, "extent", "expected a number in [0, 1], got 2"),
        ({"options": {"blend": "x"}}, "blend", "expected one of feather"),
        ({"options": {"faces": "all"}}, "options", "'faces' is none here"),
        ({"options": []}, "options", "expected an object"),
        ({"sources": [{"photo": "no", "regions": []}]}, "source", "this photo is not here"),
        ({"sources": "no"}, "sources", "expected a list"),
        ({"target": 3}, "target", "this photo is not here"),
        ({"painted": "no"}, "painted", "expected a PNG in base64"),
        ({"painted": base64_png(np.full((8, 8), 12, np.uint8))}, "painted", "found 12"),
        ({"painted": base64_png(np.zeros((8, 8, 3), np.uint8))}, "painted", "got RGB [8, 8]"),
        ({"view": "x"}, "view", "expected one of face, photo"),
        ({"format": ".exe"}, "format", "expected one of .png"),
        ({"format": ".png", "quality": 3}, "quality", "lossless"),
    ],
)
def test_errors_name_what_is_wrong(client, swap, change, about, words):
    path = "/api/download" if {"format", "quality"} & set(change) else "/api/swap"
    status, body = client.post(path, swap | change)
    error = json.loads(body)
    assert status in (404, 422), body
    assert error["about"] == about and words in error["error"], error


def test_rendered_people_are_photos_like_others(client):
    status, answer = client.post("/api/rendered", {"seed": 3})
    photo = json.loads(answer)
    assert status == 200 and photo["width"] == photos.RENDERED and photo["picked"]
    for seed in (-1, 1e9, "3", True, None):
        assert "seed: expected an integer" in refusal(client.post("/api/rendered", {"seed": seed}))["error"]


def test_a_source_is_driven_where_the_weights_are_at_hand(tiny_weights, tmp_path, client):
    assert not json.loads(client.get("/api/about")[1])["reenacts"]
    for name in ("model", "parser"):
        (tmp_path / f"{name}.safetensors").write_bytes((tiny_weights / f"{name}.safetensors").read_bytes())
    weights.save(weights.random_model(VID2VID), tmp_path / "driver.safetensors")
    with (
        Engine(tmp_path, parser=lambda _: LABELS, landmarks=None, device="cpu") as engine,
        served(engine) as port,
    ):
        client = Client(port)
        assert json.loads(client.get("/api/about")[1])["reenacts"]
        target, source = client.add(A, "target")["id"], client.add(B, "source")["id"]
        body = {"target": target, "sources": [{"photo": source, "regions": ["nose"]}]}
        plain = client.post("/api/download", body)[1]
        status, answer = client.post(f"/api/photos/{source}/drive", {"target": target})
        assert status == 200 and json.loads(answer)["picked"]["driven"]
        wanted = engine.swap(engine.encode(B, driving=A), engine.encode(A, keep_photo=True), ["nose"])
        assert np.array_equal(pixels(client.post("/api/download", body)[1]), wanted.image)
        assert pixels(client.post("/api/sheet", body)[1]).shape[1] > 5 * 384
        assert client.post(f"/api/photos/{source}/drive", {"target": None})[0] == 200
        assert np.array_equal(pixels(client.post("/api/download", body)[1]), pixels(plain))


@pytest.fixture
def saved(engine, tmp_path):
    """Return a function that saves the face of `B`; it returns the file's bytes."""

    def save(**how):
        engine.encode(B).save(tmp_path / "bob.face", **how)
        return (tmp_path / "bob.face").read_bytes()

    return save


def test_a_saved_face_is_a_source_beside_photos(client, engine, swap, saved):
    face = client.add(saved(consent="agreed"), "source")
    assert face["saved"] == {"consent": "agreed", "licence": ""} and face["picked"]["number"] is None
    assert (face["width"], face["faces"]) == (128, []) and "eyes" in face["picked"]["regions"]
    assert pixels(client.get(f"/api/photos/{face['id']}/face")[1]).shape == (128, 128, 3)
    swap["sources"] = [{"photo": face["id"], "regions": ["nose"]}, *swap["sources"]]
    loaded, bob = e4s_engine.Face.load(saved()), engine.encode(B)
    wanted = engine.swap({"nose": loaded, "eyes": bob}, engine.encode(A, keep_photo=True))
    assert np.array_equal(pixels(client.post("/api/download", swap)[1]), wanted.image)
    assert pixels(client.post("/api/sheet", swap)[1]).shape[1] > 4 * 384
    status, labels = client.get(f"/api/photos/{face['id']}/labels")
    assert status == 200 and np.array_equal(pixels(labels), loaded.labels)


def test_a_saved_face_without_a_picture_is_shown_by_its_labels(client, saved):
    face = client.add(saved(thumbnail=False), "source")
    assert face["width"] == regions.LABEL_SIZE
    assert pixels(client.get(f"/api/photos/{face['id']}/photo")[1]).std() > 0


def test_a_saved_face_holds_no_photo(client, swap, saved):
    about = "a saved face holds no photo"
    face, data = client.add(saved(), "source")["id"], saved()
    assert about in refusal(client.ask("POST", "/api/photos?as=target", data))["error"]
    refused = refusal(client.post("/api/swap", {**swap, "target": face}))
    assert refused["about"] == "target" and about in refused["error"]
    driven = client.post(f"/api/photos/{face}/drive", {"target": swap["target"]})
    assert f"source: {about} that can be driven" in refusal(driven)["error"]
    assert "others to pick" in refusal(client.post(f"/api/photos/{face}/face", {"face": 0}))["error"]


def test_a_saved_face_of_another_model_takes_no_place(client, saved, engine):
    other = saved().replace(engine.fingerprint.encode(), b"0" * len(engine.fingerprint))
    error = refusal(client.ask("POST", "/api/photos?as=source", other))["error"]
    assert error.startswith("source: this Face was encoded by another model")
    damaged = refusal(client.ask("POST", "/api/photos?as=source", saved()[:-40]))["error"]
    assert "no saved Face that can be read" in damaged and client.cookie is None


def test_an_unknown_region_is_the_engine_s_error(client, swap):
    swap["sources"][0]["regions"] = ["noze"]
    error = refusal(client.post("/api/swap", swap))
    assert error["about"] == "regions" and "did you mean 'nose'?" in error["error"]


def test_what_is_no_photo_takes_no_place(engine):
    with served(engine, limits=Limits(visitors=1)) as port:
        for _ in range(3):
            client = Client(port)
            error = refusal(client.ask("POST", "/api/photos?as=source", b"nothing"))
            assert error["error"].startswith("source: 7 bytes is not an image") and client.cookie is None
            cut = png(A)[:2000]
            error = refusal(client.ask("POST", "/api/photos?as=source", cut))
            assert "truncated or damaged" in error["error"] and client.cookie is None
        assert Client(port).add(A)
        assert "no more fit" in refusal(Client(port).ask("POST", "/api/photos", png(A)), 503)["error"]


def test_limits_hold_before_memory_is_taken(engine):
    limits = Limits(file_bytes=50_000, photos=2, pixels=96 * 96, all_pixels=96 * 96 + 64 * 64, seconds=1)
    with served(engine, limits=limits) as port:
        client = Client(port)
        error = refusal(client.ask("POST", "/api/photos", b"x" * 50_001), 413)
        assert error == {
            "error": "photo: the file is larger than 0 MB; reduce the photo first",
            "about": "photo",
        }
        announced = {"Content-Length": "9" * 12}
        with socket.create_connection(("127.0.0.1", port)) as slow:
            head = f"POST /api/photos HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: {{}}\r\n\r\n"
            slow.sendall(head.format(announced["Content-Length"]).encode())
            assert b" 413 " in slow.recv(100)
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(head.format(100).encode() + b"only this")
            assert b" 408 " in slow.recv(100)
        chunks = (b"y" * 10_000 for _ in range(9))  # no length is announced
        assert client.ask("POST", "/api/photos", chunks)[0] == 413
        client.add(A)
        error = refusal(client.ask("POST", "/api/photos", png(A)), 413)
        assert "all photos together may have 0 million pixels" in error["error"]
        client.add(A[:64, :64].copy())
        small = png(A[:32, :32].copy())
        assert "at most 2 photos" in refusal(client.ask("POST", "/api/photos", small), 413)["error"]
        wide = png(np.zeros((97, 97, 3), np.uint8))
        assert refusal(Client(port).ask("POST", "/api/photos", wide), 413)["error"].startswith(
            "photo: 97 x 97"
        )


def test_visitors_see_their_own_photos_alone(client, port, swap):
    other = Client(port)
    assert other.post("/api/swap", swap)[0] == 404
    other.add(A)
    assert other.cookie != client.cookie
    assert other.post("/api/swap", swap)[0] == 404
    assert other.get(f"/api/photos/{swap['target']}/photo")[0] == 404
    assert other.ask("DELETE", f"/api/photos/{swap['target']}")[0] == 204
    assert client.post("/api/swap", swap)[0] == 200
    assert other.post("/api/forget", {})[0] == 204
    assert client.post("/api/forget", {})[0] == 204
    assert client.post("/api/swap", swap)[0] == 404


def test_the_cookie_is_random_and_stays_with_the_browser(client):
    client.add(A)
    said = client.headers["set-cookie"].lower()
    assert "httponly" in said and "samesite=strict" in said and "max-age" not in said
    assert len(client.cookie.partition("=")[2]) >= 40


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", ""])
def test_another_name_is_not_served(client, port, host):
    status, body = client.get("/api/about", Host=host.format(port=port))
    assert status == 403 and b"this server is not" in body


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1", "[::1]:{port}", "192.168.1.7:{port}"])
def test_its_own_names_are_served(client, port, host):
    assert client.get("/api/about", Host=host.format(port=port))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_other_sites_change_nothing(client, swap, headers):
    assert client.post("/api/swap", swap, **headers)[0] == 403
    assert client.ask("POST", "/api/photos", png(A), **headers)[0] == 403
    assert client.post("/api/forget", {}, **headers)[0] == 403
    assert client.post("/api/swap", swap)[0] == 200


def test_a_form_of_another_site_is_no_request(client, swap):
    status, body = client.ask("POST", "/api/swap", json.dumps(swap), Content_Type="text/plain")
    assert status == 415 and b"expected application/json" in body
    assert (
        refusal(client.ask("POST", "/api/swap", "{", Content_Type="application/json"))["about"] == "request"
    )
    assert "got list" in refusal(client.post("/api/swap", []))["error"]


def test_no_files_are_left(client, swap, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert client.post("/api/download", swap)[0] == client.post("/api/sheet", swap)[0] == 200
    assert not list(tmp_path.iterdir())


def test_a_visitor_waits_in_a_short_line(engine, monkeypatch):
    began, go_on = threading.Event(), threading.Event()
    swap = type(engine).swap

    def slow(*arguments, **options):
        began.set()
        assert go_on.wait(60)
        return swap(*arguments, **options)

    with served(engine, limits=Limits(waiting=1)) as port, ThreadPoolExecutor(1) as pool:
        client, other = Client(port), Client(port)
        body = {"target": client.add(A)["id"], "sources": []}
        theirs = {"target": other.add(A)["id"], "sources": []}
        monkeypatch.setattr(type(engine), "swap", slow)
        first = pool.submit(client.post, "/api/swap", body)
        assert began.wait(60)
        assert "too many requests" in refusal(client.post("/api/swap", body), 429)["error"]
        monkeypatch.setattr(type(engine), "swap", swap)
        assert other.post("/api/swap", theirs)[0] == 200  # others go on
        go_on.set()
        assert first.result(60)[0] == 200


def test_a_fault_of_ours_is_said_as_one(engine, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("secret")

    with served(engine) as port:
        client = Client(port)
        photo = client.add(A)
        monkeypatch.setattr(type(engine), "swap", broken)
        body = {"target": photo["id"], "sources": []}
        assert "internal error" in refusal(client.post("/api/swap", body), 500)["error"]


def test_missing_packages_are_named_with_the_extra(monkeypatch):
    from e4s_engine.ui import running

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(BackendError, match=r"needs starlette and uvicorn .*e4s_engine\[ui\]"):
        running.check()


def test_the_command_serves_until_it_is_interrupted(tiny_weights):
    command = [sys.executable, "-m", "e4s_engine.cli", "ui", "--port", "0", "--weights", str(tiny_weights)]
    # Jobs in the background of a script ignore SIGINT, and so would what they start.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    with process:
        said = process.stdout.readline()
        address = re.match(r"open http://127\.0\.0\.1:(\d+)/", said)
        assert address, said + process.stderr.read()
        for _ in range(100):
            with contextlib.suppress(ConnectionError):
                assert Client(int(address.group(1))).get("/")[0] == 200
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "e4s: interrupted\n")


@pytest.mark.parametrize(
    ("place", "port", "host", "url"),
    [
        ("127.0.0.1", 7860, "127.0.0.1", "http://127.0.0.1:7860/"),
        ("::1", 80, "localhost", "http://[::1]:80/"),
        ("0.0.0.0", 8, "0.0.0.0", f"http://{socket.gethostname()}:8/"),
        ("192.168.1.7", 8, "box.local", "http://box.local:8/"),
    ],
)
def test_the_address_is_one_to_open(place, port, host, url):
    from types import SimpleNamespace

    from e4s_engine.ui import running

    listening = SimpleNamespace(getsockname=lambda: (place, port))
    assert running.address(listening, host) == url
    assert running.is_local(listening) == (place in ("127.0.0.1", "::1"))


def test_a_port_in_use_is_an_error(port):
    from e4s_engine.ui import running

    with pytest.raises(ArgumentError, match=rf"host: cannot listen on 127.0.0.1 port {port} .*--port"):
        running.opened("127.0.0.1", port)
