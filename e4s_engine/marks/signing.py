"""Signed manifests (C2PA): what was done where, to which pictures, and that no other pixel changed."""

from __future__ import annotations

import functools
import hashlib
import importlib
import io
import json
import logging
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from PIL import Image

from e4s_engine.errors import ArgumentError
from e4s_engine.marks.certificates import INSTALL, LOCAL, Loaded, Signer
from e4s_engine.marks.statement import Box, Input, Statement, is_synthetic
from e4s_engine.photo import images
from e4s_engine.photo.files import rename

logger = logging.getLogger("e4s_engine")

State = Literal["none", "unread", "invalid", "valid", "trusted"]

UNTOUCHED = "org.e4s-engine.untouched"
_TYPES = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp",
    ".tif": "image/tiff", ".tiff": "image/tiff", ".avif": "image/avif", ".gif": "image/gif",
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime",
}  # fmt: skip
# The first brand of a file in boxes; any other is a clip's.
_BRANDS = {b"avif": "image/avif", b"avis": "image/avif", b"qt": "video/quicktime"} | dict.fromkeys(
    (b"heic", b"heix", b"mif1"), "image/heic"
)
_START = 16  # bytes that tell a type
# Nothing is fetched, and no thumbnails: they would carry the source's photo, and what was replaced.
_SETTINGS = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}


class Manifest(NamedTuple):
    """The active manifest of a file, in words.

    tool: who claims to have made it. synthetic: whether it says that a model made or changed the picture.
    untouched: hash and boxes of the statement about the other pixels.
    """

    state: State
    certain: tuple[str, ...] = ()
    claimed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    tool: str = ""
    synthetic: bool = False
    untouched: dict[str, Any] | None = None


NO_MANIFEST = Manifest("none")


def check(signer: Signer, suffix: str) -> Loaded:
    """Load a certificate for a file with this ending. Raises ArgumentError for what cannot sign it."""
    if suffix not in _TYPES:
        clip = suffix in (".mkv", ".webm")
        able = [one for one, kind in _TYPES.items() if kind.startswith("video") == clip or one == ".gif"]
        raise ArgumentError(f"sign: {suffix} holds no C2PA manifest; write one of {', '.join(able)}")
    if _library() is None:
        raise ArgumentError(f"sign: needs the extra c2pa; install it (`{INSTALL}`)")
    loaded = signer.load()
    _try(loaded)
    return loaded


@functools.lru_cache(maxsize=8)
def _try(loaded: Loaded) -> None:
    """Sign a picture of one pixel. Raises ArgumentError for a certificate outside C2PA's profile."""
    c2pa, picture = _library(), io.BytesIO()
    Image.new("L", (1, 1)).save(picture, "PNG")
    try:
        builder = _builder(c2pa, c2pa.Context.from_dict(_SETTINGS), ".png", Statement("sheet"), None, [])
        builder.sign(_c2pa_signer(loaded), "image/png", picture, io.BytesIO())
    except c2pa.C2paError as error:
        raise ArgumentError(
            f"sign: C2PA refuses this certificate ({error}); it must be issued by another certificate, "
            "with the key usage digitalSignature and an extended one such as emailProtection"
        ) from error


def _c2pa_signer(loaded: Loaded) -> Any:
    c2pa = _library()
    info = c2pa.C2paSignerInfo(
        alg=loaded.algorithm.encode(), sign_cert=loaded.chain, private_key=loaded.key, ta_url=None
    )
    return c2pa.Signer.from_info(info)


