"""Marks in saved files: what they state, what survives beside them, and the promise about other pixels."""

from __future__ import annotations

import dataclasses
import io
import itertools
import shutil
import struct
import subprocess
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
from api_tools import FIVE, LABELS, SIDE, A, B
from PIL import Image, PngImagePlugin

import e4s_engine
from e4s_engine.errors import ArgumentError, ImageError, UnmarkedWarning
from e4s_engine.marks import making, xmp
from e4s_engine.marks.statement import (
    COMPOSITE,
    GENERATED,
    ChangedFace,
    Input,
    Statement,
    box_of,
    is_synthetic,
)
from e4s_engine.photo import images, packets

FORMATS = ("png", "jpg", "webp", "tif", "avif", "gif")
OWN = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    b'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia">'
    b"<dc:rights>Ann &amp; Co</dc:rights></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def photo_file(kind: str, pixels=B, packet: bytes | None = OWN, **options) -> bytes:
    """Return a picture file, with a packet that is put in by Pillow where it can."""
    buffer = io.BytesIO()
    if packet is not None and kind == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", packet.decode())
    elif packet is not None and kind == "TIFF":
        options["tiffinfo"] = {700: packet}
    elif packet is not None:
        options["xmp"] = packet
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def swapped(engine):
    kept = {"source_labels": LABELS, "target_labels": LABELS, "align": False}
    return engine.swap(photo_file("JPEG", A, None), photo_file("PNG"), ["eyes", "hair"], extent=0.5, **kept)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_says_what_was_done(swapped, kind, tmp_path) -> None:
    path = tmp_path / f"ann_and_bob.{kind}"
    swapped.save(path)
    packet = packets.find(path.read_bytes()).xmp
    assert b"ann" not in packet.replace(b"Ann &amp; Co", b"") and str(tmp_path).encode() not in packet
    stated = xmp.read(packet)
    assert stated["Iptc4xmpExt:DigitalSourceType"] == COMPOSITE
    assert stated["Iptc4xmpExt:AISystemUsed"] == stated["e4s:Tool"] == "e4s_engine"
    assert stated["e4s:Operation"] == "swap" and stated["e4s:Extent"] == "0.5"
    assert f"Regions=eyes, hair; Box=0 0 {SIDE} {SIDE}" in stated["e4s:Faces"]
    assert "trainedAlgorithmicMedia" in stated["e4s:Inputs"]  # the target was a model's already
    verdict = e4s_engine.verify(path)
    assert verdict.marked and verdict.ours and not verdict.problems and not verdict.certain
    np.testing.assert_array_equal(images.read(path).shape, swapped.image.shape)


@pytest.mark.parametrize(
    ("kind", "before"), list(itertools.product(FORMATS, ("PNG", "JPEG", "WEBP", "TIFF")))
)
def test_the_photos_own_metadata_stays(engine, kind, before, tmp_path) -> None:
    path = tmp_path / f"out.{kind}"
    engine.reconstruct(photo_file(before), LABELS, align=False).save(path)
    packet = packets.find(path.read_bytes()).xmp
    assert b"Ann &amp; Co" in packet and packet.count(b"DigitalSourceType>http") == 2  # ours, the input's
    assert xmp.source_type(packet) == GENERATED


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_pictures_of_16_bits_are_marked_and_otherwise_the_same(engine, suffix, tmp_path) -> None:
    from e4s_engine.photo import depth

    deep = np.random.default_rng(0).integers(0, 65536, (SIDE, SIDE, 3)).astype(np.uint16)
    depth.write_png(deep, tmp_path / "deep.png", None, None, None)
    result = engine.swap(A, tmp_path / "deep.png", ["eyes"], source_labels=LABELS, target_labels=LABELS)
    result.save(tmp_path / f"out.{suffix}")
    assert e4s_engine.verify(tmp_path / f"out.{suffix}").marked
    samples = images.read_photo(tmp_path / f"out.{suffix}").original.samples
    np.testing.assert_array_equal(samples[~result.changed], deep[~result.changed])


