"""What may stand for a small map between two launches: partial sums of it, or Winograd's planes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .launch import Argument, Context, padded

if TYPE_CHECKING:
    from e4s_engine.plan import Step

SMALL = 1024  # most pixels of a map that one program holds
FEW = 8  # channels per program that holds all pixels
PLANES = 0  # in place of a number of partial sums: the planes of winograd.py


def normalises(step: Step, role: str) -> bool:
    """Return whether a step takes the instance norm of the map that it reads in this role."""
    if step.kind == "norm_add" and role == "shortcut":
        return bool(step.numbers.get("normalised", 0))
    return step.kind in ("instance_norm", "norm_add") and role == "x"


def only_normalised(c: Context, name: str) -> bool:
    """Return whether a map is small and only its norm is used: partial sums can then replace it."""
    readers = c.readers(name)
    every = readers is not None and all(normalises(step, role) for _, step, role in readers)
    return every and c.view(name).pixels <= SMALL


def map_or_partial(c: Context, name: str) -> tuple[Argument, int, int]:
    """Return a buffer or what stands for it, elements from pixel to pixel, and the number of parts to sum."""
    partial = c.partial(name)
    if partial is None:
        return c.buffer(name), c.view(name).pixel, 1
    return partial.operand, padded(c.view(name).c), partial.parts
