"""The service's limits: size, time, number; keys; clients that leave; what it says about itself."""

from __future__ import annotations

import io
import json
import logging
import tempfile
import threading

import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
from serve_tools import FORM, SlowEngine, form_of, running, until

from e4s_engine.errors import ArgumentError, DeviceLostError
from e4s_engine.serve import exchanges, logs, server
from e4s_engine.serve.keys import Keys
from e4s_engine.serve.limits import Limits

KEY = "0123456789abcdef"


def grey(side):
    buffer = io.BytesIO()
    Image.new("L", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = {"image": grey(32)}


def head_of(length):
    lines = (
        "POST /v1/faces HTTP/1.1",
        "Host: x",
        f"Content-Type: {FORM}",
        f"Content-Length: {length}",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


@pytest.fixture
def slow():
    return SlowEngine()


def in_background(count, call):
    """Start threads that append what a call returns; return the threads and the list."""
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(call())) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, replies


def test_more_than_the_queue_holds_is_refused(slow):
    with running(slow, Limits(workers=1, queue=2)) as (client, service):
        threads, replies = in_background(3, lambda: client.form("/v1/faces", PICTURE))
        until(lambda: service.line.running == 1 and service.line.waiting == 2)
        reply = client.form("/v1/faces", PICTURE)
        assert reply.status == 503 and 1 <= int(reply.headers["retry-after"]) <= 60
        assert b"e4s_waiting 2\n" in client.get("/metrics").body and client.get("/ready").status == 200
        slow.go.set()
        for thread in threads:
            thread.join()
        assert [one.status for one in replies] == [200] * 3
        assert client.form("/v1/faces", PICTURE).status == 200
    assert slow.calls == 4


def test_time_is_limited(slow):
    with running(slow, Limits(workers=1, queue=4, seconds=0.3)) as (client, service):
        running_out = client.form("/v1/faces", PICTURE)
        assert running_out.status == 504 and "0.3 s" in running_out.error
        # The engine cannot be stopped: its place is taken until it returns, and the next one waits in vain.
        assert service.line.running == 1
        assert client.form("/v1/faces", PICTURE).status == 504
        slow.go.set()
        until(lambda: service.line.running == 0)
        assert client.form("/v1/faces", PICTURE).status == 200
    assert slow.calls == 2


def test_work_of_a_client_that_left_is_not_begun(slow):
    with running(slow, Limits(workers=1, queue=4)) as (client, service):
        threads, replies = in_background(1, lambda: client.form("/v1/faces", PICTURE))
        until(lambda: service.line.running == 1)
        body = form_of(PICTURE)
        with client.raw() as left:
            head = head_of(len(body))
            left.sendall(head + body)
            until(lambda: service.line.waiting == 1)
        until(lambda: service.line.waiting == 0)
        assert service.bodies.used == len(body)  # the one that runs
        until(
            lambda: b'e4s_requests_total{endpoint="/v1/faces",status="499"} 1' in client.get("/metrics").body
        )
        slow.go.set()
        threads[0].join()
        assert replies[0].status == 200 and slow.calls == 1 and service.bodies.used == 0


def test_slow_and_broken_uploads(slow):
    slow.go.set()
    with running(slow, Limits(upload_seconds=0.3)) as (client, service):
        head = head_of(1000)
        with client.raw() as dawdler, client.raw() as quitter:
            for connection in (dawdler, quitter):
                connection.sendall(head + b"--e4s")
            quitter.close()
            assert client.form("/v1/faces", PICTURE).status == 200  # others do not notice
            assert dawdler.recv(4096).startswith(b"HTTP/1.1 408 ")
        until(lambda: service.bodies.used == 0)
    assert slow.calls == 1


def test_pictures_are_not_spooled_to_disk(slow, monkeypatch):
    def rollover(file):
        raise AssertionError("a temporary file was written")

    slow.go.set()
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rollover)
    with running(slow) as (client, _):
        assert client.form("/v1/faces", {"image": grey(32) + bytes(3_000_000)}).status == 200