def test_nothing_swapped_is_no_mark(engine, tmp_path) -> None:
    """The file is the photo's, whose own marks stay."""
    result = engine.swap(A, photo_file("PNG"), [], source_labels=LABELS, target_labels=LABELS)
    assert result.statement is None
    result.save(tmp_path / "out.png")
    assert packets.find((tmp_path / "out.png").read_bytes()).xmp == OWN


def test_edits_and_batches_are_marked(engine, tmp_path) -> None:
    kept = {"source_labels": LABELS, "target_labels": [LABELS] * 2, "align": False}
    for number, result in enumerate(engine.swap_each(A, [B, B], ["lips"], **kept)):
        result.save(tmp_path / f"{number}.jpg")
        assert e4s_engine.verify(tmp_path / f"{number}.jpg").ours
    edited = engine.edit(B, A, ["hair"], labels=LABELS, reference_labels=LABELS, align=False)
    assert edited.statement.operation == "edit" and edited.statement.source_type == COMPOSITE


@pytest.mark.parametrize("blend", ["feather", "multiband", "none"])
@pytest.mark.parametrize("regions", [None, ["eyes"], ["hair", "neck"]])
@pytest.mark.parametrize("aligned", [True, False])
def test_pixels_that_were_not_changed_are_the_photos(engine, blend, regions, aligned, tmp_path) -> None:
    """In the result, and in every lossless format."""
    rng = np.random.default_rng(7)
    target = rng.integers(0, 256, (SIDE, SIDE, 3) if aligned else (150, 180, 3)).astype(np.uint8)
    points = None if aligned else FIVE + 30
    result = engine.swap(
        A, target, regions, blend=blend, source_labels=LABELS, target_labels=LABELS, target_landmarks=points
    )
    outside = ~result.changed
    assert result.changed.any() and (aligned or outside.any())
    np.testing.assert_array_equal(result.image[outside], target[outside])
    for suffix in ("png", "tif", "bmp"):
        result.save(tmp_path / f"out.{suffix}")
        np.testing.assert_array_equal(images.read(tmp_path / f"out.{suffix}")[outside], target[outside])


def test_the_switch_leaves_the_marks_out_and_warns(swapped, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("E4S_MARKS", "off")
    with pytest.warns(UnmarkedWarning, match="research"):
        swapped.save(tmp_path / "out.png")
    assert packets.find((tmp_path / "out.png").read_bytes()).xmp == OWN
    monkeypatch.setenv("E4S_MARKS", "maybe")
    with pytest.raises(ArgumentError, match="E4S_MARKS: expected on or off"):
        swapped.save(tmp_path / "out.png")


@pytest.mark.parametrize(
    "packet",
    [
        b"<x:xmpmeta",
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>',
        b"\xff\xfe\x00nonsense",
        OWN.replace(b"</rdf:RDF>", b""),
        OWN.replace(b"Ann", b"A" * 70_000),
        OWN.replace(b"Ann", b"A" * (2 << 20)),
    ],
    ids=["cut", "entities", "binary", "unbalanced", "long", "huge"],
)
@pytest.mark.parametrize("kind", FORMATS)
def test_bad_metadata_loses_no_picture_and_no_mark(engine, kind, packet, tmp_path, caplog) -> None:
    buffer = io.BytesIO()
    Image.fromarray(B).save(buffer, "WEBP", xmp=packet, lossless=True)
    result = engine.swap(A, buffer.getvalue(), ["eyes"], source_labels=LABELS, target_labels=LABELS)
    result.save(tmp_path / f"out.{kind}")
    assert e4s_engine.verify(tmp_path / f"out.{kind}").ours
    fits = (
        len(packet) < packets.most_xmp(f".{kind}") and packet.startswith(OWN[:60]) and b"</rdf:RDF>" in packet
    )
    assert ("left out" in caplog.text) != fits
    assert (b"AAAA" in packets.find((tmp_path / f"out.{kind}").read_bytes()).xmp) == fits


def with_chunk(kind: bytes, content: bytes, damaged: bool = False) -> bytes:
    """Return a PNG with a chunk behind its header."""
    whole, body = photo_file("PNG", B, None), kind + content
    check = zlib.crc32(body) ^ damaged
    return whole[:33] + struct.pack(">I", len(content)) + body + struct.pack(">I", check) + whole[33:]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(OWN.replace(b"Ann", b"A" * (3 << 20)))),
        (b"iTXt", b"Comment\0\0\0\0\0" + b"x" * (3 << 20)),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * (3 << 20))),
        (b"caBX", b"\0\0\1\0jumb nonsense"),
    ],
    ids=["packed xmp", "long", "packed", "manifest"],
)
@pytest.mark.parametrize("damaged", [False, True])
def test_long_and_damaged_texts_of_a_png_lose_no_picture(engine, kind, content, damaged, tmp_path) -> None:
    """Pillow refuses such files."""
    photo = with_chunk(kind, content, damaged)
    np.testing.assert_array_equal(images.read(photo), B)
    engine.swap(A, photo, ["eyes"], source_labels=LABELS, target_labels=LABELS).save(tmp_path / "out.png")
    assert e4s_engine.verify(tmp_path / "out.png").ours


