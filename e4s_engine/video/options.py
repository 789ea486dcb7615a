"""How the frames of a clip are kept steady."""

from __future__ import annotations

import dataclasses

import numpy as np

from e4s_engine.errors import ArgumentError
from e4s_engine.video.steady import AXES_SIGMA, CENTRE_SIGMA


@dataclasses.dataclass(frozen=True)
class Steady:
    """How steady the swaps of a clip are. `Steady.off()` swaps every frame as a photo.

    centre, axes: standard deviations, in frames, of the Gaussians that smooth a crop's centre and its
        half-axes (size and tilt) over a shot; 0 leaves them as they are. In streams any value above 0 means a
        causal filter (One Euro).
    every: frames between encodings of the target's style vectors; those between are mixed of both sides. 1
        encodes every frame. In streams, which know one side alone, they go over from the old to the new.
    labels: number of frames on each side that vote on a pixel's region; 0: the parser's labels as they are.
        Streams know no later frames and do without.

    Raises ArgumentError for a value out of range.
    """

    centre: float = CENTRE_SIGMA
    axes: float = AXES_SIGMA
    every: int = 16
    labels: int = 1

    def __post_init__(self) -> None:
        for name, least, most, whole in (
            ("centre", 0, 100, False),
            ("axes", 0, 100, False),
            ("every", 1, 240, True),
            ("labels", 0, 8, True),
        ):
            value = getattr(self, name)
            kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
            if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
                kind = "a whole number" if whole else "a number"
                raise ArgumentError(f"{name}: expected {kind} from {least} to {most}, got {value!r}")

    @classmethod
    def off(cls) -> Steady:
        """Return what swaps every frame by itself."""
        return cls(centre=0, axes=0, every=1, labels=0)

    @property
    def ahead(self) -> int:
        """Number of later frames that a frame depends on, and of earlier ones."""
        return self.every + self.labels
