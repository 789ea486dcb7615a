"""Marks of saved clips: what they state, in every container, signed and after an interruption."""

from __future__ import annotations

import io
import json
import logging
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import video_tools as tools
from api_tools import LABELS, A
from PIL import Image
from video_faces import Painted, clip, drawn

from e4s_engine import Steady, verify
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, UnmarkedWarning
from e4s_engine.marks.statement import COMPOSITE
from e4s_engine.photo import images, packets
from e4s_engine.video import ledger, parts

QUICK = Steady(every=4)
MIMES = {"mp4": "video/mp4", "m4v": "video/mp4", "mov": "video/quicktime", "gif": "image/gif"}
OWN = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:rights>Ann</dc:rights>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)


@pytest.fixture(scope="module")
def swapper(tiny_weights) -> Engine:
    return Engine(tiny_weights / "model.safetensors", landmarks=Painted(), device="cpu")


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "settings"))
    monkeypatch.setattr(parts, "LENGTH", 2)


@pytest.fixture(scope="module")
def source():
    buffer = io.BytesIO()
    Image.fromarray(A).save(buffer, "PNG")
    return buffer.getvalue()


def swap(swapper, source, frames, regions=("eyes",), **more):
    return swapper.video(source, frames, regions, steady=QUICK, source_labels=LABELS, **more)


def told(path: Path, mime: str):
    """Return what c2pa's own reader says."""
    c2pa = pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    with path.open("rb") as opened:
        reader = c2pa.Reader(mime, opened)
        return reader.get_validation_state(), json.loads(reader.json())


@pytest.mark.parametrize("kind", [*MIMES, "mkv", "webm"])
def test_every_container_says_which_faces_were_changed(swapper, source, kind, tmp_path) -> None:
    path = clip(tmp_path / "ann.mp4", 4, 1)
    with path.open("ab") as file:
        file.write(packets.mp4_box(OWN))
    out = swap(swapper, source, path).save(tmp_path / f"out.{kind}")
    verdict = verify(out)
    assert verdict.marked and verdict.ours and not verdict.problems
    assert verdict.xmp["Iptc4xmpExt:DigitalSourceType"] == COMPOSITE
    assert verdict.xmp["e4s:Faces"].startswith("Regions=eyes; Box=0 ")
    assert verdict.xmp["e4s:Inputs"].count("Role=") == 2
    packet = packets.of_file(out).xmp
    assert b"Ann" in packet and b"ann" not in packet  # the clip's own, without names of files
    if kind == "gif":
        assert len(tools.times(out)) == 4


def test_clips_on_file_systems_that_map_nothing_are_read(swapper, source, tmp_path, monkeypatch) -> None:
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    out = swap(swapper, source, drawn(3)).save(tmp_path / "out.mp4", sign=True)

    def refuse(*_, **__):
        raise OSError(19, "No such device")

    monkeypatch.setattr(packets.mmap, "mmap", refuse)
    assert verify(out).ours and verify(out).signature == "valid"


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_remuxing_keeps_the_mark_of_matroska_alone(swapper, source, kind, tmp_path) -> None:
    out = swap(swapper, source, drawn(3)).save(tmp_path / f"out.{kind}")
    again = tmp_path / f"again.{kind}"
    with tools.av.open(str(out)) as before, tools.av.open(str(again), "w") as after:
        after.metadata.update(before.metadata)
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(before.streams.video[0]):
            if packet.size:
                packet.stream = stream
                after.mux_one(packet)
    assert verify(again).ours == (kind == "mkv")


@pytest.mark.parametrize("kind", MIMES)
def test_both_readers_agree_on_signed_clips_and_one_byte_breaks_them(swapper, source, kind, tmp_path):
    path = clip(tmp_path / "in.mp4", 3, audio="aac")
    out = swap(swapper, source, path).save(tmp_path / f"out.{kind}", sign=True)
    state, report = told(out, MIMES[kind])
    assert state == "Valid"
    active = report["manifests"][report["active_manifest"]]
    (about,) = (one["data"] for one in active["assertions"] if one["label"].startswith("c2pa.actions"))
    opened, edited = about["actions"]
    assert (opened["action"], edited["action"]) == ("c2pa.opened", "c2pa.edited")
    assert edited["changes"][0]["description"] == "eyes"
    assert [one["relationship"] for one in active["ingredients"]] == ["parentOf", "componentOf"]
    verdict = verify(out)
    assert verdict.signature == "valid" and verdict.marked and verdict.xmp["e4s:Operation"] == "swap"
    assert len(tools.times(out)) == 3  # it still plays
    assert kind == "gif" or tools.packets(out) == tools.packets(path)
    data = bytearray(out.read_bytes())
    place = data.rindex(b"mdat") + 100 if kind != "gif" else len(data) - 100
    data[place] ^= 1
    out.write_bytes(data)
    assert told(out, MIMES[kind])[0] == "Invalid"
    assert verify(out).signature == "invalid" and verify(out).problems


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("kind", MIMES)
def test_exiftool_reads_clips_too(swapper, source, kind, tmp_path) -> None:
    out = swap(swapper, source, drawn(3)).save(tmp_path / f"out.{kind}")
    command = ["exiftool", "-s3", "-XMP-iptcExt:DigitalSourceType", "-XMP-e4s:FacesRegions", "-Error", out]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [COMPOSITE, "eyes"] and "Error" not in done.stdout


