"""Times of the stages that a call goes through, for benchmarks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

# Of the calls of one thread (or task) alone: others on the same engine are not timed with it. The thread is
# noted, as threads of free-threaded builds inherit the context of the one that starts them.
_times: ContextVar[tuple[int, dict[str, float]] | None] = ContextVar("stage_times", default=None)
_UNTIMED = nullcontext()


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Collect the seconds of every stage that this thread's calls go through inside; "total" at the end.

    Stages are read (and align), parse, encode, compose, decode and blend (the paste included); "fused" stands
    for all from encode to blend where a backend does them in one go. A stage that comes twice is summed up.
    """
    times: dict[str, float] = {}
    token = _times.set((threading.get_ident(), times))
    try:
        with stage("total"):
            yield times
    finally:
        _times.reset(token)


def stage(name: str) -> AbstractContextManager[None]:
    """Time what runs inside, if this thread is `timed`."""
    timing = _times.get()
    if timing is None or timing[0] != threading.get_ident():
        return _UNTIMED
    return _clocked(timing[1], name)


@contextmanager
def _clocked(times: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    times[name] = times.get(name, 0.0) + time.perf_counter() - start
