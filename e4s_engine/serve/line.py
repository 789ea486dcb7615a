"""The queue: requests wait in the event loop, and a few at a time are worked on by threads."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any, TypeVar

from e4s_engine.serve.limits import Limits
from e4s_engine.serve.refusals import GONE, RequestError

Value = TypeVar("Value")
_LONGEST_RETRY = 60
_SMOOTHING = 0.1  # share of the newest request in the mean time of one


class Line:
    """Work for the engine, bounded in number and in time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.workers, "e4s-serve")
        self._free = asyncio.Semaphore(limits.workers)
        self._seconds = 1.0  # mean time of one request
        self.waiting = self.running = 0

    def close(self) -> None:
        """Wait for the work that runs."""
        self._threads.shutdown()

    @property
    def retry(self) -> int:
        """Return after how many seconds there will be room, about."""
        ahead = self.waiting + self.running
        seconds = math.ceil(self._seconds * (ahead + 1) / self._limits.workers)
        return min(max(seconds, 1), _LONGEST_RETRY)

    def check(self) -> None:
        """Raise a refusal if no further request may wait."""
        if self._free.locked() and self.waiting >= self._limits.queue:
            message = f"{self.waiting} requests wait already; try again after {self.retry} s"
            raise RequestError(503, "Busy", message, self.retry)

    async def do(self, work: Callable[[], Value], gone: Awaitable[Any]) -> Value:
        """Do work on a thread when it is its turn.

        gone: ends when the client has left. Work that still waits then, or whose time is up, is dropped; work
        that runs already cannot be stopped: it keeps its place to its end, and its result is dropped.

        Raises a refusal if too many wait, the time is up, or the client has left.
        """
        self.check()
        job = asyncio.ensure_future(self._do(work))
        left = asyncio.ensure_future(gone)
        try:
            await asyncio.wait({job, left}, timeout=self._limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if job.done():
                return job.result()
            if left.done():
                raise RequestError(GONE, "Gone", "the client left")
            raise RequestError(504, "Timeout", f"no answer within {self._limits.seconds:g} s")
        finally:
            job.cancel()
            left.cancel()

    async def _do(self, work: Callable[[], Value]) -> Value:
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        start = perf_counter()
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)

        def ended(future: asyncio.Future[Any]) -> None:
            self.running -= 1
            self._free.release()
            self._seconds += _SMOOTHING * (perf_counter() - start - self._seconds)
            if not future.cancelled():
                future.exception()  # nobody else may ask for it

        future.add_done_callback(ended)
        return await asyncio.shield(future)
