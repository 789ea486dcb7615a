"""Relighting: a source's style vectors as they would be under the target's light. Not in the paper.

A style vector holds a region's colours as they were seen, the light of its photo among them, so that a swap
brings the source's light along. Rendered swaps with exact answers teach what to change: the light of either
face is read off all of its regions together; a region's vector moves by the difference that the two make.
Models without these layers, the official ones among them, swap style vectors as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from e4s_engine import regions

PREFIX = "relight."
_SLOPE = 0.2


class Layers(NamedTuple):
    """The layers of all regions, stacked: NumPy arrays, or tensors where they are trained."""

    light: Any  # [12,H,D], with light_bias [H]: style vectors to light
    light_bias: Any
    inner: Any  # [12,H,D], with inner_bias [12,H]: a region's vector to what light acts on
    inner_bias: Any
    shift: Any  # [12,H,H]: how the light acts
    outer: Any  # [12,D,H]: what that changes


def layers(weights: Mapping[str, Any], stack: Callable[[list[Any]], Any]) -> Layers:
    """The layers of a model's tensors. stack: np.stack or torch.stack."""

    def every(leaf: str) -> Any:
        return stack([weights[f"{PREFIX}{region}.{leaf}"] for region in range(regions.COUNT)])

    return Layers(
        every("light.weight"),
        weights[PREFIX + "light.bias"],
        every("inner.weight"),
        every("inner.bias"),
        every("shift.weight"),
        every("outer.weight"),
    )


def relight(source: Any, target: Any, layers: Layers) -> Any:
    """The source's style vectors under the target's light: [N,12,D] twice -> [N,12,D].

    Nothing changes where both have the same light; regions that the source does not show stay zero. The same
    lines run on arrays and on tensors.
    """
    inner = _each(layers.inner, source) + layers.inner_bias
    there, here = (_each(layers.shift, _light(styles, layers)) for styles in (target, source))
    change = _each(layers.outer, _leaky(inner + there) - _leaky(inner + here))
    shown = (source != 0).any(-1)[..., None]
    return source + shown * change


def _light(styles: Any, layers: Layers) -> Any:  # [N,12,D] -> [N,1,H]
    return _leaky(_each(layers.light, styles).sum(1)[:, None] + layers.light_bias)


def _each(matrices: Any, vectors: Any) -> Any:  # [12,O,I], [N,12 or 1,I] -> [N,12,O]
    return (vectors.swapaxes(0, 1) @ matrices.swapaxes(1, 2)).swapaxes(0, 1)


def _leaky(x: Any) -> Any:
    return (1 + _SLOPE) / 2 * x + (1 - _SLOPE) / 2 * abs(x)
