"""Attention within parts of a face: a softmax that runs over tiles of keys, and the colours' mean under it.

One launch turns the features into directions (less their mean, divided by their length) for each side; the
last one gives every program some queries, which it compares with all keys, tile by tile.
"""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, Operand, blocks, constants, power

QUERIES = 32
KEYS = 64
CHUNK = 32  # channels of a product
PIXELS = 8  # of a program that makes directions


@jit
def directions(
    x, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, Y_PIXEL: tl.constexpr,
    EPSILON: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    channels = tl.arange(0, BLOCK_C)[None, :]
    live = (pixels < ROWS) & (channels < CHANNELS)
    places = sample * ROWS + pixels
    value = tl.load(x + places * X_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
    mean = tl.sum(value, axis=1) / CHANNELS
    value = tl.where(live, value - mean[:, None], 0.0)
    length = tl.maximum(tl.sqrt(tl.sum(value * value, axis=1)), EPSILON)
    tl.store(
        y + places * Y_PIXEL + channels, value / length[:, None], mask=(pixels < ROWS) & (channels < Y_PIXEL)
    )


@jit
def part_attention(
    x, keys, x_parts, key_parts, colours, temperature, y,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr, COLOUR_PIXEL: tl.constexpr, Y_PIXEL: tl.constexpr,
    BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    queries = tl.program_id(0) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    inside = queries < ROWS
    x += sample * ROWS * CHANNELS
    keys += sample * ROWS * CHANNELS
    x_parts += sample * ROWS
    key_parts += sample * ROWS
    colours += sample * ROWS * COLOUR_PIXEL
    part = tl.load(x_parts + queries, mask=inside, other=0).to(tl.int32)
    factor = tl.load(temperature)
    most = tl.full((BLOCK_Q,), -1e30, tl.float32)
    share = tl.zeros((BLOCK_Q,), tl.float32)
    red = tl.zeros((BLOCK_Q,), tl.float32)
    green = tl.zeros((BLOCK_Q,), tl.float32)
    blue = tl.zeros((BLOCK_Q,), tl.float32)
    for start in range(0, ROWS, BLOCK_K):
        key = start + tl.arange(0, BLOCK_K)
        known = key < ROWS
        scores = tl.zeros((BLOCK_Q, BLOCK_K), tl.float32)
        for first in range(0, CHANNELS, BLOCK_C):
            channels = first + tl.arange(0, BLOCK_C)
            live = channels < CHANNELS
            left = tl.load(
                x + queries[:, None] * CHANNELS + channels[None, :],
                mask=inside[:, None] & live[None, :], other=0.0,
            )  # fmt: skip
            right = tl.load(
                keys + key[None, :] * CHANNELS + channels[:, None],
                mask=known[None, :] & live[:, None], other=0.0,
            )  # fmt: skip
            scores += tl.dot(left, right, input_precision="ieee")
        theirs = tl.load(key_parts + key, mask=known, other=0).to(tl.int32)
        ours = tl.load(x_parts + key, mask=known, other=0).to(tl.int32)
        # As published: where the two pictures show different parts, a key has no features.
        scores = tl.where((ours == theirs)[None, :], scores * factor, 0.0)
        same = (part[:, None] == theirs[None, :]) & (part[:, None] > 0)
        scores = tl.where(same, scores, -1e30)
        largest = tl.maximum(most, tl.max(scores, axis=1))
        kept = tl.exp(most - largest)
        weights = tl.where(same, tl.exp(scores - largest[:, None]), 0.0)
        colour = colours + key * COLOUR_PIXEL
        share = share * kept + tl.sum(weights, axis=1)
        value = tl.load(colour, mask=known, other=0.0).to(tl.float32)
        red = red * kept + tl.sum(weights * value[None, :], axis=1)
        value = tl.load(colour + 1, mask=known, other=0.0).to(tl.float32)
        green = green * kept + tl.sum(weights * value[None, :], axis=1)
        value = tl.load(colour + 2, mask=known, other=0.0).to(tl.float32)
        blue = blue * kept + tl.sum(weights * value[None, :], axis=1)
        most = largest
    share = tl.where(share > 0, share, 1.0)
    target = y + (sample * ROWS + queries) * Y_PIXEL
    tl.store(target, red / share, mask=inside)
    tl.store(target + 1, green / share, mask=inside)
    tl.store(target + 2, blue / share, mask=inside)


def launch_part_attention(c: Context) -> list[Launch]:
    """Build the launches of an attention within parts."""
    x, y = c.view("x"), c.view("y")
    made = {name: c.temporary(x.n * x.pixels * x.c) for name in ("x", "keys")}
    return [
        *(_directions(c, name, operand) for name, operand in made.items()),
        Launch(
            "part_attention.part_attention",
            {
                **made,
                "x_parts": c.buffer("x_parts"),
                "key_parts": c.buffer("key_parts"),
                "colours": c.buffer("colours"),
                "temperature": c.vector("temperature"),
                "y": c.buffer("y"),
            },
            ("y",),
            constants(
                rows=x.pixels, channels=x.c, colour_pixel=c.view("colours").pixel, y_pixel=y.pixel,
                block_q=QUERIES, block_k=KEYS, block_c=CHUNK,
            ),
            (blocks(x.pixels, QUERIES), 1),
            x.n,
        ),
    ]  # fmt: skip


def _directions(c: Context, name: str, y: Operand) -> Launch:
    x = c.view(name)
    return Launch(
        "part_attention.directions",
        {"x": c.buffer(name), "y": y},
        ("y",),
        constants(
            rows=x.pixels, x_pixel=x.pixel, channels=x.c, y_pixel=x.c, epsilon=c.real("epsilon"),
            block_p=PIXELS, block_c=power(x.c, 16),
        ),
        (blocks(x.pixels, PIXELS), 1),
        x.n,
    )  # fmt: skip