def test_sizes_are_limited_before_memory_is_taken(slow):
    slow.go.set()
    with running(slow, Limits(megabytes=0.01, megapixels=0.01)) as (client, service):
        large = form_of({"image": bytes(20_000)})
        told = client.send("POST", "/v1/faces", large, Content_Type=FORM)
        chunked = client.send("POST", "/v1/faces", iter([large[:9000], large[9000:]]), Content_Type=FORM)
        assert told.status == chunked.status == 413 and "0.01 MiB" in chunked.error
        with client.raw() as polite:  # curl asks before it sends a large body
            polite.sendall(head_of(20_000)[:-2] + b"Expect: 100-continue\r\n\r\n")
            assert polite.recv(4096).startswith(b"HTTP/1.1 413 ")
        wide = client.form("/v1/faces", {"image": grey(101)})
        assert wide.status == 413 and "101 x 101 pixels" in wide.error
        assert client.form("/v1/faces", {"image": grey(100)}).status == 200
        assert service.bodies.used == 0


def test_all_bodies_together_are_limited(slow):
    with running(slow, Limits(workers=1, queue=0, megabytes=0.01)) as (client, service):
        body = form_of({"image": bytes(9000)})
        head = head_of(len(body))
        with client.raw() as first:
            first.sendall(head + body[:-10])
            until(lambda: service.bodies.used > 9000)
            reply = client.send("POST", "/v1/faces", body, Content_Type=FORM)
            assert reply.status == 503 and "memory" in reply.error
        until(lambda: service.bodies.used == 0)


def test_open_requests_are_limited(slow, monkeypatch):
    monkeypatch.setattr(exchanges, "MOST_OPEN", 2)
    with running(slow) as (client, service), client.raw() as one, client.raw() as two:
        for connection in (one, two):
            connection.sendall(head_of(1000) + b"-")
        until(lambda: service.bodies.used == 2)
        reply = client.get("/health")
        assert reply.status == 503 and reply.headers["retry-after"] == "1"
        two.close()
        until(lambda: client.get("/health").status == 200)


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status"),
    [
        ("GET", "/nowhere", None, "", 404),
        ("GET", "/v1/faces", None, "", 405),
        ("POST", "/v1/faces", b"{}", "text/plain", 415),
        ("POST", "/v1/faces", b"{", "application/json", 400),
        ("POST", "/v1/faces", b"[]", "application/json", 422),
        ("POST", "/v1/faces", b'{"image": 5}', "application/json", 422),
        ("POST", "/v1/faces", b"[" * 100_000, "application/json", 400),
        ("POST", "/v1/faces", b"nothing", "multipart/form-data", 400),
        ("POST", "/v1/faces", b"nothing", FORM, 400),
        ("POST", "/v1/faces", form_of({"image": ["x"] * 70}), FORM, 400),
        ("POST", "/v1/faces", b"\xff\xfe", "application/json", 400),
    ],
)
def test_requests_that_are_none(slow, method, path, body, kind, status):
    with running(slow) as (client, _):
        reply = client.send(method, path, body, Content_Type=kind)
        assert reply.status == status and set(reply.json["error"]) == {"kind", "message"}


def test_keys(slow, tmp_path):
    slow.go.set()
    with running(slow, keys=[KEY, "another-key-of-somebody"]) as (client, _):
        assert client.form("/v1/faces", PICTURE).status == 200
        assert client.get("/metrics").status == 200
        for key in (None, KEY[:-1], KEY + "0", "", "é" * 20):
            client.key = None
            headers = {} if key is None else {"Authorization": f"Bearer {key}".encode().decode("latin-1")}
            reply = client.form("/v1/faces", PICTURE, **headers)
            assert reply.status == 401 and reply.headers["www-authenticate"] == "Bearer"
        assert client.form("/v1/faces", PICTURE, Authorization=f"Basic {KEY}").status == 401
        assert [client.get(path).status for path in ("/metrics", "/openapi.json", "/nowhere")] == [401] * 3
        assert [client.get(path).status for path in ("/health", "/ready")] == [200] * 2


