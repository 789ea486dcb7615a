"""Parameters of a picture: a Person (who) and a Scene (how and where).

Lengths are centimetres on a head whose pupils are about 6.3 cm apart, angles are degrees, colours are
linear-light RGB albedos in 0..1, and every "-1..1" or "0..1" field is a dimensionless dial. A Person has
one group of fields per region, so that a region's identity moves as a whole (see `combine`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from e4s_engine import regions as R

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Tone:
    """A skin material; face, nose, ears and neck have one each, so that colour moves with the region."""

    color: Color = (0.62, 0.36, 0.25)
    redness: float = 0.4  # 0..1: flush of cheeks, nose tip, ears
    freckles: float = 0.0  # 0..1
    gloss: float = 0.5  # 0..1


@dataclass(frozen=True)
class Face:
    """The skin region: the face's shape, its material, its lines and facial hair."""

    width: float = 1.0  # 0.91..1.09, factor on breadth at the cheeks and below (above: Person.skull)
    length: float = 1.0  # 0.93..1.07, factor on the height below the eyes
    jaw: float = 0.0  # -1 narrow .. 1 broad
    square: float = 0.0  # -1 pointed .. 1 square
    chin: float = 0.0  # -1 short and receding .. 1 long and strong
    cleft: float = 0.0  # 0..1
    cheekbones: float = 0.5  # 0..1
    cheeks: float = 0.0  # -1 hollow .. 1 full
    forehead: float = 0.0  # -1 sloping .. 1 steep
    ridge: float = 0.3  # 0..1 brow ridge
    mouth: float = -7.0  # -7.3..-6.7 cm, height of the mouth line below the eyes
    age: float = 0.2  # 0..1: folds, lines, bags
    tone: Tone = field(default_factory=Tone)
    beard: str = "none"  # none, stubble, moustache, goatee, full
    beard_color: Color = (0.05, 0.03, 0.02)
    blush: float = 0.0  # 0..1 make-up
    seed: int = 0  # pattern of freckles and moles


@dataclass(frozen=True)
class Nose:
    """The nose region."""

    length: float = 4.2  # 3.8..4.6 cm from eye line to tip
    projection: float = 2.2  # 1.7..2.7 cm
    bridge: float = 0.4  # 0 low .. 1 high
    bridge_width: float = 0.8  # 0.65..1.05 cm
    hump: float = 0.0  # -1 ski slope .. 1 aquiline
    tip: float = 0.8  # 0.6..1.05 cm radius
    upturn: float = 0.4  # 0..1, more shows more nostril
    width: float = 1.6  # 1.35..2.05 cm half width at the wings
    tone: Tone = field(default_factory=Tone)


@dataclass(frozen=True)
class Eyes:
    """The eyes region: eyeballs, lids, lashes and their make-up."""

    spacing: float = 3.15  # 2.95..3.35 cm from the midline
    width: float = 1.5  # 1.35..1.7 cm half width
    open: float = 1.0  # 0.75..1.25
    tilt: float = 4.0  # -5..12 degrees, outer corner up
    peak: float = 0.0  # -1 highest near the nose .. 1 near the temple
    crease: float = 0.6  # 0 monolid .. 1 deep fold
    deep: float = 0.0  # -1 bulging .. 1 deep set
    iris: float = 0.62  # 0.56..0.70 cm radius
    color: Color = (0.10, 0.05, 0.02)
    ring: float = 0.6  # 0..1 limbal ring
    lashes: float = 0.5  # 0..1
    liner: float = 0.0  # 0..1
    shadow: float = 0.0  # 0..1 strength of eye shadow
    shadow_color: Color = (0.2, 0.1, 0.12)
    seed: int = 0  # pattern of the iris


@dataclass(frozen=True)
class Brows:
    """The eyebrows region."""

    height: float = 2.0  # 1.75..2.4 cm above the eyes
    thickness: float = 0.32  # 0.18..0.5 cm half width at the thick end
    arch: float = 0.4  # 0..1
    tilt: float = 0.0  # -1..1, outer end up
    length: float = 1.0  # 0.85..1.12
    density: float = 0.8  # 0.4..1
    color: Color = (0.05, 0.03, 0.02)
    seed: int = 0


@dataclass(frozen=True)
class Lips:
    """The lips region."""

    width: float = 2.5  # 2.15..2.9 cm half width
    upper: float = 0.6  # 0.35..0.95 cm
    lower: float = 0.8  # 0.5..1.15 cm
    bow: float = 0.5  # 0..1 cupid's bow
    pout: float = 0.4  # 0..1
    corners: float = 0.0  # -1 down .. 1 up
    color: Color = (0.50, 0.18, 0.16)
    gloss: float = 0.4  # 0..1


@dataclass(frozen=True)
class Teeth:
    """The mouth region: teeth, seen between the lips."""

    white: float = 0.8  # 0..1
    width: float = 0.85  # 0.7..1.0 cm, a front tooth
    gap: float = 0.1  # 0..1


@dataclass(frozen=True)
class Ears:
    """The ears region."""

    size: float = 1.0  # 0.85..1.15
    flare: float = 0.4  # 0 flat .. 1 standing out
    lobe: float = 0.5  # 0..1
    tone: Tone = field(default_factory=Tone)


@dataclass(frozen=True)
class Neck:
    """The neck region."""

    width: float = 1.0  # 0.85..1.2
    tone: Tone = field(default_factory=Tone)


HAIR_STYLES = (
    "bald", "buzz", "crop", "quiff", "sidepart", "receding", "pixie", "slick", "bun", "topknot", "ponytail",
    "bob", "fringe_bob", "long", "long_fringe", "wavy", "curly", "afro",
)  # fmt: skip


