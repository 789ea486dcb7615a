"""The evaluation itself: swaps every pair, measures it, and sums up."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from e4s_engine import __version__, regions
from e4s_engine.engine import Engine
from e4s_engine.errors import BackendError, ClosedError, E4SError
from e4s_engine.evaluation import measures, report
from e4s_engine.evaluation.journal import Journal, Row
from e4s_engine.evaluation.judges import Call, Judge, load
from e4s_engine.evaluation.measures import MEASURES, Vector
from e4s_engine.evaluation.pairs import Pair
from e4s_engine.options import SwapOptions, checked
from e4s_engine.photo import align
from e4s_engine.photo.align import Crop
from e4s_engine.photo.images import Pixels
from e4s_engine.result import Result

COLUMNS = ("number", "name", "source", "target", "regions", "error", *MEASURES)
_POSES = "facevid2vid"


@dataclasses.dataclass(frozen=True)
class Judges:
    """Judges of an evaluation; None: not measured, but that face-vid2vid may judge the expression."""

    identity: Judge | None
    expression: Judge | None
    features: Judge | None

    @property
    def names(self) -> dict[str, str | None]:
        """Return the judges' names by what they judge."""
        judges = {"identity": self.identity, "expression": self.expression, "features": self.features}
        return {what: None if judge is None else judge.name for what, judge in judges.items()}


def evaluate(
    engine: Engine,
    pairs: Sequence[Pair],
    folder: Path,
    *,
    options: SwapOptions | None = None,
    identity: Call | str | None = None,
    expression: Call | str | None = None,
    features: Call | str | None = None,
    worst: int = 8,
    worst_by: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> dict[str, Any]:
    """Swap pairs, measure them, and write `pairs.csv`, `summary.json` and `worst.png` into a folder.

    A folder in which the same evaluation was cut off is completed; its failed pairs are tried again.

    pairs: as `pairs.read` returns them. options: of the swaps; the largest face of every photo is meant.
    identity, expression, features: judges (`judges.Judge`): callables, their names "module:attribute", or
        for features a TorchScript file. Pose, and expression without a judge, are judged by face-vid2vid's
        estimator if its weights are at hand.
    worst: number of pairs on the sheet. worst_by: one of MEASURES; None: the identity, else the colour.
    overwrite: whether another evaluation in the folder may be replaced.
    progress: called with the number of finished pairs and of all.

    Returns the summary. Errors of single pairs are in their rows. Raises ArgumentError for judges,
    OutputError for the folder, and what a judge itself raises.
    """
    how = checked(options)
    judges = Judges(load(identity, "identity"), load(expression, "expression"), load(features, "features"))
    facts = _facts(engine, pairs, how, judges)
    journal = Journal(folder, facts, overwrite)
    run = _Run(engine, how, judges, journal)
    for count, pair in enumerate(pairs, 1):
        if pair.number not in journal.rows:
            journal.add(*run.row(pair))
        if progress is not None:
            progress(count, len(pairs))
    report.rank(journal)
    machine = {"device": engine.device, "backend": engine.backend}
    summary = report.summary(journal, facts | machine)
    journal.finish(COLUMNS, summary)
    report.sheet(run.cropped, pairs, journal, worst, worst_by)
    return summary


class _Run:
    """Swaps and measures one pair after the other."""

    def __init__(self, engine: Engine, options: SwapOptions, judges: Judges, journal: Journal) -> None:
        self._engine, self._options, self._judges, self._journal = engine, options, judges, journal
        # Lists name a source many times, often in a row.
        self._source = lru_cache(8)(
            lambda path: engine.portrait(path, align=options.align, argument="source")
        )

    def cropped(self, photo: Path) -> Crop:
        """Return the aligned crop of a photo's face."""
        return self._engine.portrait(photo, align=self._options.align).crop

    def row(self, pair: Pair) -> tuple[Row, dict[str, Vector]]:
        """Return a pair's measures and vectors; one that cannot be swapped has an error instead."""
        known: Row = dict.fromkeys(COLUMNS) | {
            "number": pair.number,
            "name": pair.name,
            "source": str(pair.source),
            "target": str(pair.target),
            "regions": pair.regions,
        }
        try:
            found, vectors = self._measured(pair)
        except E4SError as error:
            if isinstance(error, (BackendError, ClosedError)):
                raise
            return known | {"error": " ".join(str(error).split())}, {}
        return known | found, vectors

    def _measured(self, pair: Pair) -> tuple[Row, dict[str, Vector]]:
        source = self._source(pair.source)
        target = self._engine.portrait(pair.target, align=self._options.align, argument="target")
        start = time.perf_counter()
        result = self._engine.swap(source, target, pair.regions, options=self._options)
        seconds = time.perf_counter() - start
        result.save(self._journal.picture(pair.number))
        crop = align.again(target.crop, result.image)
        ids = regions.FACE if pair.regions is None else regions.region_ids(pair.regions)
        new = (crop, result.labels)
        colours = [
            measures.colour(new, (one.crop.image, one.labels), ids)
            for one in (source, target)
            if one.labels is not None  # `Engine.portrait` parses
        ]
        row = {
            "seconds": seconds,
            "colour_source": colours[0],
            "colour_target": colours[1],
            **_pixels(target.crop.photo, result),
        }
        judged, vectors = self._judged(source.crop.image, target.crop.image, crop)
        return row | judged, vectors

    def _judged(self, source: Pixels, target: Pixels, result: Pixels) -> tuple[Row, dict[str, Vector]]:
        """Return what the judges say of aligned crops."""
        judges, row, vectors = self._judges, Row(), dict[str, Vector]()
        if judges.identity is not None:
            own, other, new = (judges.identity(crop) for crop in (source, target, result))
            row |= {
                "identity_source": measures.cosine(new, own),
                "identity_target": measures.cosine(new, other),
            }
            vectors |= {"source": own, "identity": new}
        if judges.features is not None:
            vectors |= {"real": judges.features(target), "fake": judges.features(result)}
        if _POSES in self._engine.networks:
            one, wanted = (self._engine.pose(crop, align=False) for crop in (result, target))
            row["pose"] = float(
                np.hypot.reduce([one.yaw - wanted.yaw, one.pitch - wanted.pitch, one.roll - wanted.roll])
            )
            row["expression"] = float(np.linalg.norm(one.expression - wanted.expression))
        if judges.expression is not None:
            row["expression"] = float(np.linalg.norm(judges.expression(result) - judges.expression(target)))
        return row, vectors


def _pixels(target: Pixels, result: Result) -> Row:
    return {
        "changed": float(result.changed.mean()),
        "leak": measures.leak(target, result.image, result.changed),
        "sharpness": measures.sharpness(target, result.image, result.changed),
    }


def _facts(engine: Engine, pairs: Sequence[Pair], options: SwapOptions, judges: Judges) -> dict[str, Any]:
    """Return all that decides the results, as JSON."""
    listed = repr([(pair.name, str(pair.source), str(pair.target), pair.regions) for pair in pairs])
    return {
        "version": __version__,
        "model": None if engine.weights is None else engine.weights.name,
        "size": engine.config.size,
        "precision": engine.precision,
        "networks": sorted(engine.networks),
        "options": {field.name: str(getattr(options, field.name)) for field in dataclasses.fields(options)},
        "judges": judges.names,
        "list": hashlib.sha256(listed.encode()).hexdigest(),
    }
