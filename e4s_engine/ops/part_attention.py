"""Attention within parts: colours of a pixel as the mean of another picture's, by likeness of features.

Cosines of features from which each vector's own mean is taken off, times a temperature, a softmax over the
pixels of the same part, and the colours' mean under it. Nothing as large as pixels x pixels is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.errors import ArgumentError
from e4s_engine.plan import vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol, Weight

EPSILON = 1e-8  # least length of a vector
ROWS = 512  # pixels whose attention the reference computes together: 8 MB at 64 x 64


def reference(
    x: Tensor, y: Tensor, x_parts: Tensor, y_parts: Tensor, colours: Tensor, temperature: Tensor
) -> Tensor:
    """Return each pixel's colours; zero where a pixel has no part, or y has no pixel of it.

    x, y [N,C,H,W]; parts [N,H,W], 0 none; colours [N,3,H,W]; temperature [] -> [N,3,H,W]. As published, a
    pixel of y whose part differs from x's at the same place has no features: its likeness to any pixel is 0.
    """
    import torch

    _check(x.shape, y.shape, colours.shape)
    result = torch.zeros_like(colours)
    own, other = (_directions(features) for features in (x, y))
    for n in range(len(x)):
        ours, theirs = x_parts[n].flatten(), y_parts[n].flatten()
        known = other[n] * (ours == theirs)[:, None]
        flat, out = colours[n].flatten(1), result[n].view(3, -1)
        for part in torch.unique(ours).tolist():
            mine, among = ((parts == part).nonzero()[:, 0] for parts in (ours, theirs))
            if part == 0 or len(among) == 0:
                continue
            keys, values = known[among], flat[:, among].T
            for some in mine.split(ROWS):
                shares = (temperature * (own[n, some] @ keys.T)).softmax(1)
                out[:, some] = (shares @ values).T.to(out.dtype)  # autocast has made it half
    return result


def _directions(x: Tensor) -> Tensor:  # [N,C,H,W] -> [N,H*W,C]
    flat = x.flatten(2).transpose(1, 2).float()
    centred = flat - flat.mean(2, keepdim=True)
    return centred / centred.norm(dim=2, keepdim=True).clamp_min(EPSILON)


def record(
    x: Symbol, y: Symbol, x_parts: Symbol, y_parts: Symbol, colours: Symbol, temperature: Weight
) -> Symbol:
    """Append a step of its own, which sums in fp32."""
    _check(x.shape, y.shape, colours.shape)
    n, channels, height, width = x.shape
    pixels = height * width
    return x.plan.emit(
        "part_attention",
        (n, 3, height, width),
        {"x": x, "keys": y, "x_parts": x_parts, "key_parts": y_parts, "colours": colours},
        type="f32",
        weights={"temperature": vector(temperature)},
        flop=2.0 * n * pixels * pixels * (channels + 3),  # at most: where all pixels are of one part
        epsilon=EPSILON,
    )


def _check(x: tuple[int, ...], y: tuple[int, ...], colours: tuple[int, ...]) -> None:
    if tuple(x) != tuple(y) or tuple(colours) != (x[0], 3, *x[2:]):
        raise ArgumentError(
            f"colours: expected features of one shape and their colours, got {list(x)}, {list(y)} and "
            f"{list(colours)}"
        )