@dataclass(frozen=True)
class Hair:
    """The hair region."""

    style: str = "sidepart"  # one of HAIR_STYLES
    color: Color = (0.08, 0.04, 0.02)
    tips: Color = (0.10, 0.05, 0.03)
    part: float = 0.3  # -1 (image left) .. 1, where the hair parts
    volume: float = 0.5  # 0..1
    length: float = 0.5  # 0..1 within the style
    wave: float = 0.2  # 0..1
    line: float = 0.0  # -1 low .. 1 high hairline
    gloss: float = 0.5  # 0..1
    seed: int = 0


@dataclass(frozen=True)
class Glasses:
    """The glasses region."""

    style: str = "none"  # none, round, square, aviator, cat
    size: float = 1.0  # 0.9..1.15
    rim: float = 0.14  # 0.06..0.28 cm half thickness
    color: Color = (0.02, 0.02, 0.02)
    tint: float = 0.05  # 0..0.95, how dark the lens is


@dataclass(frozen=True)
class Earrings:
    """The earrings region."""

    style: str = "none"  # none, stud, hoop, drop
    size: float = 0.5  # 0..1
    color: Color = (0.9, 0.65, 0.25)


@dataclass(frozen=True)
class Person:
    """An identity.

    skull: 0.91..1.09, factor on the breadth of the skull, on which hair, ears and glasses sit.
    frame: the person whose landmarks frame the picture (None: this one).
    """

    face: Face = field(default_factory=Face)
    nose: Nose = field(default_factory=Nose)
    eyes: Eyes = field(default_factory=Eyes)
    brows: Brows = field(default_factory=Brows)
    lips: Lips = field(default_factory=Lips)
    teeth: Teeth = field(default_factory=Teeth)
    ears: Ears = field(default_factory=Ears)
    neck: Neck = field(default_factory=Neck)
    hair: Hair = field(default_factory=Hair)
    glasses: Glasses = field(default_factory=Glasses)
    earrings: Earrings = field(default_factory=Earrings)
    skull: float = 1.0
    frame: Person | None = None


@dataclass(frozen=True)
class Pose:
    """The head's pose. yaw > 0 turns to image right, pitch > 0 looks up, roll > 0 tips clockwise."""

    yaw: float = 0.0  # -45..45
    pitch: float = 0.0  # -25..25
    roll: float = 0.0  # -25..25


@dataclass(frozen=True)
class Expression:
    """A facial expression."""

    open: float = 0.0  # 0..1 mouth opening
    smile: float = 0.0  # -0.5..1
    raise_brows: float = 0.0  # 0..1
    frown: float = 0.0  # 0..1
    blink: float = 0.0  # 0 open .. 1 shut
    gaze: tuple[float, float] = (0.0, 0.0)  # -25..25 degrees right, up, relative to the head


@dataclass(frozen=True)
class Light:
    """One key light with soft shadows, an ambient sky and ground, and a rim light from behind."""

    azimuth: float = -35.0  # degrees, from the camera, positive to image right
    elevation: float = 35.0
    color: Color = (1.0, 0.95, 0.88)
    strength: float = 1.0  # 0.5..1.3
    ambient: Color = (0.40, 0.42, 0.48)
    rim: float = 0.3  # 0..1
    shadow: float = 0.8  # 0..1, how dark cast shadows are


@dataclass(frozen=True)
class Backdrop:
    """The background. kind: plain, gradient, bokeh, foliage, bricks, stripes."""

    kind: str = "gradient"
    first: Color = (0.25, 0.28, 0.33)
    second: Color = (0.08, 0.09, 0.12)
    seed: int = 0


@dataclass(frozen=True)
class Clothing:
    """Clothes, labelled as background. kind: crew, vneck, collar, strap."""

    kind: str = "crew"
    color: Color = (0.1, 0.12, 0.2)
    pattern: float = 0.0  # 0..1


@dataclass(frozen=True)
class Occluder:
    """An object in front of the face. kind: none, hand, lock (a lock of the person's hair)."""

    kind: str = "none"
    side: float = 1.0  # -1 image left, 1 image right
    offset: float = 0.0  # -1..1


@dataclass(frozen=True)
class Scene:
    """Everything in a picture that is not identity."""

    pose: Pose = field(default_factory=Pose)
    expression: Expression = field(default_factory=Expression)
    light: Light = field(default_factory=Light)
    backdrop: Backdrop = field(default_factory=Backdrop)
    clothing: Clothing = field(default_factory=Clothing)
    occluder: Occluder = field(default_factory=Occluder)


GROUPS = {
    R.LIPS: "lips", R.EYEBROWS: "brows", R.EYES: "eyes", R.HAIR: "hair", R.NOSE: "nose", R.SKIN: "face",
    R.EARS: "ears", R.NECK: "neck", R.MOUTH: "teeth", R.GLASSES: "glasses", R.EARRINGS: "earrings",
}  # fmt: skip


def combine(target: Person, source: Person, regions: str | int | Iterable[str | int]) -> Person:
    """Replace regions (names, presets or ids) of `target` by those of `source`, in shape and colour.

    The target's landmarks still frame the picture, and face and hair fit the target's skull, so that only the
    exchanged regions move; the skull is the source's only if both face and hair are exchanged. The background
    belongs to the Scene and is ignored here.
    """
    parts: dict[str, Any] = {
        GROUPS[region]: getattr(source, GROUPS[region])
        for region in R.region_ids(regions)
        if region in GROUPS
    }
    if not parts:
        return target
    if parts.keys() >= {GROUPS[R.SKIN], GROUPS[R.HAIR]}:
        parts["skull"] = source.skull
    return replace(target, **parts, frame=target.frame or target)