def test_exif_in_a_text_of_a_png_is_kept(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    text = (
        b"Raw profile type exif\0\nexif\n%8d\n" % len(exif.tobytes()) + exif.tobytes().hex().encode() + b"\n"
    )
    photo = images.read_photo(with_chunk(b"tEXt", text))
    assert b"Camera" in photo.original.exif


STATED = Statement("swap", faces=(ChangedFace(("eyes",), (1, 2, 3, 4)),), inputs=(Input("target"),))
UNMARKED = OWN.replace(b"DigitalSourceType", b"Headline")


def test_a_photos_packet_is_kept_as_it_is_and_a_mark_of_ours_replaced() -> None:
    once = xmp.packet(STATED, UNMARKED)
    assert UNMARKED.removesuffix(b"</rdf:RDF></x:xmpmeta>") in once
    assert xmp.packet(STATED, once) == once and once.count(b"e4s:Operation>swap") == 1
    for before in (None, UNMARKED, OWN):  # the last is written anew
        assert xmp.read(xmp.packet(STATED, before)).items() >= xmp.read(xmp.packet(STATED)).items()


@pytest.mark.parametrize(
    "before",
    [
        UNMARKED.replace(b"</x:xmpmeta>", b"<!-- </rdf:RDF></x:xmpmeta> --></x:xmpmeta>"),
        UNMARKED.replace(b"</x:xmpmeta>", b'<a xmlns:rdf="b"><rdf:RDF></rdf:RDF></a></x:xmpmeta>'),
        UNMARKED.replace(b"</x:xmpmeta>", b"<?a </rdf:RDF>?></x:xmpmeta>"),
        UNMARKED.replace(b"rdf:RDF", b"r:RDF").replace(b"xmlns:rdf", b"xmlns:r").replace(b"rdf:", b"r:"),
        UNMARKED.replace(b'<x:xmpmeta xmlns:x="adobe:ns:meta/">', b"").replace(b"</x:xmpmeta>", b""),
        b'<?xml version="1.0" encoding="iso-8859-1"?>' + UNMARKED.replace(b"Co<", b"Co \xe9<"),
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="%s"/></x:xmpmeta>' % xmp.RDF.encode(),
    ],
    ids=["comment", "another", "instruction", "prefix", "bare", "latin", "empty"],
)
def test_packets_of_any_form_take_the_mark(before) -> None:
    packet = xmp.packet(STATED, before)
    stated = xmp.read(packet)
    assert stated["Iptc4xmpExt:DigitalSourceType"] == COMPOSITE and "Box=1 2 3 4" in stated["e4s:Faces"]
    assert ("Ann" in packet.decode()) == (b"Ann" in before) and ("\xe9" in packet.decode()) == (
        b"\xe9" in before
    )
    (rdf,) = ElementTree.fromstring(packet).findall(f"{{{xmp.RDF}}}RDF")
    assert any(f"{{{xmp.OURS}}}Operation" in {child.tag for child in one} for one in rdf)


def test_extended_xmp_of_a_jpeg_is_left_out_with_a_warning(caplog) -> None:
    note = b'<rdf:Description xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="0123"/>'
    packet = xmp.packet(STATED, OWN.replace(b"</rdf:RDF>", note + b"</rdf:RDF>"))
    assert b"HasExtendedXMP" not in packet and b"Ann" in packet
    assert "extended XMP is left out" in caplog.text


def test_hundreds_of_faces_do_not_push_the_mark_out_of_a_jpeg() -> None:
    many = dataclasses.replace(STATED, faces=STATED.faces * 600)
    short, whole = making.packet(many, None, "out.jpg"), making.packet(many, None, "out.png")
    assert xmp.source_type(short) == xmp.source_type(whole) == COMPOSITE
    assert len(short) < packets.MOST_JPEG_XMP < len(whole)


def test_packets_of_damaged_files_are_no_crash() -> None:
    rng = np.random.default_rng(3)
    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        whole = photo_file(kind)
        assert b"Ann" in packets.find(whole).xmp
        for _ in range(60):
            bad = bytearray(whole[: rng.integers(1, len(whole))])
            for place in rng.integers(0, len(bad), 8):
                bad[place] = rng.integers(0, 256)
            packets.find(bytes(bad))


def test_a_video_box_is_found_and_read() -> None:
    """Layout of the ISO base media format: the box may follow any others."""
    start = b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x0cmdatabcd"
    found = packets.find(start + packets.mp4_box(xmp.packet(Statement("swap", 1.0))))
    assert xmp.read(found.xmp)["e4s:Operation"] == "swap" and is_synthetic(xmp.source_type(found.xmp))


def test_boxes_lie_in_the_picture() -> None:
    quad = np.array([[-5.5, 3.2], [10, 60], [70, 70], [40, -9]])
    assert box_of(quad, 50, 64) == (0, 0, 50, 64)
    assert box_of(quad + 6, 200, 200) == (0, 0, 76, 76)
    assert box_of(None, 50, 64) == (0, 0, 50, 64)


def test_files_that_cannot_be_read_are_an_error(tmp_path) -> None:
    with pytest.raises(ImageError, match="cannot read"):
        e4s_engine.verify(tmp_path / "none.png")
    for content, words in ((b"", "is empty, no picture"), (b"Dear Ann", "is no picture or clip")):
        (tmp_path / "file.png").write_bytes(content)
        with pytest.raises(ImageError, match=words):
            e4s_engine.verify(tmp_path / "file.png")
    with pytest.raises(ImageError, match="is a URL, nothing is downloaded"):
        e4s_engine.verify("https://example.org/a.png")
    with pytest.raises(ArgumentError, match="pixels: expected"):
        e4s_engine.verify(tmp_path / "file.png", pixels="yes")
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0")
    with pytest.raises(ArgumentError, match=r"pixels: .* cannot be read as a picture"):
        e4s_engine.verify(tmp_path / "clip.mp4", pixels="quick")


SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


@pytest.mark.parametrize(
    ("written", "marked"),
    [
        ('Iptc4xmpExt:DigitalSourceType="{}trainedAlgorithmicMedia">', True),
        ('><Iptc4xmpExt:DigitalSourceType rdf:resource="{}compositeWithTrainedAlgorithmicMedia"/>', True),
        ("><Iptc4xmpExt:digitalSourceType>compositeSynthetic</Iptc4xmpExt:digitalSourceType>", True),
        ('Iptc4xmpExt:DigitalSourceType="{}digitalCapture">', False),
        (">", False),
    ],
    ids=["attribute", "resource", "bare", "camera", "none"],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_other_tools_marks_are_read(tmp_path, kind, written, marked) -> None:
    description = OWN[OWN.index(b"<rdf:Desc") : OWN.index(b"</rdf:Desc")]
    space = f'<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{xmp.IPTC}" '
    packet = OWN.replace(description, (space + written.format(SOURCES)).encode())
    (tmp_path / "other").write_bytes(photo_file(kind, A, packet))
    verdict = e4s_engine.verify(tmp_path / "other")
    assert verdict.marked == marked and not verdict.ours and not verdict.problems and not verdict.certain


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("kind", FORMATS)
def test_exiftool_agrees(swapped, kind, tmp_path) -> None:
    swapped.save(tmp_path / f"out.{kind}")
    command = ["exiftool", "-s3", "-XMP-iptcExt:DigitalSourceType", "-XMP-dc:Rights", "-Error"]
    done = subprocess.run([*command, tmp_path / f"out.{kind}"], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [COMPOSITE, "Ann & Co"] and "Error" not in done.stdout
