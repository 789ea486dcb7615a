"""A swap of aligned crops as one graph: two encodes side by side, composition, decode, paste.

Inputs are 8-bit pixels and labels of both faces and the swap flags (see compose.py). Outputs are 8-bit pixels
of the face, labels, holes and, if the model's pictures have the crop's size, pixels of the face pasted into
the target's crop.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from e4s_engine import regions
from e4s_engine.backends.cuda.graph import Numbering, described, part
from e4s_engine.backends.plans import example
from e4s_engine.backends.plans import record as record_function
from e4s_engine.kernels import compose, feather
from e4s_engine.kernels.launch import SIZES, Launch, Operand, Packed, Program
from e4s_engine.kernels.tiles import Table
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.networks.rgi.decode import decode_pixels
from e4s_engine.networks.rgi.network import RGI
from e4s_engine.photo.align import CROP

SLOTS = (
    "source_pixels", "source_labels", "target_pixels", "target_labels", "chosen", "source_styles",
    "target_styles", "styles", "labels", "holes", "foreground", "picture", "pasted",
)  # fmt: skip

ENCODED = ("pixels", "labels", "styles")  # an encode's externals


@dataclasses.dataclass
class Swap:
    """The parts of the graph. sizes: bytes of each slot, in order. temporaries: bytes of the paste's."""

    sizes: list[int]
    encodes: tuple[Program, Program]
    composition: list[Launch]
    decode: Program
    paste: list[Launch]
    temporaries: list[int]

    @property
    def programs(self) -> list[Program]:
        """Return the programs, the parts that have weights."""
        return [*self.encodes, self.decode]

    def launches(self) -> list[Launch]:
        """Return the launches of all parts, in order."""
        first, second = (program.launches for program in self.encodes)
        return [*first, *second, *self.composition, *self.decode.launches, *self.paste]

    def packed(self) -> dict[Packed, None]:
        """Return every weight that the launches read (the dict's keys)."""
        return self.encodes[0].packed() | self.decode.packed()

    def parts(self, numbering: Numbering) -> list[dict[str, Any]]:
        """Return the parts in the form that the runtime takes."""
        slot = {name: i for i, name in enumerate(SLOTS)}
        first, second = (
            part(program, {i: slot[f"{whose}_{what}"] for i, what in enumerate(ENCODED)}, numbering)
            for whose, program in zip(("source", "target"), self.encodes, strict=True)
        )
        shared = [(size, i) for i, size in enumerate(self.sizes)]
        middle = {"blocks": shared, "launches": described(self.composition, numbering)}
        last = part(self.decode, {0: slot["styles"], 1: slot["labels"], 2: slot["picture"]}, numbering)
        own = [(size, -1) for size in self.temporaries]
        paste = {"blocks": shared + own, "launches": described(self.paste, numbering)}
        return [first, second, middle, last, paste]


def record(config: ModelConfig, precision: str, batch: int, table: Table | None = None) -> Swap:
    """Record the parts of a graph of `batch` swaps. table: measured tiles."""
    encodes = [example(config, "encode", precision, batch) for _ in range(2)]
    first, second = (Program(plan, table=table) for plan in encodes)
    decode = dataclasses.replace(RGI.functions["decode"], call=decode_pixels)
    inputs = [(batch, *shape) for shape in decode.examples(config)]
    picture_of = Program(record_function(config, decode, precision, inputs), table=table)
    area, styles = regions.LABEL_SIZE**2, regions.COUNT * config.style_dim * 4
    pixels, picture = CROP * CROP * 3, config.size**2 * 3
    sizes = [
        pixels, area, pixels, area, regions.COUNT, styles, styles, styles, area, area, area, picture, pixels,
    ]  # fmt: skip
    slot = {name: _slot(name) for name in SLOTS}
    chosen, shapes = slot["chosen"], (slot["labels"], slot["holes"], slot["foreground"])
    composition = [
        compose.launch_labels(slot["source_labels"], slot["target_labels"], chosen, shapes, batch),
        compose.launch_styles(
            slot["source_styles"], slot["target_styles"], chosen, slot["styles"], batch, config.style_dim
        ),
    ]
    temporaries = feather.temporaries(regions.LABEL_SIZE) if config.size == CROP else []
    paste = _paste(batch, [kind for kind, _ in temporaries]) if temporaries else []
    return Swap(
        [size * batch for size in sizes], (first, second), composition, picture_of,
        paste, [SIZES[kind] * count * batch for kind, count in temporaries],
    )  # fmt: skip


def _paste(batch: int, kinds: list[str]) -> list[Launch]:
    names = {"foreground": "foreground", "face": "picture", "photo": "target_pixels", "pasted": "pasted"}
    slots = {name: _slot(slot) for name, slot in names.items()}
    between = [Operand(len(SLOTS) + i, kind) for i, kind in enumerate(kinds)]
    return feather.launches(slots, between, batch, regions.LABEL_SIZE)


def _slot(name: str) -> Operand:
    return Operand(SLOTS.index(name), "f32" if name.endswith("styles") else "u8")
