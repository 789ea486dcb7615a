"""Relighting: style vectors of the source under the target's light. Not in the paper.

A style vector holds a region's colours under the light of its photo, so a swap would bring the source's light
along. Layers trained on rendered swaps with exact answers correct that: they estimate the light of each face
from all of its regions, and move a region's vector by the difference between the two lights. Models without
these layers, the official ones among them, swap style vectors unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from e4s_engine import regions

PREFIX = "relight."
SLOPE = 0.2


class Layers(NamedTuple):
    """Layers of all regions, stacked: NumPy arrays, or tensors in training."""

    light: Any  # [12,H,D], with light_bias [H]: style vectors -> light
    light_bias: Any
    inner: Any  # [12,H,D], with inner_bias [12,H]: a region's vector -> hidden features that light acts on
    inner_bias: Any
    shift: Any  # [12,H,H]: light -> shift of the hidden features
    outer: Any  # [12,D,H]: change of the hidden features -> change of the vector


def layers(weights: Mapping[str, Any], stack: Callable[[list[Any]], Any]) -> Layers:
    """Stack a model's relighting layers. stack: np.stack or torch.stack."""

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
    """Change the source's style vectors to the target's light: [N,12,D] twice -> [N,12,D].

    Under equal light nothing changes; regions that the source lacks stay zero. The same code runs on arrays
    and on tensors.
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
    return (1 + SLOPE) / 2 * x + (1 - SLOPE) / 2 * abs(x)
