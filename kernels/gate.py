"""Attention: x * sigmoid(gate) (+ x), then ReLU. The gate is one pixel, or one channel, broadcast."""

from __future__ import annotations

from .elementwise import tile
from .language import jit, tl
from .launch import Context, Launch, blocks, constants


@jit
def gate(
    x, logits, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, Y_PIXEL: tl.constexpr,
    GATE_PIXEL: tl.constexpr, BY_PIXEL: tl.constexpr, RESIDUAL: tl.constexpr, RELU: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    live = (pixels < ROWS) & (channels < CHANNELS)
    places = sample * ROWS + pixels
    value = tl.load(x + places * X_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
    if BY_PIXEL:
        logit = tl.load(logits + places * GATE_PIXEL, mask=pixels < ROWS, other=0.0)
    else:
        logit = tl.load(logits + sample * GATE_PIXEL + channels, mask=channels < CHANNELS, other=0.0)
    result = value / (1.0 + tl.exp(-logit.to(tl.float32)))
    if RESIDUAL:
        result += value
    if RELU:
        result = tl.maximum(result, 0.0)
    tl.store(y + places * Y_PIXEL + channels, result.to(y.dtype.element_ty), mask=live)


def launch_gate(c: Context) -> list[Launch]:
    """Build the launch of a gate."""
    x, y = c.view("x"), c.view("y")
    down, across = tile(x.c)
    return [
        Launch(
            "gate.gate",
            {"x": c.buffer("x"), "logits": c.buffer("gate"), "y": c.buffer("y")},
            ("y",),
            constants(
                rows=x.pixels, x_pixel=x.pixel, channels=x.c, y_pixel=y.pixel,
                gate_pixel=c.view("gate").pixel, by_pixel=c.view("gate").c != x.c,
                residual=c.flag("residual"), relu=c.flag("relu"), block_p=down, block_c=across,
            ),
            (blocks(y.pixels, down), blocks(x.c, across)),
            y.n,
        )
    ]  # fmt: skip
