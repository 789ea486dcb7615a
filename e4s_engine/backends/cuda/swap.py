"""A swap of aligned crops as one graph: encodes side by side, relighting, composition, decode, paste.

Inputs are 8-bit pixels of the target, 8-bit pixels of its source or style vectors of sources that were
encoded before, labels of all of them, swap flags and settings (see kernels/compose.py), and how far the
caller reads the face beyond its opacity (see kernels/box.py): only so much of it is generated. Outputs are
8-bit pixels of the face and of the face pasted into the target's crop, its opacity there, style vectors,
labels, holes and foreground.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from e4s_engine import regions
from e4s_engine.backends.cuda.graph import Numbering, described, part
from e4s_engine.backends.plans import example
from e4s_engine.backends.plans import record as record_function
from e4s_engine.kernels import box, compose, enlarge, feather, relight
from e4s_engine.kernels.launch import SIZES, Launch, Operand, Packed, Program
from e4s_engine.kernels.tiles import Table
from e4s_engine.networks.rgi import relight as relighting
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.networks.rgi.decode import decode_pixels
from e4s_engine.networks.rgi.network import RGI
from e4s_engine.photo.align import CROP

SLOTS = (
    "source_pixels", "source_labels", "target_pixels", "target_labels", "chosen", "settings", "reach",
    "source_styles", "target_styles", "relit", "styles", "labels", "holes", "foreground", "box", "picture",
    "pasted", "opacity",
)  # fmt: skip

ENCODED = ("pixels", "labels", "styles")  # an encode's externals


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Tell graphs apart by what they do.

    sources: number of sources per swap that were encoded before; 0: one source, encoded here. relight:
    whether their style vectors are brought into the target's light. kept: whether the target was encoded
    before, too.
    """

    sources: int = 0
    relight: bool = False
    kept: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the slots that the caller fills."""
        given = "source_styles" if self.sources else "source_pixels"
        styles = ("target_styles",) if self.kept else ()
        return (
            given, "source_labels", "target_pixels", "target_labels", "chosen", "settings", "reach", *styles
        )  # fmt: skip

    @property
    def encoded(self) -> tuple[str, ...]:
        """Return who is encoded in the graph."""
        before = {"source": self.sources > 0, "target": self.kept}
        return tuple(who for who, known in before.items() if not known)

    @property
    def people(self) -> int:
        """Return the number of sources per swap."""
        return max(self.sources, 1)


@dataclasses.dataclass
class Swap:
    """The parts of the graph. sizes: bytes of each slot, in order.

    encodes: of the source and of the target, where they are encoded here. temporaries: bytes of the
    composition's own memory, and of the paste's.
    """

    recipe: Recipe
    sizes: list[int]
    encodes: dict[str, Program]
    composition: list[Launch]
    decode: Program
    paste: list[Launch]
    temporaries: tuple[list[int], list[int]]

    @property
    def programs(self) -> list[Program]:
        """Return the programs, the parts that record a plan."""
        return [*self.encodes.values(), self.decode]

    def launches(self) -> list[Launch]:
        """Return the launches of all parts, in order."""
        encodes = [launch for program in self.encodes.values() for launch in program.launches]
        return [*encodes, *self.composition, *self.decode.launches, *self.paste]

    def packed(self) -> dict[Packed, None]:
        """Return every weight that the launches read (the dict's keys)."""
        pointers = (p for launch in self.launches() for p in launch.pointers.values())
        return dict.fromkeys(p for p in pointers if isinstance(p, Packed))

    def parts(self, numbering: Numbering) -> list[dict[str, Any]]:
        """Return the parts in the form that the runtime takes."""
        slot = {name: i for i, name in enumerate(SLOTS)}
        encodes = [
            part(program, {i: slot[f"{whose}_{what}"] for i, what in enumerate(ENCODED)}, numbering)
            for whose, program in self.encodes.items()
        ]
        shared = [(size, i) for i, size in enumerate(self.sizes)]
        middle, paste = (
            {"blocks": shared + [(size, -1) for size in own], "launches": described(launches, numbering)}
            for launches, own in zip((self.composition, self.paste), self.temporaries, strict=True)
        )
        decoded = {0: slot["styles"], 1: slot["labels"], 2: slot["picture"]}
        last = part(self.decode, decoded, numbering, box=slot["box"])
        return [*encodes, middle, last, paste]


def record(
    config: ModelConfig, precision: str, batch: int, table: Table | None = None, recipe: Recipe = Recipe()
) -> Swap:
    """Record the parts of a graph of `batch` swaps. table: measured tiles."""
    encodes = {
        who: Program(example(config, "encode", precision, batch), table=table) for who in recipe.encoded
    }
    decode = dataclasses.replace(RGI.functions["decode"], call=decode_pixels)
    inputs = [(batch, *shape) for shape in decode.examples(config)]
    picture_of = Program(record_function(config, decode, precision, inputs), table=table, boxed=True)
    composition, middle = _composition(config, batch, recipe)
    paste, last = _paste(batch, config.size)
    return Swap(
        recipe, [size * batch for size in _sizes(config, recipe)], encodes, composition, picture_of, paste,
        (_bytes(middle, batch), _bytes(last, batch)),
    )  # fmt: skip


def _sizes(config: ModelConfig, recipe: Recipe) -> list[int]:
    """Return the bytes of each slot, per swap. Slots that a recipe does without have the least."""
    area, styles = regions.LABEL_SIZE**2, regions.COUNT * config.style_dim * 4
    pixels, people = CROP * CROP * 3, recipe.people
    sizes = {
        "source_pixels": 1 if recipe.sources else pixels, "source_labels": area * people,
        "target_pixels": pixels, "target_labels": area, "chosen": regions.COUNT * people,
        "settings": compose.SETTINGS * 4, "reach": 4, "box": 4 * 4, "source_styles": styles * people,
        "target_styles": styles,
        "relit": styles * people if recipe.relight else 1, "styles": styles, "labels": area, "holes": area,
        "foreground": area, "picture": config.size**2 * 3, "pasted": pixels, "opacity": CROP * CROP,
    }  # fmt: skip
    return [sizes[name] for name in SLOTS]


def _composition(
    config: ModelConfig, batch: int, recipe: Recipe
) -> tuple[list[Launch], list[tuple[str, int]]]:
    """Return the launches between encodes and decode, and their temporaries."""
    people, own = recipe.people, [("u8", regions.LABEL_SIZE**2)]
    given = tuple(_slot(f"{who}_labels") for who in ("source", "target"))
    asked = (_slot("chosen"), _slot("settings"))
    made = (_slot("labels"), _slot("holes"), _slot("foreground"))
    near = Operand(len(SLOTS), "u8")
    launches = [
        compose.launch_labels((*given, *asked), made, batch, people),
        *compose.band_launches(given[1], asked[0], (made[0], made[2]), near, batch, people),
        box.launch_bounds(made[-1], _slot("reach"), _slot("box"), batch),
    ]
    source, target = _slot("source_styles"), _slot("target_styles")
    if recipe.relight:
        own += relight.temporaries(config.relight, people)
        lights = Operand(len(SLOTS) + 1, "f32"), Operand(len(SLOTS) + 2, "f32")
        sizes = (config.style_dim, config.relight)
        layers, slope = relighting_layers(), relighting.SLOPE
        launches += relight.launches(
            source, target, lights, _slot("relit"), layers, slope, sizes, batch, people
        )
        source = _slot("relit")
    vectors = (source, target, *asked)
    launches.append(compose.launch_styles(vectors, _slot("styles"), batch, config.style_dim, people))
    return launches, own


def relighting_layers() -> dict[str, Packed]:
    """Return a model's relighting layers as the kernels read them, by their names in `relight.Layers`."""

    def layer(name: str) -> Callable[[Any], Any]:
        return lambda arrays: np.asarray(getattr(relighting.layers(arrays, np.stack), name))

    return {name: Packed(("relight", name), "f32", layer(name)) for name in relighting.Layers._fields}


def _paste(batch: int, size: int) -> tuple[list[Launch], list[tuple[str, int]]]:
    """Return the launches that paste pictures of a size into crops, and their temporaries."""
    names = {"foreground": "foreground", "face": "picture", "photo": "target_pixels", "pasted": "pasted"}
    slots = {name: _slot(slot) for name, slot in (names | {"opacity": "opacity"}).items()}
    own = feather.temporaries(regions.LABEL_SIZE)
    before: list[Launch] = []
    if size != CROP:
        own = own + enlarge.temporaries(size, CROP)
    between = [Operand(len(SLOTS) + i, kind) for i, (kind, _) in enumerate(own)]
    if size != CROP:
        before = enlarge.launches(slots["face"], between[-2], between[-1], (size, CROP), batch)
        slots["face"], between = between[-1], between[:-2]
    return [*before, *feather.launches(slots, between, batch, regions.LABEL_SIZE)], own


def _bytes(temporaries: list[tuple[str, int]], batch: int) -> list[int]:
    return [SIZES[kind] * count * batch for kind, count in temporaries]


def _slot(name: str) -> Operand:
    floats = name.endswith("styles") or name in ("settings", "relit")
    kind = "f32" if floats else "i32" if name in ("reach", "box") else "u8"
    return Operand(SLOTS.index(name), kind)
