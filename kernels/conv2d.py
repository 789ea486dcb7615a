"""Dense convolution as one implicit GEMM: rows are output pixels, depth is taps x input channels.

    acc[pixel, o] = sum over tap, c of x[pixel * stride + tap, c] * kernel[tap, c, o]

then bias, PReLU or ReLU, residual, ReLU. The depth is one flat loop, so that loads stay in flight from one
tap to the next. Where a step is deeper than the input has channels (pictures), it spans several taps.
The linear layers of the plan come here too, as 1 x 1 convolutions over [N,1,R,C].
"""

from __future__ import annotations

from . import tiles
from .language import jit, tl
from .launch import Context, Launch, blocks, constants, padded


@jit
def conv2d(
    x, kernel, bias, slope, residual, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, Y_PIXEL: tl.constexpr, OUTPUTS: tl.constexpr,
    PADDED: tl.constexpr, RESIDUAL_PIXEL: tl.constexpr, SIZE: tl.constexpr, STRIDE: tl.constexpr,
    RELU: tl.constexpr, RELU_LAST: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    top = rows // WIDTH * STRIDE - SIZE // 2
    left = rows % WIDTH * STRIDE - SIZE // 2
    k = tl.arange(0, BLOCK_K)
    x += sample * (H * W * X_PIXEL)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(0, (SIZE * SIZE * DEPTH + BLOCK_K - 1) // BLOCK_K):
        place = step * BLOCK_K + k
        if DEPTH % BLOCK_K == 0:  # one tap
            tap = step // (DEPTH // BLOCK_K)
            channel = (step % (DEPTH // BLOCK_K)) * BLOCK_K + k
            row = (top + tap // SIZE)[:, None]
            column = (left + tap % SIZE)[:, None]
        else:
            channel = place % DEPTH
            row = top[:, None] + (place // DEPTH // SIZE)[None, :]
            column = left[:, None] + (place // DEPTH % SIZE)[None, :]
        inside = (row >= 0) & (row < H) & (column >= 0) & (column < W)
        if CHANNELS < DEPTH:
            inside = inside & (channel < CHANNELS)[None, :]
        if SIZE * SIZE * DEPTH % BLOCK_K != 0:
            inside = inside & (place < SIZE * SIZE * DEPTH)[None, :]
        a = tl.load(x + (row * W + column) * X_PIXEL + channel[None, :], mask=inside, other=0.0)
        weights = kernel + place[:, None] * PADDED + columns[None, :]
        if SIZE * SIZE * DEPTH % BLOCK_K != 0:
            given = (place < SIZE * SIZE * DEPTH)[:, None] & (columns < PADDED)[None, :]
            b = tl.load(weights, mask=given, other=0.0)
        elif PADDED % BLOCK_N != 0:
            b = tl.load(weights, mask=(columns < PADDED)[None, :], other=0.0)
        else:
            b = tl.load(weights)
        total = tl.dot(a, b, total, input_precision=PRECISION)
    if bias is not None:
        total += tl.load(bias + columns, mask=columns < OUTPUTS, other=0.0)[None, :]
    if slope is not None:
        slopes = tl.load(slope + columns, mask=columns < OUTPUTS, other=0.0)[None, :]
        total = tl.where(total > 0, total, total * slopes)
    if RELU:
        total = tl.maximum(total, 0.0)
    pixels = sample * ROWS + rows[:, None]
    live = (rows < ROWS)[:, None] & (columns < OUTPUTS)[None, :]
    if residual is not None:
        other = tl.load(residual + pixels * RESIDUAL_PIXEL + columns[None, :], mask=live, other=0.0)
        total += other.to(tl.float32)
    if RELU_LAST:
        total = tl.maximum(total, 0.0)
    tl.store(y + pixels * Y_PIXEL + columns[None, :], total.to(y.dtype.element_ty), mask=live)


def launch_conv(c: Context) -> list[Launch]:
    """A dense convolution, or a linear layer over [N,1,R,C] from channel `first` on."""
    x, y, first = c.view("x"), c.view("y"), c.integer("first")
    kernel = c.step.weights["kernel"][0]
    outputs, inputs, size = kernel.shape[:3]  # type: ignore[union-attr]
    depth = 4 if inputs == 3 else padded(inputs)
    problem = tiles.Problem("conv2d", y.pixels, outputs, depth, x.type, y.n)
    block = tiles.choose(problem, c.table)
    return [
        Launch(
            "conv2d.conv2d",
            {
                "x": c.buffer("x", first),
                "kernel": c.conv("kernel", depth),
                "bias": c.vector("bias"),
                "slope": c.vector("prelu"),
                "residual": c.buffer("residual"),
                "y": c.buffer("y"),
            },
            ("y",),
            constants(
                h=x.h, w=x.w, x_pixel=x.pixel, channels=4 if inputs == 3 else inputs, depth=depth,
                rows=y.pixels, width=y.w, y_pixel=y.pixel, outputs=outputs, padded=padded(outputs),
                residual_pixel=c.view("residual").pixel if c.has("residual") else 0, size=size,
                stride=c.integer("stride"), relu=c.flag("relu"), relu_last=c.flag("relu_last"),
                precision=c.precision, block_m=block.m, block_n=block.n, block_k=block.k,
            ),
            (blocks(y.pixels, block.m), blocks(outputs, block.n)),
            y.n,
            tile=block.tile,
            problem=problem,
        )
    ]  # fmt: skip
