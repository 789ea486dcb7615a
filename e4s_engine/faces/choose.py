"""Choice of faces: the largest, all, by number, by side, or by a callable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np

from e4s_engine.errors import AlignmentError, ArgumentError, noted
from e4s_engine.faces.face import DetectedFace

NAMES = ("largest", "all", "left", "right")
_EXPECTED = f"expected {', '.join(map(repr, NAMES))}, a number, a list of different numbers, or a callable"
_NUMBERED = "numbers count from 0, the largest face (`e4s faces PHOTO -o overlay.jpg` draws them)"

Which = Literal["largest", "all", "left", "right"] | int | Sequence[int] | Callable[[list[DetectedFace]], Any]


def choose(
    faces: Sequence[DetectedFace],
    which: Which = "largest",
    photo: str = "image",
    tried: str = "the detector",
    square: bool = True,
) -> list[DetectedFace]:
    """Return the faces of a photo that `which` names.

    faces: faces as a detector returns them, largest first.
    which: "largest", "all" (largest first), "left" or "right" (the outermost), a number (0 is the largest),
        a list of numbers, or a callable that takes the list of faces and returns a face, a number, or a list
        of either. A callable's own errors pass through.
    photo: name of the photo, for messages. tried: name of the detector, for messages. square: whether the
        photo is square: it could then be an aligned crop.

    Raises AlignmentError if there is no such face, ArgumentError for anything else that `which` may be.
    """
    which = check(which)
    if not faces:
        ways = ["pass landmarks yourself", "try another detector (Engine(landmarks=...))"]
        if square:
            ways.append("pass align=False if it is an aligned portrait already")
        raise AlignmentError(f"{photo}: {tried} finds no face; {', '.join(ways[:-1])}, or {ways[-1]}")
    if callable(which):
        with noted("raised by the callable that was passed as faces"):
            answer = which(list(faces))
        return _answered(answer, faces, photo, tried)
    if which == "largest":
        return [faces[0]]
    if which == "all":
        return list(faces)
    if isinstance(which, str):
        sign = 1 if which == "left" else -1
        return [min(faces, key=lambda face: sign * face.centre[0])]
    numbers = [which] if isinstance(which, int) else which
    return [_numbered(faces, number, photo, tried) for number in numbers]


def is_largest(which: Any) -> bool:
    """Return whether a choice is the default, one face: the largest."""
    return isinstance(which, str) and which == "largest"


def is_number(value: Any) -> bool:
    """Return whether a value is the number of a face."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check(which: Any, argument: str = "faces") -> Which:
    """Return a choice of faces, lists as tuples. Raises ArgumentError for a choice of a wrong kind."""
    if callable(which) or (isinstance(which, str) and which in NAMES):
        return which
    if is_number(which):
        return int(which)
    is_list = isinstance(which, (list, tuple, range, np.ndarray))
    if is_list and len(which) and all(map(is_number, which)) and len(set(which)) == len(which):
        return tuple(map(int, which))
    raise ArgumentError(f"{argument}: {_EXPECTED}, got {which!r:.80}")


def _numbered(faces: Sequence[DetectedFace], number: Any, photo: str, tried: str) -> DetectedFace:
    if not 0 <= number < len(faces):
        raise AlignmentError(
            f"{photo}: there is no face number {number}, {tried} finds {len(faces)}; {_NUMBERED}"
        )
    return faces[int(number)]


def _answered(answer: Any, faces: Sequence[DetectedFace], photo: str, tried: str) -> list[DetectedFace]:
    """Return the faces that a callable's answer names."""
    single = isinstance(answer, DetectedFace) or is_number(answer)
    if not single and not isinstance(answer, Iterable):
        raise ArgumentError(
            f"faces: the callable must return a face, a number or a list of them, got {answer!r:.80}"
        )
    chosen = []
    for item in [answer] if single else answer:
        if is_number(item):
            chosen.append(_numbered(faces, item, photo, tried))
        elif isinstance(item, DetectedFace):
            chosen.append(item)
        else:
            raise ArgumentError(f"faces: the callable must return faces or numbers, got {item!r:.80}")
    if not chosen:
        raise AlignmentError(f"{photo}: the callable in faces chose none of the {len(faces)} faces")
    return chosen