class StopError(Exception):
    pass


def test_a_run_that_goes_on_is_signed_and_knows_every_face(swapper, source, tmp_path) -> None:
    path = clip(tmp_path / "in.mp4", 5, 1)

    def stop(stage, done, _):
        if stage == "frames" and done == 4:
            raise StopError

    with pytest.raises(StopError):
        swap(swapper, source, path, progress=stop).save(tmp_path / "out.mp4", sign=True)
    out = swap(swapper, source, path).save(tmp_path / "out.mp4", sign=True, resume=True)
    whole = swap(swapper, source, path).save(tmp_path / "whole.mp4")
    assert told(out, "video/mp4")[0] == "Valid"
    assert verify(out).xmp == verify(whole).xmp  # the box is that of all frames
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.mp4", "out.mp4", "whole.mp4"]


def test_a_run_over_midnight_ends_with_the_bytes_of_an_unbroken_one(swapper, source, tmp_path, monkeypatch):
    path = clip(tmp_path / "in.mp4", 5, 1)

    def stop(stage, done, _):
        if stage == "frames" and done == 4:
            raise StopError

    monkeypatch.setattr(ledger, "today", lambda: "2026-01-31")
    whole = swap(swapper, source, path).save(tmp_path / "whole.mp4")
    with pytest.raises(StopError):
        swap(swapper, source, path, progress=stop).save(tmp_path / "out.mp4")
    monkeypatch.setattr(ledger, "today", lambda: "2026-02-01")
    out = swap(swapper, source, path).save(tmp_path / "out.mp4", resume=True)
    assert out.read_bytes() == whole.read_bytes()
    assert verify(out).xmp["e4s:Date"] == "2026-01-31"


def test_a_signed_clip_is_an_ingredient_with_its_manifest(swapper, source, tmp_path) -> None:
    first = swap(swapper, source, drawn(3)).save(tmp_path / "first.mp4", sign=True)
    again = swap(swapper, source, first, ["lips"]).save(tmp_path / "again.mp4", sign=True)
    state, report = told(again, "video/mp4")
    assert state == "Valid" and len(report["manifests"]) == 2
    verdict = verify(again)
    assert "C2PA: made of a target, which has a manifest of its own" in verdict.claimed
    assert "ContentCredentials=True" in verdict.xmp["e4s:Inputs"]
    assert "compositeWithTrainedAlgorithmicMedia" in verdict.xmp["e4s:Inputs"]
    assert verdict.xmp["e4s:Faces"].startswith("Regions=lips")


def test_a_broken_manifest_of_the_clip_loses_nothing(swapper, source, tmp_path, caplog) -> None:
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    first = swap(swapper, source, drawn(3)).save(tmp_path / "first.mp4", sign=True)
    data = bytearray(first.read_bytes())
    at = data.index(b"jumb") + 100
    data[at : at + 400] = bytes(400)
    first.write_bytes(data)
    assert verify(first).signature == "invalid"
    with caplog.at_level(logging.ERROR):
        out = swap(swapper, source, first, ["lips"]).save(tmp_path / "again.mp4", sign=True)
    assert verify(out).ours and len(tools.times(out)) == 3


def test_frames_in_a_folder_are_signed_one_by_one(swapper, source, tmp_path) -> None:
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    out = swap(swapper, source, drawn(3)).save(tmp_path / "frames", sign=True)
    assert [verify(file).signature for file in sorted(out.iterdir())] == ["valid"] * 3
    np.testing.assert_array_equal(images.read(out / "000000.png").shape, drawn(1)[0].shape)


def test_what_cannot_be_signed_is_an_error_before_any_work(swapper, source, tmp_path) -> None:
    video = swap(swapper, source, drawn(3))
    with pytest.raises(ArgumentError, match=r"sign: \.mkv holds no C2PA manifest; write one of \.gif, \.mp4"):
        video.save(tmp_path / "out.mkv", sign=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["mp4", "mkv", "gif", ""])
def test_the_switch_leaves_marks_out_of_clips_too(swapper, source, kind, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("E4S_MARKS", "off")
    with pytest.warns(UnmarkedWarning, match="research"):
        out = swap(swapper, source, drawn(3)).save(tmp_path / f"out.{kind}".strip("."), sign=True)
    file = out if kind else out / "000000.png"
    assert packets.of_file(file) == packets.Packets()
