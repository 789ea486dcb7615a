"""What an evaluation says in the end: ranks, means, distances of sets, and a sheet of the worst pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from e4s_engine.evaluation import distances, measures
from e4s_engine.evaluation.journal import Journal
from e4s_engine.evaluation.measures import MEASURES, Vector
from e4s_engine.evaluation.pairs import Pair
from e4s_engine.marks.statement import Statement
from e4s_engine.photo import align, images, sheets
from e4s_engine.photo.align import Crop
from e4s_engine.result import Picture

_BY_ITSELF = ("identity_source", "colour_source")  # the worst are chosen by the first that was measured


def rank(journal: Journal) -> None:
    """Set each row's rank: how many sources of the list look more like the result than its own, and 1."""
    gallery: dict[str, Vector] = {}
    stored = {number: journal.vectors(number) for number in journal.rows}
    for number, vectors in stored.items():
        if "source" in vectors:
            gallery.setdefault(journal.rows[number]["source"], vectors["source"])
    for number, vectors in stored.items():
        row = journal.rows[number]
        if "identity" in vectors:
            likeness = {name: measures.cosine(vectors["identity"], face) for name, face in gallery.items()}
            row["rank"] = 1 + sum(value > likeness[row["source"]] for value in likeness.values())


def summary(journal: Journal, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return means, medians and distances of sets, with the facts of the evaluation."""
    rows = list(journal.rows.values())
    values = {name: [row[name] for row in rows if row[name] is not None] for name in MEASURES}
    failed = [row for row in rows if row["error"]]
    ranks = np.array(values["rank"])
    return {
        "pairs": len(rows),
        "failed": len(failed),
        "mean": {name: float(np.mean(found)) for name, found in values.items() if found},
        "median": {name: float(np.median(found)) for name, found in values.items() if found},
        "retrieval_top1": float((ranks <= 1).mean()) if len(ranks) else None,
        "retrieval_top5": float((ranks <= 5).mean()) if len(ranks) else None,
        "untouched": all(leak == 0 for leak in values["leak"]),
        **_set_distances(journal),
        **facts,
        "errors": {row["name"]: row["error"] for row in failed},
    }


def _set_distances(journal: Journal) -> dict[str, float | None]:
    """Return FID and KID of all swaps to their targets; None without a feature network or for one pair."""
    stored = [vectors for number in sorted(journal.rows) if "fake" in (vectors := journal.vectors(number))]
    if len(stored) < 2:
        return {"fid": None, "kid": None}
    fake, real = (np.stack([vectors[name] for vectors in stored]) for name in ("fake", "real"))
    return {"fid": distances.fid(fake, real), "kid": distances.kid(fake, real)}


def sheet(
    cropped: Callable[[Path], Crop], pairs: Sequence[Pair], journal: Journal, count: int, measure: str | None
) -> None:
    """Write the worst pairs: source, target and swap, with the measure by which they were chosen.

    cropped: function that returns the aligned crop of a photo's face. measure: one of MEASURES, or None.
    """
    rows = list(journal.rows.values())
    measured = [name for name in _BY_ITSELF if any(row[name] is not None for row in rows)]
    by = measure or next(iter(measured), None)
    known = [] if by is None else [row for row in rows if row[by] is not None]
    if by is None or not known or not count:
        return
    known.sort(key=lambda row: row[by], reverse=not MEASURES[by])
    by_number = {pair.number: pair for pair in pairs}
    panels: list[list[sheets.Panel]] = []
    for row in known[:count]:
        pair, name = by_number[row["number"]], row["name"]
        swap = images.read(journal.picture(pair.number), "swap")
        source, target = cropped(pair.source), cropped(pair.target)
        title = f"{name}: {row['regions'] or 'whole face'}, {by} {row[by]:.3g}"
        swapped = (title, align.again(target, swap))
        panels.append([("source", source.image), ("target", target.image), swapped])
    Picture(sheets.sheet(panels), None, Statement("sheet")).save(journal.folder / "worst.png")
