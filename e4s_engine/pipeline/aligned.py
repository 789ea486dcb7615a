"""Whether labels look like those of an aligned face: eyes, nose and mouth where FFHQ crops have them."""

from __future__ import annotations

import numpy as np

from e4s_engine import regions
from e4s_engine.errors import AlignmentError
from e4s_engine.faces import files
from e4s_engine.regions import Labels

# Parts of a face, with the middle (x, y) in percent of the side that crops have, how far from it a median may
# lie, and the least share of the crop. The aligned photos and 60 rendered faces of the tests lie well inside.
# Eyebrows and glasses stand for eyes that are closed or hidden.
_PARTS: tuple[tuple[str, tuple[int, ...], tuple[int, int], tuple[int, int], float], ...] = (
    ("eyes", (regions.EYES, regions.EYEBROWS, regions.GLASSES), (50, 46), (12, 10), 0.003),
    ("nose", (regions.NOSE,), (50, 57), (12, 9), 0.004),
    ("mouth", (regions.LIPS, regions.MOUTH), (50, 74), (12, 10), 0.0005),
)


def check(labels: Labels, argument: str) -> None:
    """Raise AlignmentError, saying what is seen where, unless parsed labels look like an aligned face."""
    wrong = []
    for name, ids, (x, y), (wide, high), least in _PARTS:
        mask = np.isin(labels, ids)
        if mask.mean() < least:
            wrong.append(f"no {name}")
            continue
        rows, columns = np.nonzero(mask)
        across, down = (float(np.median(place)) * 100 / len(labels) for place in (columns, rows))
        if abs(across - x) > wide or abs(down - y) > high:
            verb = "are" if name == "eyes" else "is"
            place = f"{across:.0f}% from the left and {down:.0f}% from the top"
            wrong.append(f"the {name} {verb} {place}, not {x}% and {y}%")
    if wrong:
        raise AlignmentError(
            f"{argument}: no aligned face fills this square photo (its parsed labels: {'; '.join(wrong)}); "
            f"install a face detector (`{files.INSTALL}`), pass landmarks ([68, 2] or [5, 2], in pixels), or "
            "take the photo as it is with align=False"
        )
