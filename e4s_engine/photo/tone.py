"""Photos of one tone: grey, sepia and the like. What is pasted into them takes their tone."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from e4s_engine.photo.images import Pixels

_WEIGHTS = (0.299, 0.587, 0.114)  # of the luma, ITU-R BT.601
_STEP = 4  # of the pixels that are looked at
_FIRST_STEP = 32  # of those that show most pictures to have colours
_BINS = 32  # of luma
# Distances of red and blue from a tone, in levels, up to which it is one. Sepia JPEGs reach 2.3 and 5.5, the
# colour photo with the fewest colours in the tests 3.5 and 10.3.
_MEAN, _MOST = 2.8, 7.0  # the latter for 95% of the pixels
_RANGE = 40.0  # least range of luma that shows a tone: colours of dark pictures are close to any

_Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Tone:
    """Colour by luma. offsets: red, green and blue minus luma, float64 [256, 3]; zeros for grey."""

    offsets: _Floats

    def applied(self, pixels: Pixels) -> Pixels:
        """Return pixels [..., 3] with their luma in this tone's colours."""
        luma = _luma(pixels)
        if not self.offsets.any():
            return np.repeat((luma + 0.5).astype(np.uint8)[..., None], 3, axis=-1)
        colours = luma[..., None] + self.offsets[(luma + 0.5).astype(np.uint8)]
        return np.asarray((colours + 0.5).clip(0, 255), np.uint8)


def of(pixels: Pixels) -> Tone | None:
    """Return the tone of a picture uint8 [H, W, 3] that has one only; None if it has colours."""
    few = _fitted(pixels[::_FIRST_STEP, ::_FIRST_STEP].reshape(-1, 3))
    if few is not None and few[1].mean() > 1.5 * _MEAN:  # within 9% of all pixels' in the photos of the tests
        return None
    seen = pixels[::_STEP, ::_STEP].reshape(-1, 3)
    if (seen == seen[:, :1]).all():
        return Tone(np.zeros((256, 3))) if (pixels == pixels[..., :1]).all() else None
    fitted = _fitted(seen)
    if fitted is None or fitted[1].mean() > _MEAN or np.percentile(fitted[1], 95) > _MOST:
        return None
    return Tone(fitted[0])


def _fitted(seen: Pixels) -> tuple[_Floats, _Floats] | None:
    """Return the nearest tone of pixels [N, 3], and their distances from it; None if luma hardly varies."""
    luma, wide = _luma(seen), seen.astype(np.float64)
    low, high = np.percentile(luma, (5, 95))
    if high - low < _RANGE:
        return None
    place = (luma * _BINS / 256).astype(int)
    count = np.bincount(place, minlength=_BINS)
    shown = count > 0
    sums = [np.bincount(place, wide[:, k] - luma, _BINS)[shown] / count[shown] for k in range(3)]
    centres = np.flatnonzero(shown) * 256 / _BINS + 128 / _BINS
    offsets = np.stack([np.interp(np.arange(256), centres, one) for one in sums], axis=1)
    return offsets, np.abs(wide - luma[:, None] - offsets[luma.astype(int)])[:, ::2].max(1)


def matched(face: Pixels, tone: Tone | None) -> Pixels:
    """Return a face in the tone of what it is pasted into, or as it is if that has colours."""
    return face if tone is None else tone.applied(face)


def _luma(pixels: Pixels) -> _Floats:
    return np.asarray(pixels @ np.array(_WEIGHTS))
