"""Random draws from a seed, for sampling people and scenes."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from e4s_engine.synth import params as P

T = TypeVar("T")


class Dice:
    """A random generator with the few draws that sampling needs."""

    def __init__(self, seed: int, stream: int) -> None:
        self.rng = np.random.default_rng([stream, seed])

    def between(self, low: float, high: float) -> float:
        """Draw uniformly."""
        return float(self.rng.uniform(low, high))

    def bell(self, mean: float, deviation: float, low: float, high: float) -> float:
        """Draw from a normal distribution, clipped."""
        return float(np.clip(self.rng.normal(mean, deviation), low, high))

    def chance(self, p: float) -> bool:
        """Return True with probability p."""
        return bool(self.rng.random() < p)

    def pick(self, options: dict[T, float]) -> T:
        """Draw one of the options, by weight."""
        weights = np.array(list(options.values()))
        return list(options)[int(self.rng.choice(len(weights), p=weights / weights.sum()))]

    def color(self, color: P.Color, spread: float = 0.12) -> P.Color:
        """Vary a colour: lighter or darker, and slightly off in hue."""
        factor = np.exp(self.rng.normal(0, spread) + self.rng.normal(0, spread / 4, 3))
        r, g, b = np.clip(np.array(color) * factor, 0.003, 0.95)
        return (float(r), float(g), float(b))

    def seed(self) -> int:
        """Draw a small seed for a pattern."""
        return int(self.rng.integers(1000))


def blend(a: P.Color, b: P.Color, t: float) -> P.Color:
    """Interpolate colours: a at t = 0, b at t = 1."""
    r, g, bl = (float(x + (y - x) * t) for x, y in zip(a, b, strict=True))
    return (r, g, bl)