def sign(
    path: Path,
    suffix: str,
    loaded: Loaded,
    statement: Statement,
    untouched: dict[str, Any] | None = None,
) -> None:
    """Sign a finished file in place. A failure leaves it unsigned, with a warning: no picture is lost."""
    c2pa, signed = _library(), path.with_name(f"{path.stem}.signed{path.suffix}")
    try:
        context = c2pa.Context.from_dict(_SETTINGS)
        kinds = c2pa.Builder.get_supported_mime_types()
        ingredients = [(one, mime) for one in statement.inputs if (mime := _mime_of(one)) in kinds]
        try:
            builder = _builder(c2pa, context, suffix, statement, untouched, ingredients)
        except c2pa.C2paError:  # a picture with a broken manifest is refused
            kept = [one for one in ingredients if _is_usable(c2pa, context, *one)]
            builder = _builder(c2pa, context, suffix, statement, untouched, kept)
        with path.open("rb") as opened, signed.open("w+b") as written:
            builder.sign(_c2pa_signer(loaded), _TYPES[suffix], opened, written)
        rename(signed, path)
    except Exception as error:  # the library's, of many kinds
        logger.warning("the file is saved without a signature: %s", error)
        return
    finally:
        signed.unlink(missing_ok=True)
    if loaded.local:
        logger.info("signed with a certificate made on this machine: it proves nothing about who signed")


def untouched(pixels: images.Pixels, changed: Any) -> dict[str, Any] | None:
    """Return the statement about pixels outside the box around those that changed; None without any.

    changed: bool [H, W].
    """
    rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
    box = (0, 0, 0, 0)
    if len(rows):
        x, y = int(columns[0]), int(rows[0])
        box = x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y
    if box == (0, 0, pixels.shape[1], pixels.shape[0]):
        return None
    return {"alg": "sha256", "hash": _hash(pixels, [box]), "boxes": [list(box)]}


def agrees(manifest: Manifest, original: Any) -> bool:
    """Return whether a photo's pixels outside the signed boxes are those that were signed.

    Raises ArgumentError if nothing was signed about them.
    """
    stated = manifest.untouched
    if stated is None or manifest.state not in ("valid", "trusted"):
        raise ArgumentError("original: the file holds no valid signed statement about untouched pixels")
    return bool(stated.get("hash") == _hash(images.read(original, "original"), stated["boxes"]))


def read(file: BinaryIO, suffix: str, trust: str | None = None) -> Manifest:
    """Read and validate the manifest of an open file. trust: PEM of certificates to trust."""
    file.seek(0)
    c2pa, mime = _library(), _mime(file.read(_START)) or _TYPES.get(suffix, "")
    file.seek(0)
    if c2pa is None:
        note = f"C2PA: a manifest is there, not read; install the extra (`{INSTALL}`)"
        return Manifest("unread", claimed=(note,))
    settings: dict[str, Any] = dict(_SETTINGS)
    if trust is not None:
        settings["trust"] = {"user_anchors": trust}
    try:
        reader = c2pa.Reader(mime, file, context=c2pa.Context.from_dict(settings))
        state, told = reader.get_validation_state(), json.loads(reader.json())
        return _described(state, told)
    except Exception as error:  # malformed manifests, of many kinds
        return Manifest("invalid", problems=(f"C2PA: the manifest cannot be read ({error!s:.200})",))


def _described(state: str, told: dict[str, Any]) -> Manifest:
    active = told["manifests"][told["active_manifest"]]
    assertions = {item["label"]: item["data"] for item in active.get("assertions", [])}
    actions = [a for label, d in assertions.items() if label.startswith("c2pa.actions") for a in d["actions"]]
    tool = (active.get("claim_generator_info") or [{}])[0].get("name", "")
    signature = active.get("signature_info", {})
    by = signature.get("common_name") or signature.get("issuer") or "somebody"
    said = [f"C2PA: {tool or 'an unnamed tool'} states: {_action(action)}" for action in actions]
    said += [
        f"C2PA: made of a {item.get('title', 'picture')}"
        + (", which has a manifest of its own" if item.get("active_manifest") else "")
        for item in active.get("ingredients", [])
    ]
    synthetic = any(is_synthetic(action.get("digitalSourceType", "")) for action in actions)
    untouched = assertions.get(UNTOUCHED)
    if state not in ("Valid", "Trusted"):
        codes = [item["code"] for item in told.get("validation_status", [])]
        broken = ", ".join(code for code in codes if code != "signingCredential.untrusted")
        return Manifest(
            "invalid", (), tuple(said), (f"C2PA: the signature does not hold: {broken}",), tool, synthetic
        )
    intact = "C2PA: the file is as it was signed"
    if state == "Trusted":
        sure = (f"{intact}, by {by}, whose certificate is trusted", *said)
        return Manifest("trusted", sure, (), (), tool, synthetic, untouched)
    local = signature.get("issuer") == LOCAL
    who = (
        "on some machine, by nobody in particular" if local else f"by a certificate of {by}, not trusted here"
    )
    return Manifest("valid", (intact,), (f"C2PA: signed {who}", *said), (), tool, synthetic, untouched)


