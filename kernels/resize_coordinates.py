"""Where the pixels of a resized map lie in the input, and the values there. The modes are ops/resize.py's."""

from __future__ import annotations

from .language import jit, tl


@jit
def place(index, FROM: tl.constexpr, TO: tl.constexpr, MODE: tl.constexpr):
    """Locate an output index: return the input index before it, the one after, and the fraction between."""
    if MODE == 2:
        near = index * FROM // TO
        at = near.to(tl.float32)
    elif MODE == 1:
        at = index.to(tl.float32) * ((FROM - 1) / (TO - 1) if TO > 1 else 0.0)
        near = tl.minimum(at.to(tl.int32), FROM - 1)
    else:
        at = tl.maximum((index.to(tl.float32) + 0.5) * (FROM / TO) - 0.5, 0.0)
        near = tl.minimum(at.to(tl.int32), FROM - 1)
    return near, tl.minimum(near + 1, FROM - 1), at - near.to(tl.float32)


@jit
def between(
    x, pixels, channels, live,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
    MODE: tl.constexpr,
):  # fmt: skip
    """Interpolate the values at output pixels. pixels [P], channels [1,C] -> [P,C] in fp32."""
    top, bottom, down = place(pixels // WIDTH, H, HEIGHT, MODE)
    left, right, across = place(pixels % WIDTH, W, WIDTH, MODE)
    source = x + channels
    a = tl.load(source + (top * W + left)[:, None] * X_PIXEL, mask=live, other=0.0).to(tl.float32)
    if MODE == 2:
        value = a
    else:
        b = tl.load(source + (top * W + right)[:, None] * X_PIXEL, mask=live, other=0.0).to(tl.float32)
        c = tl.load(source + (bottom * W + left)[:, None] * X_PIXEL, mask=live, other=0.0).to(tl.float32)
        d = tl.load(source + (bottom * W + right)[:, None] * X_PIXEL, mask=live, other=0.0).to(tl.float32)
        above = a + (b - a) * across[:, None]
        below = c + (d - c) * across[:, None]
        value = above + (below - above) * down[:, None]
    return value
