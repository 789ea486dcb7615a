"""Label maps resized to a layer's size: the source index is floor(i * h / H)."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, blocks, constants

BLOCK = 1024


@jit
def resize_labels(
    x, y,
    H: tl.constexpr, W: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, LIMIT: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = pixels < HEIGHT * WIDTH
    source = pixels // WIDTH * H // HEIGHT * W + pixels % WIDTH * W // WIDTH
    label = tl.load(x + sample * (H * W) + source, mask=live, other=0).to(tl.int32)
    # Clamped, so that no kernel reads a style beyond the last, whatever the caller's memory holds.
    tl.store(y + sample * (HEIGHT * WIDTH) + pixels, tl.minimum(label, LIMIT - 1).to(tl.uint8), mask=live)


def launch_resize_labels(c: Context) -> list[Launch]:
    """Build the launch that resizes labels to y's size and clamps them below their limit."""
    x, y = c.view("x"), c.view("y")
    return [
        Launch(
            "resize_labels.resize_labels",
            {"x": c.buffer("x"), "y": c.buffer("y")},
            ("y",),
            constants(h=x.h, w=x.w, height=y.h, width=y.w, limit=c.limit("x"), block=BLOCK),
            (blocks(y.pixels, BLOCK), 1),
            y.n,
        )
    ]
