"""Stages of a clip that run at the same time, in threads, with bounded queues between them."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL = 0.05  # seconds between looks at whether a stage was told to end


class Ahead(Generic[Item]):
    """An iterator that another thread runs ahead, by a few items. Closing it ends the thread."""

    def __init__(self, items: Iterable[Item], depth: int) -> None:
        """depth: most items that wait."""
        self._queue: queue.Queue[tuple[bool, Any]] = queue.Queue(depth)
        self._ended = threading.Event()
        self._items = items
        self._thread = threading.Thread(target=self._run, name="e4s-video", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put((True, item)):
                    break
            else:
                self._put((False, None))
        except BaseException as error:  # it is raised where the items are taken
            self._put((False, error))
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()

    def _put(self, item: tuple[bool, Any]) -> bool:
        while not self._ended.is_set():
            try:
                self._queue.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self._ended.is_set():
            raise StopIteration
        more, item = self._queue.get()
        if more:
            return item
        self._ended.set()
        if item is not None:
            raise item
        raise StopIteration

    def close(self) -> None:
        """End the thread, and wait for it: at most for the item that it works on."""
        self._ended.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()


def ahead(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """Yield items that another thread computes, up to `depth` ahead."""
    stage = Ahead(items, depth)
    try:
        yield from stage
    finally:
        stage.close()


def side_by_side(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    """Yield function(item) in order; as many as `workers` run at the same time."""
    waiting: deque[Future[Result]] = deque()
    source = iter(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="e4s-video")
    try:
        for item in source:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        pool.shutdown()
        close = getattr(source, "close", None)
        if close is not None:
            close()
