"""The mean place under a softmax over all cells of a volume: a program finds one point."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, constants
from .volumes import coordinate

CELLS = 1024


@jit
def soft_argmax(
    x, y,
    DEPTH: tl.constexpr, H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, POINTS: tl.constexpr,
    Y_PIXEL: tl.constexpr, TEMPERATURE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    volume = tl.program_id(2).to(tl.int64)
    point = tl.program_id(0)
    COUNT: tl.constexpr = DEPTH * H * W
    x += volume * (COUNT * X_PIXEL) + point
    cells = tl.arange(0, BLOCK)
    most = tl.full((BLOCK,), float("-inf"), tl.float32)
    for start in range(0, COUNT, BLOCK):
        cell = start + cells
        most = tl.maximum(most, tl.load(x + cell * X_PIXEL, mask=cell < COUNT, other=float("-inf")))
    peak = tl.max(most, axis=0)
    shares = tl.zeros((BLOCK,), tl.float32)
    right = tl.zeros((BLOCK,), tl.float32)
    down = tl.zeros((BLOCK,), tl.float32)
    deep = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, COUNT, BLOCK):
        cell = start + cells
        value = tl.load(x + cell * X_PIXEL, mask=cell < COUNT, other=float("-inf"))
        share = tl.exp((value - peak) * (1.0 / TEMPERATURE))
        shares += share
        right += share * coordinate(cell % W, W)
        down += share * coordinate(cell // W % H, H)
        deep += share * coordinate(cell // (W * H), DEPTH)
    total = tl.sum(shares, axis=0)
    target = y + (volume * POINTS + point) * Y_PIXEL
    tl.store(target, tl.sum(right, axis=0) / total)
    tl.store(target + 1, tl.sum(down, axis=0) / total)
    tl.store(target + 2, tl.sum(deep, axis=0) / total)


def launch_soft_argmax(c: Context) -> list[Launch]:
    """Build the launch that finds points."""
    x, y = c.view("x"), c.view("y")
    return [
        Launch(
            "soft_argmax.soft_argmax",
            {"x": c.buffer("x"), "y": c.buffer("y")},
            ("y",),
            constants(
                depth=x.n // y.n, h=x.h, w=x.w, x_pixel=x.pixel, points=y.w, y_pixel=y.pixel,
                temperature=c.real("temperature"), block=CELLS,
            ),
            (y.w, 1),
            y.n,
        )
    ]  # fmt: skip