def test_key_files(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# for the page\n{KEY}\n\n")
    assert Keys.read(path).allow(f"bearer  {KEY} ") and not Keys.read(path).allow(KEY)
    for text in ("", "# nothing\n", "short\n"):
        path.write_text(text)
        with pytest.raises(ArgumentError, match="at least 16 ASCII characters"):
            Keys.read(path)
    with pytest.raises(ArgumentError, match="cannot be read"):
        Keys.read(tmp_path)


def test_only_this_machine_unless_it_is_wanted():
    server.check_host("127.0.0.1", Keys([]), False)
    server.check_host("0.0.0.0", Keys([KEY]), False)
    server.check_host("0.0.0.0", Keys([]), True)
    with pytest.raises(ArgumentError, match=r"host: 0\.0\.0\.0 can be reached from elsewhere"):
        server.check_host("0.0.0.0", Keys([]), False)


@pytest.mark.parametrize(
    "change", [{"workers": 0}, {"queue": -1}, {"seconds": 0}, {"megabytes": float("nan")}]
)
def test_limits_have_limits(change):
    with pytest.raises(ArgumentError, match=next(iter(change))):
        Limits(**change)


def test_unforeseen_errors_say_nothing_about_the_picture(caplog):
    class Broken:
        def faces(self, image):
            raise RuntimeError("ann-secret")

        def close(self):
            pass

    with caplog.at_level(logging.INFO, "e4s_engine.serve"), running(Broken()) as (client, _):
        reply = client.form("/v1/faces", PICTURE, X_Request_ID="trace-7")
        assert reply.status == 500 and "ann-secret" not in reply.error and "trace-7" in reply.error
        assert reply.headers["x-request-id"] == "trace-7"
    lines = [logs.Lines().format(record) for record in caplog.records if record.name == "e4s_engine.serve"]
    assert not any("ann-secret" in line or "127.0.0.1" in line for line in lines)
    told = [json.loads(line) for line in lines]
    assert told[0]["exception"] == "RuntimeError" and told[0]["request"] == "trace-7"
    fields = {"request": "trace-7", "method": "POST", "endpoint": "/v1/faces", "status": 500}
    assert fields.items() <= told[1].items() and told[1]["received"] > 100


def test_a_lost_gpu_asks_to_be_restarted():
    class Lost(SlowEngine):
        def faces(self, image):
            raise DeviceLostError("device: gone")

    with running(Lost()) as (client, _):
        assert client.get("/health").status == 200
        assert client.form("/v1/faces", PICTURE).status == 500
        assert client.get("/health").status == client.get("/ready").status == 503


def test_metrics_are_prometheus_text(slow):
    slow.go.set()
    with running(slow) as (client, _):
        client.form("/v1/faces", PICTURE)
        client.get("/" + "x" * 500)
        reply = client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {}
    for line in reply.body.decode().splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            samples[name] = float(value)
    assert samples['e4s_requests_total{endpoint="/v1/faces",status="200"}'] == 1
    assert samples['e4s_requests_total{endpoint="other",status="404"}'] == 1
    assert samples['e4s_request_seconds_bucket{endpoint="/v1/faces",le="+Inf"}'] == 1
    assert samples['e4s_request_seconds_count{endpoint="/v1/faces"}'] == 1
    buckets = [value for name, value in samples.items() if '_bucket{endpoint="/v1/faces"' in name]
    assert buckets == sorted(buckets) and samples["e4s_waiting"] == 0
    parser = pytest.importorskip("prometheus_client.parser")
    families = {family.name for family in parser.text_string_to_metric_families(reply.body.decode())}
    assert families >= {"e4s_requests", "e4s_request_seconds", "e4s_held_bytes"}


def test_the_schema_has_every_endpoint_with_examples(slow):
    with running(slow, keys=[KEY]) as (client, _):
        document = client.get("/openapi.json").json
    assert document["security"] == [{"key": []}]
    for name in ("swap", "edit", "parse", "faces", "reconstruct", "encode", "verify"):
        operation = document["paths"][f"/v1/{name}"]["post"]
        content = operation["requestBody"]["content"]
        assert content["application/json"]["example"] and "$ref" not in json.dumps(content)
        form = content["multipart/form-data"]["schema"]["properties"]
        assert "binary" in json.dumps(form) and "base64" not in json.dumps(form) and "also" not in form
        assert operation["responses"]["200"]["content"]["application/json"]["example"]
        assert {"401", "408", "413", "415", "422", "503", "504"} <= set(operation["responses"])
    assert (
        "extent"
        in document["paths"]["/v1/swap"]["post"]["requestBody"]["content"]["application/json"]["schema"][
            "properties"
        ]
    )
