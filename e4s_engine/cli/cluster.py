"""Jobs of `e4s batch` on a Ray cluster: shards of jobs go to workers with an engine each, in order.

Workers return the bytes of photos' results, which the command itself writes: a job that is done twice, as its
worker died, leaves no trace. A clip is a shard of its own, whose worker writes it part by part into the
folder of results: another worker goes on where one died.
"""

from __future__ import annotations

import argparse
import logging
import os
import pickle
import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from e4s_engine.cli import engines, flags
from e4s_engine.cli.jobs import Job, Outcome, kind, outcomes
from e4s_engine.errors import ArgumentError, E4SError

_TRIES = 2  # of a shard whose worker died, beside the first; those that kill every worker are then left out
_OURS = "E4S_"  # environment variables that workers get from the command


def add(command: argparse.ArgumentParser) -> None:
    """Add the flags of clusters."""
    command.add_argument(
        "--ray",
        action="store_true",
        help="swap on the Ray cluster that RAY_ADDRESS names, else on one started here",
    )
    command.add_argument(
        "--workers",
        type=flags.positive,
        metavar="N",
        help="engines on the cluster; default: one per GPU, else per node",
    )
    command.add_argument(
        "--shard",
        type=flags.positive,
        default=16,
        metavar="N",
        help="targets that go to a worker together; default: 16",
    )


def outcomes_of(arguments: Namespace, todo: Sequence[Job], first: bool) -> Iterator[Outcome]:
    """Do jobs on the cluster, and yield what comes of them in their order.

    first: whether this is the first try; later ones have shards of a single job, so that one which kills its
    worker takes no other with it.

    Raises ArgumentError if Ray is missing, E4SError if no worker can create its engine.
    """
    ray = _started(arguments)
    shards = list(_shards(todo, arguments.shard if first else 1))
    count, needs = _workers(ray, arguments, len(shards))
    values = {name: value for name, value in vars(arguments).items() if name != "run"}
    variables = {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
    variables.setdefault("E4S_THREADS", str(max(1, int(needs["num_cpus"]))))
    rows = ray.data.from_items(
        [{"shard": pickle.dumps(shard)} for shard in shards], override_num_blocks=len(shards)
    )
    with warnings.catch_warnings():
        # Ray 2.60 warns of `max_task_retries`, which it will drop without a successor: pyproject.toml.
        warnings.simplefilter("ignore", DeprecationWarning)
        rows = rows.flat_map(
            Worker,
            fn_constructor_args=(values, variables, str(Path.cwd())),
            concurrency=count,
            max_restarts=-1,
            max_task_retries=_TRIES,
            **needs,
        )
    waiting = iter(todo)
    for row in rows.iter_rows():
        outcome: Outcome = pickle.loads(row["outcome"])
        if row["fatal"]:
            raise E4SError(outcome.error)
        yield from _lost(waiting, outcome.job)
        yield outcome
    yield from _lost(waiting, None)


class Worker:
    """A process of the cluster with an engine of its own."""

    def __init__(self, values: dict[str, Any], variables: dict[str, str], folder: str) -> None:
        """Create the engine that the command's flags ask for, in the command's folder."""
        os.chdir(folder)  # paths of the command are relative to it
        os.environ.update(variables)
        self._arguments = Namespace(**values)
        self._engine, self._error = None, ""
        try:
            self._engine = engines.engine(self._arguments)
        except (E4SError, OSError) as error:  # raised here it would start workers again and again
            self._error = str(error)

    def __call__(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Do a shard."""
        shard: list[Job] = pickle.loads(row["shard"])
        if self._engine is None:
            return [_row(Outcome(shard[0], error=self._error), fatal=True)]
        done: list[Outcome] = []
        try:
            for outcome in outcomes(self._engine, self._arguments, shard):
                done.append(outcome)  # what is done before an error counts
        except Exception as error:  # of the device, perhaps: another worker may do the rest
            done += [Outcome(job, error=str(error), again=True) for job in shard[len(done) :]]
        return [_row(outcome) for outcome in done]


def _row(outcome: Outcome, fatal: bool = False) -> dict[str, Any]:
    return {"outcome": pickle.dumps(outcome), "fatal": fatal}


def _lost(waiting: Iterator[Job], found: Job | None) -> Iterator[Outcome]:
    """Yield the jobs before one that came back: those whose workers died. found: None: all that are left."""
    for job in waiting:
        if found is not None and job.number == found.number:
            return
        yield Outcome(job, error="its workers died, perhaps for want of memory", again=True)


def _shards(todo: Sequence[Job], most: int) -> Iterator[list[Job]]:
    """Yield clips one by one, and runs of at most so many photos with one source, which is encoded once."""
    for (_, _, is_clip), group in groupby(todo, key=kind):
        same, size = list(group), 1 if is_clip else most
        yield from (same[start : start + size] for start in range(0, len(same), size))


def _started(arguments: Namespace) -> Any:
    """Return Ray, connected. Raises ArgumentError if it is missing."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ArgumentError("--ray: Ray is missing; pip install 'e4s_engine[ray]'") from error
    level = logging.INFO if arguments.verbose else logging.CRITICAL  # what fails is listed by the command
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(level)
    if not ray.is_initialized():
        ray.init(log_to_driver=arguments.verbose, logging_level=level)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.max_errored_blocks = -1  # shards that kill every worker are missing from the rows
    context.enable_progress_bars = False
    return ray


def _workers(ray: Any, arguments: Namespace, shards: int) -> tuple[int, dict[str, float]]:
    """Return how many workers there are, and what each of them needs."""
    resources = ray.cluster_resources()
    gpus = 0 if arguments.device == "cpu" else int(resources.get("GPU", 0))
    nodes = sum(node["Alive"] for node in ray.nodes())
    count = min(arguments.workers or gpus or nodes, shards)
    cpus = max(1, int(resources.get("CPU", 1)) // max(count, nodes))
    return count, {"num_cpus": cpus, **({"num_gpus": gpus / max(count, gpus)} if gpus else {})}