def _action(action: dict[str, Any]) -> str:
    words = [action["action"].removeprefix("c2pa.")]
    words += [change.get("description", "") for change in action.get("changes") or ()]
    if "digitalSourceType" in action:
        words.append(action["digitalSourceType"].rpartition("/")[2])
    return ", ".join(filter(None, words))


def _builder(
    c2pa: Any,
    context: Any,
    suffix: str,
    statement: Statement,
    untouched: dict[str, Any] | None,
    ingredients: list[Any],
) -> Any:
    parent = next((picture for picture, _ in ingredients if picture.role == "target"), None)
    agent = {"name": statement.tool, "version": statement.version}
    first: dict[str, Any] = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["target"]}}
    if parent is None:
        first = {"action": "c2pa.created", "digitalSourceType": statement.source_type}
    edited = {
        "action": "c2pa.edited",
        "digitalSourceType": statement.source_type,
        "softwareAgent": agent,
        "changes": [
            {"region": [_region(face.box)], "description": ", ".join(face.regions)}
            for face in statement.faces
        ],
        "parameters": statement.facts(),
    }
    assertions: list[dict[str, Any]] = [
        {"label": "c2pa.actions.v2", "data": {"actions": [first, edited]}},
    ]
    if untouched is not None:
        assertions.append({"label": UNTOUCHED, "data": untouched})
    manifest = {"claim_generator_info": [agent], "format": _TYPES[suffix], "assertions": assertions}
    builder = c2pa.Builder(json.dumps(manifest), context)
    for picture, mime in ingredients:
        relation = "parentOf" if picture is parent else "componentOf"
        about = {"title": picture.role, "relationship": relation, "label": picture.role}
        with picture.opened() as opened:
            builder.add_ingredient(json.dumps(about), mime, opened)
    return builder


def _is_usable(c2pa: Any, context: Any, picture: Input, mime: str) -> bool:
    """Return whether a manifest can list a picture; warn if not."""
    try:
        with picture.opened() as opened:
            c2pa.Builder("{}", context).add_ingredient('{"relationship": "componentOf"}', mime, opened)
    except c2pa.C2paError as error:
        logger.warning(
            "the manifest does not list the %s, whose own manifest is damaged (%s)",
            picture.role,
            error,
        )
        return False
    return True


def _region(box: Box) -> dict[str, Any]:
    x, y, width, height = box
    shape = {
        "type": "rectangle",
        "unit": "pixel",
        "origin": {"x": x, "y": y},
        "width": width,
        "height": height,
    }
    return {"type": "spatial", "shape": shape}


def _hash(pixels: images.Pixels, boxes: list[Any]) -> str:
    """Return SHA-256 of uint8 [H, W, 3] with black boxes, behind its size."""
    outside = pixels.copy()
    for x, y, width, height in boxes:
        outside[y : y + height, x : x + width] = 0
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(outside.data)
    return digest.hexdigest()


def _mime_of(one: Input) -> str:
    with one.opened() as opened:
        return _mime(opened.read(_START))


def _mime(data: bytes) -> str:
    """Return the type of a picture's or a clip's first bytes, or "" for others."""
    starts = {
        b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"II*\0": ".tif", b"MM\0*": ".tif", b"GIF8": ".gif"
    }  # fmt: skip
    for start, suffix in starts.items():
        if data.startswith(start):
            return _TYPES[suffix]
    if data[8:12] == b"WEBP":
        return _TYPES[".webp"]
    return _BRANDS.get(data[8:12].strip(), _TYPES[".mp4"]) if data[4:8] == b"ftyp" else ""


def _library() -> Any:
    """Return the package c2pa, or None where the extra is not installed."""
    try:
        return importlib.import_module("c2pa")
    except ImportError:
        return None
