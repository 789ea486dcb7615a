"""Pool of graphs: one instance per concurrent call of a key, up to a limit, kept for later calls."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from e4s_engine.errors import BackendError, DeviceLostError, DeviceMemoryError

Graph = TypeVar("Graph")


class Instances(Generic[Graph]):
    """Pools of graphs by key. A graph runs one call at a time, on its own stream and memory."""

    def __init__(self, most: int, most_idle: int = 32) -> None:
        """Create an empty pool.

        most: limit of graphs per key. most_idle: limit of idle graphs; the least recently used go first.
        """
        self._most_idle = most_idle
        self._most: dict[Hashable, int] = defaultdict(lambda: most)  # lower for keys that ran out of memory
        self._free: dict[Hashable, list[Graph]] = defaultdict(list)
        self._counts: dict[Hashable, int] = defaultdict(int)
        self._changed = threading.Condition()
        self._building = threading.Lock()  # kernels are compiled and loaded by one thread
        self._process = os.getpid()
        self._lost = ""  # the device's message; not the error, whose traceback keeps graphs alive

    @contextmanager
    def use(self, key: Hashable, build: Callable[[], Graph]) -> Iterator[Graph]:
        """Lend a graph of this key for one call. Raises the errors of `build`, BackendError after a fork."""
        if os.getpid() != self._process:
            raise BackendError(
                "device: a forked process cannot use its parent's GPU; make the engine after the fork"
            )
        graph = self._take(key, build)
        try:
            yield graph
        except DeviceLostError as error:
            self._lose(error)
            raise
        finally:
            with self._changed:
                if not self._lost:
                    self._keep(key, graph)
                self._changed.notify_all()

    def _keep(self, key: Hashable, graph: Graph) -> None:
        """Keep a graph for later calls, keys in order of last use; drop the oldest beyond the limit."""
        self._free[key] = [*self._free.pop(key, []), graph]
        while sum(map(len, self._free.values())) > self._most_idle:
            oldest = next(other for other, graphs in self._free.items() if graphs)
            self._free[oldest].pop()
            self._counts[oldest] -= 1

    def _take(self, key: Hashable, build: Callable[[], Graph]) -> Graph:
        while True:
            idle = self._wait(key)
            if idle is not None:
                return idle
            try:
                return self._build(key, build)
            except DeviceLostError as error:
                self._lose(error)
                raise
            except BaseException as error:
                others = self._forget_one(key, short=isinstance(error, DeviceMemoryError))
                if not others:
                    raise

    def _wait(self, key: Hashable) -> Graph | None:
        """Wait for an idle graph and return it; if one more may be built, count it and return None."""
        with self._changed:
            while True:
                if self._lost:
                    raise DeviceLostError(self._lost)
                if self._free[key]:
                    return self._free[key].pop()
                if self._counts[key] < self._most[key]:
                    self._counts[key] += 1
                    return None
                self._changed.wait()

    def _forget_one(self, key: Hashable, short: bool) -> bool:
        """Record a failed build. If memory was short, cap this key at the graphs that exist.

        Returns whether the key is capped, with graphs that a call can wait for.
        """
        with self._changed:
            self._counts[key] -= 1
            others = short and self._counts[key] > 0
            if others:
                self._most[key] = self._counts[key]
            self._changed.notify_all()
            return others

    def _build(self, key: Hashable, build: Callable[[], Graph]) -> Graph:
        """Build a graph; if memory is short, free the idle graphs of other keys and try once more."""
        with self._building:
            try:
                return build()
            except DeviceMemoryError:
                if not self._drop_idle(key):
                    raise
            return build()

    def _drop_idle(self, key: Hashable) -> bool:
        """Free every idle graph of other keys; return whether there were any."""
        with self._changed:
            idle = {other: graphs for other, graphs in self._free.items() if graphs and other != key}
            for other, graphs in idle.items():
                self._counts[other] -= len(graphs)
                graphs.clear()
            return bool(idle)

    def _lose(self, error: DeviceLostError) -> None:
        with self._changed:
            self._lost = str(error)
            self._free.clear()
            self._changed.notify_all()
