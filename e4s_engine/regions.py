"""The twelve regions: names, aliases, presets, label tables, and checks on label maps.

Ids are the checkpoint's (E4S, section 3.1; the official code calls them `seg12`). Label maps are uint8
[512, 512] with values 0..11.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.errors import LabelsError, RegionError

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

LABEL_SIZE = 512  # side of every label map that the networks read
UNPAINTED = 255  # in painted labels: the pixel stays as composed

NAMES = (
    "background", "lips", "eyebrows", "eyes", "hair", "nose",
    "skin", "ears", "neck", "mouth", "glasses", "earrings",
)  # fmt: skip
COUNT = len(NAMES)
(BACKGROUND, LIPS, EYEBROWS, EYES, HAIR, NOSE, SKIN, EARS, NECK, MOUTH, GLASSES, EARRINGS) = range(COUNT)

# The official code's names, and the singulars that users type.
ALIASES = {
    "lip": LIPS, "eyebrow": EYEBROWS, "brows": EYEBROWS, "brow": EYEBROWS, "eye": EYES, "face_skin": SKIN,
    "ear": EARS, "belowface": NECK, "teeth": MOUTH, "inner_mouth": MOUTH, "eye_glass": GLASSES,
    "eyeglasses": GLASSES, "ear_rings": EARRINGS, "earring": EARRINGS,
}  # fmt: skip

FACE = (LIPS, EYEBROWS, EYES, NOSE, SKIN, MOUTH)
PRESETS = {
    "face": FACE,
    "head": (*FACE, HAIR, EARS, NECK),
    "all": tuple(range(COUNT)),
}

# index = 19-label id, value = region
CELEBAMASK_HQ_TO_12 = np.array([0, 6, 5, 10, 3, 3, 2, 2, 7, 7, 9, 1, 1, 4, 0, 11, 0, 8, 0], np.uint8)
BISENET_TO_12 = np.array([0, 6, 2, 2, 3, 3, 10, 7, 7, 11, 5, 9, 1, 1, 8, 0, 0, 4, 0], np.uint8)
TABLES = {"celebamask_hq": CELEBAMASK_HQ_TO_12, "bisenet": BISENET_TO_12}

# RGB by region, for display.
PALETTE = np.array(
    [
        (32, 32, 36), (230, 60, 90), (130, 80, 40), (60, 150, 240), (110, 70, 160), (250, 190, 60),
        (240, 200, 170), (240, 130, 60), (150, 190, 120), (250, 250, 250), (40, 200, 200), (250, 230, 80),
    ],
    np.uint8,
)  # fmt: skip


def region_ids(regions: str | int | Iterable[str | int], argument: str = "regions") -> tuple[int, ...]:
    """Resolve region names, aliases, presets or ids to sorted ids without repeats.

    A string may list several, with commas or spaces: "eyes,nose", "eyes nose", "3,5".

    Raises RegionError for an unknown name (the message suggests the nearest) or an id outside 0..11.
    """
    items: Iterable[Any] = [regions] if isinstance(regions, (str, int, np.integer)) else regions
    if isinstance(regions, (bytes, bytearray)):
        raise RegionError(f"{argument}: expected region names such as 'eyes', got {regions!r:.60}")
    try:
        groups = [_ids_of(item, argument) for item in items]
    except Exception as error:  # a caller's iterable may raise anything
        if isinstance(error, RegionError):
            raise
        raise RegionError(
            f"{argument}: expected region names such as ['eyes', 'nose'], got {regions!r}"
        ) from error
    return tuple(sorted({region for ids in groups for region in ids}))


def _ids_of(item: Any, argument: str) -> tuple[int, ...]:
    if isinstance(item, str) and item.strip().isdecimal():
        item = int(item)
    if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
        if 0 <= item < COUNT:
            return (int(item),)
        raise RegionError(f"{argument}: region id {item} is outside 0..{COUNT - 1}")
    if not isinstance(item, str):
        raise RegionError(f"{argument}: expected region names such as 'eyes', got {item!r}")
    if "," in item:
        return tuple(region for name in item.split(",") for region in _ids_of(name, argument))
    name = _plain(item)
    ids = _named(name)
    words = item.split()
    if ids is not None:
        return ids
    several = len(words) > 1 and _named("".join(words).lower()) is None  # "eye brows" are not the eyes too
    if several and all(word.isdecimal() or _named(_plain(word)) for word in words):
        return tuple(region for word in words for region in _ids_of(word, argument))
    names = [*NAMES, *PRESETS]
    matches = difflib.get_close_matches(name, [*names, *ALIASES], n=1, cutoff=0.5)
    suggestions = [NAMES[ALIASES[n]] if n in ALIASES else n for n in matches]
    hint = f"did you mean {suggestions[0]!r}? " if suggestions else ""
    raise RegionError(f"{argument}: unknown region {item!r}; {hint}Known are: {', '.join(names)}")


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _named(name: str) -> tuple[int, ...] | None:
    """Return the ids of a name, alias or preset; None for anything else."""
    if name in PRESETS:
        return PRESETS[name]
    if name in NAMES:
        return (NAMES.index(name),)
    return (ALIASES[name],) if name in ALIASES else None


def _as_array(labels: Any, argument: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(labels)
    except Exception as error:  # every library's arrays have their own exceptions
        kind = type(labels).__name__
        raise LabelsError(
            f"{argument}: expected a label map [h, w], got a {kind} that is no array ({error})"
        ) from error


def check_labels(labels: Any, argument: str = "labels") -> Labels:
    """Check a caller's label map and resize it to uint8 [512, 512] by nearest neighbour.

    Accepts any integer [h, w] with values 0..11. Raises LabelsError otherwise.
    """
    array = _as_array(labels, argument)
    if array.ndim != 2 or array.size == 0:
        raise LabelsError(f"{argument}: expected a label map [h, w], got shape {list(array.shape)}")
    if array.dtype.kind not in "iu":
        raise LabelsError(f"{argument}: expected integer labels (uint8), got {array.dtype}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= COUNT:
        wrong = high if high >= COUNT else low
        raise LabelsError(
            f"{argument}: values must be 0..{COUNT - 1}, found {wrong}; maps of 19 labels are converted with "
            f"regions.from_19(labels, 'celebamask_hq' or 'bisenet')"
        )
    return resize_nearest(array.astype(np.uint8, copy=False), LABEL_SIZE)


def resize_nearest(labels: Labels, size: int) -> Labels:
    """Resize labels [h, w] to [size, size]: source index floor(i * h / size), as in the published code.

    The result is always a copy. Labels of the right size are not gathered, which is a hundred times slower.
    """
    if labels.shape == (size, size):
        return labels.copy(order="C")
    rows = np.arange(size) * labels.shape[0] // size
    columns = np.arange(size) * labels.shape[1] // size
    return np.ascontiguousarray(labels[rows[:, None], columns])


def from_19(labels: Any, convention: str, argument: str = "labels") -> Labels:
    """Convert a 19-label map [h, w] to regions [h, w]. convention: "celebamask_hq" or "bisenet".

    Hat, necklace and cloth become background. Raises LabelsError for values outside 0..18.
    """
    if not isinstance(convention, str) or convention not in TABLES:
        raise LabelsError(f"convention: expected one of {', '.join(TABLES)}, got {convention!r}")
    array = _as_array(labels, argument)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise LabelsError(
            f"{argument}: expected integer labels [h, w], got {array.dtype} {list(array.shape)}"
        )
    if array.size and (array.min() < 0 or array.max() > 18):
        raise LabelsError(f"{argument}: values must be 0..18, found {int(array.min())}..{int(array.max())}")
    return TABLES[convention][array]
