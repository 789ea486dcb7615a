"""Signed manifests: what c2pa's own reader says, and what one changed byte does. Needs the extra c2pa."""

from __future__ import annotations

import datetime
import io
import json

import numpy as np
import pytest
from api_tools import FIVE, LABELS, A, B
from PIL import Image

import e4s_engine
from e4s_engine import Signer
from e4s_engine.errors import ArgumentError
from e4s_engine.marks import certificates, signing, statement
from e4s_engine.photo import images

c2pa = pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
MIMES = {kind: f"image/{kind}" for kind in ("png", "webp", "avif", "gif")} | {
    "jpg": "image/jpeg",
    "tif": "image/tiff",
}
WIDE = np.random.default_rng(9).integers(0, 256, (150, 180, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "settings"))


def png(pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def swapped(engine):
    return engine.swap(
        png(A), png(WIDE), ["eyes"], source_labels=LABELS, target_labels=LABELS, target_landmarks=FIVE + 30
    )


def own_reader(path, mime):
    """Return what c2pa's reader says, with its own settings but for the network."""
    with path.open("rb") as opened:
        reader = c2pa.Reader(mime, opened)
        return reader.get_validation_state(), json.loads(reader.json())


@pytest.mark.parametrize("kind", MIMES)
def test_both_readers_agree_and_one_byte_breaks_it(swapped, kind, tmp_path) -> None:
    path = tmp_path / f"ann.{kind}"
    swapped.save(path, sign=True)
    state, told = own_reader(path, MIMES[kind])
    assert state == "Valid"
    text = json.dumps(told)
    assert "ann" not in text.replace("annot", "").replace("channel", "") and "thumbnail" not in text
    active = told["manifests"][told["active_manifest"]]
    (about,) = (one for one in active["assertions"] if one["label"].startswith("c2pa.actions"))
    actions = about["data"]["actions"]
    assert [action["action"] for action in actions] == ["c2pa.opened", "c2pa.edited"]
    assert (
        actions[1]["changes"][0]["description"] == "eyes" and actions[1]["parameters"]["Operation"] == "swap"
    )
    assert [item["relationship"] for item in active["ingredients"]] == ["parentOf", "componentOf"]
    verdict = e4s_engine.verify(path)
    assert verdict.signature == "valid" and verdict.marked and verdict.ours and not verdict.problems
    assert any("nobody in particular" in text for text in verdict.claimed)
    data = bytearray(path.read_bytes())
    data[2000 if kind in ("webp", "tif") else -400] ^= 1  # of the pixels: the manifest lies elsewhere
    path.write_bytes(data)
    broken = e4s_engine.verify(path)
    assert broken.signature == "invalid" and broken.problems and not broken.certain


@pytest.mark.parametrize("kind", MIMES)
def test_the_untouched_pixels_are_signed(swapped, kind, tmp_path) -> None:
    swapped.save(tmp_path / f"out.{kind}", sign=True)
    right = e4s_engine.verify(tmp_path / f"out.{kind}", original=io.BytesIO(png(WIDE)))
    assert any("outside" in text for text in right.certain) and not right.problems
    other = WIDE.copy()
    other[0, 0, 0] ^= 1
    wrong = e4s_engine.verify(tmp_path / f"out.{kind}", original=io.BytesIO(png(other)))
    assert wrong.problems
    swapped.save(tmp_path / f"plain.{kind}")
    with pytest.raises(ArgumentError, match="no valid signed statement"):
        e4s_engine.verify(tmp_path / f"plain.{kind}", original=io.BytesIO(png(WIDE)))


def test_inputs_with_manifests_are_ingredients_with_manifests(engine, swapped, tmp_path) -> None:
    swapped.save(tmp_path / "first.png", sign=True)
    kept = {"source_labels": LABELS, "target_labels": LABELS, "target_landmarks": FIVE + 30}
    again = engine.swap(png(A), tmp_path / "first.png", ["lips"], **kept)
    again.save(tmp_path / "second.jpg", sign=True)
    _, told = own_reader(tmp_path / "second.jpg", "image/jpeg")
    assert len(told["manifests"]) == 2
    claimed = e4s_engine.verify(tmp_path / "second.jpg").claimed
    assert "C2PA: made of a target, which has a manifest of its own" in claimed
    again.save(tmp_path / "unsigned.jpg")
    assert any(
        "ContentCredentials=True" in text for text in e4s_engine.verify(tmp_path / "unsigned.jpg").claimed
    )


def test_a_certificate_of_ones_own_can_be_trusted(swapped, tmp_path, monkeypatch) -> None:
    chain, key = certificates.make()
    (tmp_path / "cert.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(key)
    swapped.save(tmp_path / "out.png", sign=Signer(tmp_path / "cert.pem", tmp_path / "key.pem"))
    (tmp_path / "root.pem").write_bytes(chain[chain.rindex(b"-----BEGIN") :])
    assert e4s_engine.verify(tmp_path / "out.png", trust=tmp_path / "root.pem").signature == "trusted"
    monkeypatch.setenv("E4S_C2PA_CERT", str(tmp_path / "cert.pem"))
    with pytest.raises(ArgumentError, match="go together"):
        swapped.save(tmp_path / "env.png")
    monkeypatch.setenv("E4S_C2PA_KEY", str(tmp_path / "key.pem"))
    swapped.save(tmp_path / "env.png")
    assert e4s_engine.verify(tmp_path / "env.png").signature == "valid"


@pytest.mark.parametrize(
    ("days", "age", "other", "word"),
    [(1, 10, False, "renew"), (10, -3, False, "not today"), (10, 1, True, "does not belong")],
)
def test_bad_certificates_are_errors_before_anything_is_written(
    swapped, tmp_path, days, age, other, word
) -> None:
    chain, key = certificates.make(days, age)
    (tmp_path / "cert.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(certificates.make()[1] if other else key)
    for signer in (
        Signer(tmp_path / "cert.pem", tmp_path / "key.pem"),
        Signer(tmp_path / "key.pem", tmp_path / "key.pem"),
        Signer(tmp_path / "cert.pem", tmp_path / "cert.pem"),
        Signer(tmp_path / "none.pem", tmp_path / "key.pem"),
    ):
        with pytest.raises(ArgumentError, match="sign: ") as caught:
            swapped.save(tmp_path / "out.png", sign=signer)
        assert (
            signer.certificate != tmp_path / "cert.pem"
            or signer.key != tmp_path / "key.pem"
            or (word in str(caught.value))
        )
    assert not (tmp_path / "out.png").exists()
    with pytest.raises(ArgumentError, match=r"\.bmp holds no C2PA manifest"):
        swapped.save(tmp_path / "out.bmp", sign=True)


def self_signed() -> tuple[bytes, bytes]:
    """Return what `openssl req -x509` makes, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "me")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(1))
    certificate = builder.add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return certificate.public_bytes(pem), key.private_bytes(pem, form, serialization.NoEncryption())


def test_a_certificate_that_c2pa_refuses_is_an_error_before_anything_is_written(swapped, tmp_path) -> None:
    signer = Signer(tmp_path / "cert.pem", tmp_path / "key.pem")
    for file, content in zip((signer.certificate, signer.key), self_signed(), strict=True):
        file.write_bytes(content)
    with pytest.raises(ArgumentError, match=r"C2PA refuses this certificate \(.*self-signed\); it must be"):
        swapped.save(tmp_path / "out.png", sign=signer)
    assert not (tmp_path / "out.png").exists()


def test_a_source_keeps_its_manifest_however_it_is_passed(engine, tmp_path) -> None:
    first = engine.swap(A, png(B), ["eyes"], source_labels=LABELS, target_labels=LABELS)
    first.save(tmp_path / "first.png", sign=True)
    face = engine.encode(tmp_path / "first.png", LABELS, align=False)
    face.save(tmp_path / "ann.face")
    kept = {"source_labels": LABELS, "target_labels": [LABELS], "align": False}
    listed = "Role=source; DigitalSourceType=" + statement.COMPOSITE + "; ContentCredentials=True"
    for name, source, manifests in (
        ("face", face, 2),
        ("average", engine.average([face, face]), 2),
        ("photo", tmp_path / "first.png", 2),
        ("saved", tmp_path / "ann.face", 1),
    ):
        (result,) = engine.swap_each(
            source, [png(B)], ["eyes"], **kept | ({} if name == "photo" else {"source_labels": None})
        )
        result.save(tmp_path / f"{name}.png", sign=True)
        assert listed in e4s_engine.verify(tmp_path / f"{name}.png").xmp["e4s:Inputs"], name
        assert len(own_reader(tmp_path / f"{name}.png", "image/png")[1]["manifests"]) == manifests, name


def test_a_failing_signature_loses_no_picture(swapped, tmp_path, monkeypatch, caplog) -> None:
    certificates.local()
    monkeypatch.setattr(signing, "_try", lambda loaded: None)
    monkeypatch.setattr(c2pa.Builder, "sign", None)
    swapped.save(tmp_path / "out.png", sign=True)
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]
    assert "without a signature" in caplog.text
    np.testing.assert_array_equal(images.read(tmp_path / "out.png"), swapped.image)


def test_malformed_manifests_in_inputs_lose_no_picture(engine, swapped, tmp_path, caplog) -> None:
    swapped.save(tmp_path / "first.jpg", sign=True)
    whole = (tmp_path / "first.jpg").read_bytes()
    at = whole.index(b"jumb") + 100
    for cut in (slice(at, at + 40), slice(at, at + 4000)):
        bad = bytearray(whole)
        bad[cut] = bytes(cut.stop - cut.start)
        (tmp_path / "bad.jpg").write_bytes(bad)
        assert e4s_engine.verify(tmp_path / "bad.jpg").signature == "invalid"
        kept = {"source_labels": LABELS, "target_labels": LABELS, "target_landmarks": FIVE + 30}
        result = engine.swap(png(A), tmp_path / "bad.jpg", ["lips"], **kept)
        result.save(tmp_path / "out.png", sign=True)
        assert e4s_engine.verify(tmp_path / "out.png").ours
        assert "does not list the target, whose own manifest is damaged" in caplog.text
        _, told = own_reader(tmp_path / "out.png", "image/png")
        listed = told["manifests"][told["active_manifest"]]["ingredients"]
        assert [one["relationship"] for one in listed] == ["componentOf"]
        np.testing.assert_array_equal(images.read(tmp_path / "out.png"), result.image)


def test_the_certificate_of_this_machine_is_made_once_and_private(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    first = certificates.local()
    key = certificates.Path(first.key)
    content = key.read_bytes()
    assert certificates.local() == first and key.read_bytes() == content and first.load().local
    assert key.parent.stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "e4s_engine").iterdir()] == ["c2pa"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(ArgumentError, match="cannot keep a certificate"):
        certificates.local()


def test_arrays_have_no_ingredients(engine, tmp_path) -> None:
    result = engine.swap(A, B, ["eyes"], source_labels=LABELS, target_labels=LABELS)
    result.save(tmp_path / "out.jpg", sign=True)
    _, told = own_reader(tmp_path / "out.jpg", "image/jpeg")
    assert "ingredients" not in told["manifests"][told["active_manifest"]]
    assert e4s_engine.verify(tmp_path / "out.jpg").signature == "valid"


def test_without_the_extra_manifests_are_reported_unread(swapped, tmp_path, monkeypatch) -> None:
    swapped.save(tmp_path / "out.png", sign=True)
    monkeypatch.setattr(signing, "_library", lambda: None)
    assert e4s_engine.verify(tmp_path / "out.png").signature == "unread"
    with pytest.raises(ArgumentError, match=r"e4s_engine\[c2pa\]"):
        swapped.save(tmp_path / "more.png", sign=True)
