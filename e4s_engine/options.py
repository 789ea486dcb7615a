"""Options of a swap as one object: signatures, command-line flags and the README derive from it."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, TypedDict, Unpack

import numpy as np

from e4s_engine.errors import ArgumentError
from e4s_engine.faces import choose
from e4s_engine.photo import match
from e4s_engine.photo.blend import MODES

CHOICES = ("auto", True, False)

Blend = Literal["feather", "multiband", "multiband10", "soft", "none"]
Choice = Literal["auto"] | bool
Align = Choice
Recolor = Choice | float
Match = Literal["auto", "color", "none"]
Average = Literal["mean", "best"]  # of one person's photos: `Engine.average`


def _option(default: Any, meaning: str, flag: str, **more: Any) -> Any:
    """Declare a field. meaning: for the README and the command line; flag: its flag there."""
    return dataclasses.field(default=default, metadata={"meaning": meaning, "flag": flag, **more})


@dataclasses.dataclass(frozen=True)
class SwapOptions:
    """How a swap is done.

    extent: how far the texture goes, from 0 (the target's) to 1 (the source's).
    shape, texture: whether the source's shape and texture are taken at all.
    hair_first: in a whole-face swap the target's hair lies under the source's face, as published, else over
        it.
    earrings_first: the same for the target's earrings: False leaves them over the face, True is as published.
    relight: whether the source's texture is brought into the target's light, by models that have learnt to
        (`engine.config.relight`; the official ones have not).
    match: "color" brings skin that comes from the source (of face, nose, ears and neck) to the colours that
        the same region has in the target, "none" leaves its colours; "auto" does so where the target's face
        keeps its skin and nothing is relit. `engine.edit` and `shape=False`, whose point is the texture,
        match only by "color".
    recolor: whether the face takes the colours of the target's same parts by the longer paper's network, and
        how far, 0 to 1: "auto" (0.75, where its weights are at hand, shape and texture are taken and `match`
        is "auto"; of single regions those of skin), True (0.75; of every chosen region) or False (0). It
        comes before relighting and `match`: where it runs, neither of them does.
    inpaint: whether holes, where the target's face reaches further than the source's, are drawn anew by the
        longer paper's network: "auto" (where its weights are at hand and the shape is taken), True or False.
    blend: "feather" as published, "multiband" (five levels), "multiband10" (the published ten, which leave a
        halo), "soft" (the longer paper's way: ears, neck and hair stay the target's, a soft edge, ten levels)
        or "none".
    align: "auto" (by the face that is found or by landmarks, unless the photo is a square portrait that is
        aligned already: where no detector is at hand, its parsed labels must look like one), True (always, a
        face or landmarks needed) or False (the photo is aligned).
    reenact: whether the source is driven to the target's pose and expression before (face-vid2vid), as
        published: "auto" (where its weights are at hand, the shape is taken, the source is a photo without
        labels of its own, and the poses are more than 5 degrees apart), True or False.
    restore: whether a driven source is restored (RealESRNet, GPEN), as published: "auto" (where the weights
        are at hand), True (also a source that is not driven) or False (it is only enlarged).
    full_face: whether the whole face is generated at once, and not only what is pasted; the picture is the
        same, and `Result.face` is then at hand.
    faces: which faces of the target: "largest", "all", "left", "right", a number (0 is the largest), a list
        of numbers, or a callable that chooses from the list of faces (`faces.choose.choose`).

    Raises ArgumentError for a value out of range.
    """

    extent: float = _option(1.0, "share of the source's texture, 0 to 1", "--extent", metavar="X")
    shape: bool = _option(True, "take the source's shape", "--no-shape", off="keep the target's shape")
    texture: bool = _option(
        True, "take the source's texture", "--no-texture", off="keep the target's texture"
    )
    hair_first: bool = _option(
        True,
        "in whole-face swaps the source's face lies over the target's hair, as published",
        "--hair-last",
        off="the target's hair lies over the source's face",
    )
    earrings_first: bool = _option(
        False,
        "in whole-face swaps the source's face lies over the target's earrings, as published",
        "--earrings-first",
    )
    relight: bool = _option(
        True,
        "bring the source's texture into the target's light, by models that have learnt to",
        "--no-relight",
        off="keep the source's light in its texture",
    )
    match: Match = _option(
        "auto",
        "bring new skin to the target's colours: color, none, or auto (beside the target's skin, not relit)",
        "--match",
        choices=match.MODES,
    )
    recolor: Recolor = _option(
        "auto",
        "give the face the colours of the target's parts: auto, True, False or a share, 0 to 1",
        "--recolor",
    )
    inpaint: Choice = _option(
        "auto",
        "draw anew what the source's face leaves open of the target's: auto, True or False",
        "--inpaint",
    )
    blend: Blend = _option(
        "feather",
        "how the face is pasted: feather, multiband, multiband10 (ten levels), soft (longer paper) or none",
        "--blend",
        choices=MODES,
    )
    align: Align = _option(
        "auto", "whether photos are aligned by their faces: auto, True (yes) or False (no)", "--align"
    )
    reenact: Choice = _option(
        "auto",
        "drive the source to the target's pose and expression first: auto, True (yes) or False (no)",
        "--reenact",
    )
    restore: Choice = _option(
        "auto",
        "restore a driven source: auto, True (yes, and any other source) or False (no)",
        "--restore",
    )
    full_face: bool = _option(
        False, "generate the whole face at once, and not only what is pasted", "--full-face"
    )
    faces: choose.Which = _option(
        "largest",
        "which faces of the target: largest, all, left, right, numbers (0 is the largest), or a callable",
        "--faces",
        metavar="WHICH",
    )

    def __post_init__(self) -> None:
        number = isinstance(self.extent, (int, float, np.integer, np.floating))
        if not number or isinstance(self.extent, bool) or not 0 <= self.extent <= 1:
            raise ArgumentError(f"extent: expected a number in [0, 1], got {self.extent!r}")
        if not isinstance(self.blend, str) or self.blend not in MODES:
            raise ArgumentError(f"blend: expected one of {', '.join(MODES)}, got {self.blend!r}")
        if not isinstance(self.match, str) or self.match not in match.MODES:
            raise ArgumentError(f"match: expected one of {', '.join(match.MODES)}, got {self.match!r}")
        for name in ("align", "reenact", "restore", "inpaint"):
            value = getattr(self, name)
            # Exactly these: 1 and 0 equal True and False, but would be taken for "auto" later.
            if not isinstance(value, (str, bool)) or value not in CHOICES:
                raise ArgumentError(f"{name}: expected 'auto', True or False, got {value!r}")
        _check_recolor(self.recolor)
        object.__setattr__(self, "faces", choose.check(self.faces))
        for name in ("shape", "texture", "hair_first", "earrings_first", "relight", "full_face"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise ArgumentError(f"{name}: expected True or False, got {getattr(self, name)!r}")

    @property
    def idle(self) -> bool:
        """Whether a swap with these options changes nothing: it takes no shape and no texture."""
        return not self.shape and (not self.texture or self.extent == 0)

    def changed(self, **changes: Unpack[SwapChanges]) -> SwapOptions:
        """Return these options with some of them changed. Raises TypeError for names that are no options."""
        names = [field.name for field in dataclasses.fields(self)]
        unknown = next((name for name in changes if name not in names), None)
        if unknown is not None:
            raise TypeError(f"{unknown!r} is no option of a swap; options are {', '.join(names)}")
        return dataclasses.replace(self, **changes)


def _check_recolor(value: Any) -> None:
    """Raise ArgumentError unless a value is "auto", True, False or a share."""
    number = isinstance(value, (bool, int, float, np.integer, np.floating)) and 0 <= value <= 1
    if not number and not (isinstance(value, str) and value == "auto"):
        raise ArgumentError(f"recolor: expected 'auto', True, False or a number in [0, 1], got {value!r:.60}")


class EditChanges(TypedDict, total=False):
    """The fields of SwapOptions as keyword arguments of `Engine.edit`, which has an extent and no shape."""

    texture: bool
    hair_first: bool
    earrings_first: bool
    relight: bool
    match: Match
    recolor: Recolor
    inpaint: Choice
    blend: Blend
    align: Align
    reenact: Choice
    restore: Choice
    full_face: bool
    faces: choose.Which


class SwapChanges(EditChanges, total=False):
    """The fields of SwapOptions as keyword arguments."""

    extent: float
    shape: bool


def checked(options: Any) -> SwapOptions:
    """Return options that a caller passed, None being the defaults. Raises ArgumentError."""
    if options is None:
        return SwapOptions()
    if not isinstance(options, SwapOptions):
        raise ArgumentError(f"options: expected e4s_engine.SwapOptions, got {type(options).__name__}")
    return options
