"""Gates and sums that are not fused into a convolution: x * sigmoid(gate) (+ x), or x + other; then ReLU.

The gate is a single pixel, broadcast over the map; the other operand may be one too.
"""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, blocks, constants
from .resize import elementwise


@jit
def combine(
    x, other, gate, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, Y_PIXEL: tl.constexpr,
    OTHER_PIXEL: tl.constexpr, OTHER_ROWS: tl.constexpr, GATE_PIXEL: tl.constexpr, RESIDUAL: tl.constexpr,
    RELU: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    live = (pixels < ROWS) & (channels < CHANNELS)
    places = sample * ROWS + pixels
    value = tl.load(x + places * X_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
    result = value
    if gate is not None:
        logit = tl.load(gate + sample * GATE_PIXEL + channels, mask=channels < CHANNELS, other=0.0)
        result = value / (1.0 + tl.exp(-logit.to(tl.float32)))
        if RESIDUAL:
            result += value
    if other is not None:
        if OTHER_ROWS == 1:
            term = tl.load(other + sample * OTHER_PIXEL + channels, mask=channels < CHANNELS, other=0.0)
        else:
            term = tl.load(other + places * OTHER_PIXEL + channels, mask=live, other=0.0)
        result += term.to(tl.float32)
    if RELU:
        result = tl.maximum(result, 0.0)
    tl.store(y + places * Y_PIXEL + channels, result.to(y.dtype.element_ty), mask=live)


def launch_combine(c: Context) -> list[Launch]:
    """Build the launch of a gate or a sum."""
    x, y = c.view("x"), c.view("y")
    other = c.view("other") if c.has("other") else None
    down, across = elementwise(x.c)
    return [
        Launch(
            "gate.combine",
            {"x": c.buffer("x"), "other": c.buffer("other"), "gate": c.buffer("gate"), "y": c.buffer("y")},
            ("y",),
            constants(
                rows=x.pixels, x_pixel=x.pixel, channels=x.c, y_pixel=y.pixel,
                other_pixel=other.pixel if other else 0, other_rows=other.pixels if other else 0,
                gate_pixel=c.view("gate").pixel if c.has("gate") else 0, residual=c.flag("residual"),
                relu=c.flag("relu"), block_p=down, block_c=across,
            ),
            (blocks(y.pixels, down), blocks(x.c, across)),
            y.n,
        )
    ]  # fmt: skip
