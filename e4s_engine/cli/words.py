"""Messages of the library in the command line's words: flags in the place of Python's arguments."""

from __future__ import annotations

import re

_POSITIONS = ("source", "target", "image", "reference", "driving")
_NAMES = {
    "file": "FILE",
    "frames": "CLIP",
    "clip": "CLIP",
    "start": "--from",
    "stop": "--to",
    "start, stop": "--from, --to",
    "official_pt": "OFFICIAL",
    "out_safetensors": "OUT",
    **{
        name: f"--{name}"
        for name in (
            "weights", "parser", "landmarks", "device", "precision", "backend", "steps", "regions", "quality",
            "host", "port", "keys", "workers", "queue", "seconds", "megabytes", "megapixels",
            "output", "encoder", "resume", "rate", "every",
            "guard", "sign", "original", "trust", "pixels",
        )
    },
}  # fmt: skip
_PHRASES = [
    (r"pass landmarks \(\[68, 2\] or \[5, 2\], in pixels\)", "give landmarks ({landmarks} FILE)"),
    (
        r"the engine was made with landmarks=None: make it with landmarks='auto'",
        "leave out --landmarks none",
    ),
    (r"pass landmarks yourself", "give landmarks ({landmarks} FILE)"),
    (r"pass no landmarks, or leave align out", "leave out {landmarks}, or --align"),
    (r"pass labels \(uint8 \[h, w\] in 0\.\.11\)", "give labels ({labels} FILE)"),
    (
        r"(an engine|make the engine) with a landmark model \(Engine\(landmarks=\.\.\.\)\)",
        "name a landmark model (--landmarks MODULE:NAME)",
    ),
    (r"make the engine with Engine\(parser=\.\.\.\)", "name a parser (--parser FILE)"),
    (r"make the engine with Engine\(\.\.\., backend='reference'\)", "give --backend reference"),
    (r"Engine\((\w+)=\.\.\.\)", r"--\1"),
    (
        r"maps of 19 labels are converted with regions\.from_19\([^)]*\)",
        "for maps of 19 labels give --label-format",
    ),
    (r"resume=True", "--resume"),
    (r"audio=False", "--no-audio"),
    (r"pass weights", "give --weights"),
    (r"pass align=False", "give --align no"),
    (r"align=False", "--align no"),
    (r"align=True", "--align yes"),
    (r"(reenact|restore|recolor|inpaint)=True", r"--\1 yes"),
    (r"'auto', True, False or a number", "auto, yes, no or a number"),
    (r"recolor=([\d.]+)", r"--recolor \1"),
    (r"match='color'", "--match color"),
    (r"make the engine with a folder", "give --weights a folder"),
    (r"make the engine with the weights that", "give --weights those that"),
    (r"pass the photo itself, or encode it with keep_photo=True", "name the photo itself"),
    (r"use ema=False", "leave out --ema"),
    (r"leave faces out", "leave out {faces}"),
    (r"\bfaces names\b", r"{faces} names"),
]


def spoken(message: str) -> str:
    """Return a message of the library in one line, as the command line would say it."""
    text = " ".join(message.split())
    place = _place(text)
    flags = {
        "landmarks": f"--{place}-landmarks",
        "labels": "--labels" if place == "image" else f"--{place}-labels",
        "faces": "--source-face" if place == "source" else "--faces",
    }
    for pattern, words in _PHRASES:
        for name, flag in flags.items():
            words = words.replace(f"{{{name}}}", flag)  # noqa: PLW2901
        text = re.sub(pattern, words, text)
    name, separator, rest = text.partition(": ")
    subject, _, kind = name.partition(" ")
    if subject in _POSITIONS and kind in flags:
        name = flags[kind]
    elif name in _options():
        name = _options()[name]
    elif subject in ("frames", "clip") and kind:  # one of the pictures of a folder
        name = f"{_NAMES[subject]} {kind}"
    else:
        name = _NAMES.get(name, name)
    return f"{name}{separator}{rest}"


def _place(text: str) -> str:
    """Return which picture a message is about; the target, if it does not say."""
    found = re.match(rf"({'|'.join(_POSITIONS)})\b", text)
    return found.group(1) if found else "target"


def _options() -> dict[str, str]:
    """Return the flags of a swap's options by their names."""
    import dataclasses

    from e4s_engine.options import SwapOptions

    return {field.name: field.metadata["flag"] for field in dataclasses.fields(SwapOptions)}


def short(message: str) -> str:
    """Return a spoken message without its remedy, which would be said for every photo of a batch."""
    return message.split("; ", maxsplit=1)[0]


def remedy(message: str) -> str:
    """Return the remedy of a spoken message, or ""."""
    return message.partition("; ")[2]
