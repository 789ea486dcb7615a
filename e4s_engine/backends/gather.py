"""Concurrent calls gathered into batches.

A service has many threads with a picture each, and a device that is better used by several pictures at once.
The oldest waiting call of a kind leads: when its time is up or the batch is full, it runs the batch on its
own thread and hands out the results. There is no thread of our own that a fork would lose.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.backends import Backend, Bytes, Floats, Swapped, Swapper
from e4s_engine.weights import Model

# Batches of a kind that run at once: what comes meanwhile gathers for the next. On a GPU one batch is copied
# while another runs.
_AT_A_TIME = {"cpu": 1, "cuda": 2}


class _Request:
    """One call: arrays of as many pictures, and in the end its share of the result or an error."""

    def __init__(self, arrays: tuple[Any, ...]) -> None:
        self.arrays = arrays
        self.arrived = time.monotonic()
        self.result: Any = None
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.result is not None or self.error is not None

    def __len__(self) -> int:
        return len(self.arrays[0])


class Gathered:
    """A backend whose concurrent calls run together."""

    def __init__(self, backend: Backend, max_batch: int, max_wait_ms: float) -> None:
        """max_batch: pictures to gather. max_wait_ms: how long a call waits for others, at each network."""
        self._backend = backend
        self.name, self.device, self.precision = backend.name, backend.device, backend.precision
        self._most, self._seconds = max_batch, max_wait_ms / 1000
        self._at_a_time = _AT_A_TIME[backend.device.partition(":")[0]]
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, deque[_Request]] = defaultdict(deque)
        self._running: dict[Hashable, int] = defaultdict(int)

    @property
    def swapper(self) -> Swapper | None:
        """See `Backend`."""
        swapper = self._backend.swapper
        return GatheredSwaps(self, swapper) if swapper else None

    def load(self, network: str, model: Model) -> None:
        """See `Backend`."""
        self._backend.load(network, model)

    def run(self, network: str, function: str, *arrays: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """See `Backend`."""
        kind = (network, function, *(array.shape[1:] for array in arrays))
        result: npt.NDArray[Any] = self.call(kind, partial(self._backend.run, network, function), *arrays)
        return result

    def invert(self, pictures: Bytes, labels: Bytes, styles: Floats, steps: int, rate: float) -> Floats:
        """See `Backend`. For itself: it takes as long as hundreds of calls, others should not wait for it."""
        return self._backend.invert(pictures, labels, styles, steps, rate)

    def describe(self) -> str:
        """See `Backend`."""
        return self._backend.describe()

    def call(self, kind: Hashable, run: Callable[..., Any], *arrays: Any) -> Any:
        """Run a function of arrays [N,...] together with other calls of its kind."""
        request = _Request(arrays)
        with self._changed:
            queue = self._waiting[kind]
            queue.append(request)
            self._changed.notify_all()
        batch = self._take(kind, queue, request)
        if batch:
            self._lead(kind, queue, batch, run)
        if request.error is not None:
            raise request.error
        return request.result

    def _take(self, kind: Hashable, queue: deque[_Request], request: _Request) -> list[_Request]:
        """Wait until this call is done (then nothing is left to run), or leads a batch: itself and others."""
        with self._changed:
            try:
                while not self._is_ready(kind, queue, request):
                    leads = bool(queue) and queue[0] is request and self._running[kind] < self._at_a_time
                    left = request.arrived + self._seconds - time.monotonic()
                    self._changed.wait(max(left, 0.0) if leads else None)
            except BaseException:  # the waiting was interrupted: this call alone is given up
                if request in queue:
                    queue.remove(request)
                self._changed.notify_all()
                raise
            if request.done:
                return []
            batch = [queue.popleft()]
            while queue and sum(map(len, batch)) + len(queue[0]) <= self._most:
                batch.append(queue.popleft())
            self._running[kind] += 1
            return batch

    def _is_ready(self, kind: Hashable, queue: deque[_Request], request: _Request) -> bool:
        if request.done:
            return True
        if not queue or queue[0] is not request or self._running[kind] >= self._at_a_time:
            return False
        late = time.monotonic() >= request.arrived + self._seconds
        return late or sum(map(len, queue)) >= self._most

    def _lead(
        self, kind: Hashable, queue: deque[_Request], batch: list[_Request], run: Callable[..., Any]
    ) -> None:
        try:
            _run_together(run, batch)
        finally:
            with self._changed:
                self._running[kind] -= 1
                # Interrupted (by a signal, on the main thread): the others' calls are still to be done.
                queue.extendleft(reversed([r for r in batch[1:] if not r.done]))
                self._changed.notify_all()


class GatheredSwaps:
    """The same for swaps in one go. Pictures on the device go alone: copies would save nothing."""

    def __init__(self, gathered: Gathered, swapper: Swapper) -> None:
        self._gathered, self._swapper = gathered, swapper
        self.swap_resident, self.resident = swapper.swap_resident, swapper.resident

    def swap(
        self, sources: Bytes, source_labels: Bytes, targets: Bytes, target_labels: Bytes, chosen: Bytes
    ) -> Swapped:
        """See `Swapper`."""
        given = (sources, source_labels, targets, target_labels, chosen)
        made: Swapped = self._gathered.call("swap", self._swapper.swap, *given)
        return made


def _run_together(run: Callable[..., Any], batch: list[_Request]) -> None:
    """Run a batch; where it fails, call by call, so that an error reaches the call at fault alone."""
    if len(batch) > 1:
        joined = [np.concatenate(parts) for parts in zip(*(r.arrays for r in batch), strict=True)]
        try:
            made = run(*joined)
        except Exception:  # which call was at fault shows below
            pass
        else:
            ends = np.cumsum([len(request) for request in batch])
            for request, end in zip(batch, ends, strict=True):
                request.result = _share(made, slice(end - len(request), end))
            return
    for request in batch:
        try:
            request.result = run(*request.arrays)
        except Exception as error:
            request.error = error


def _share(made: Any, part: slice) -> Any:
    """A call's part of what was made. A copy: a view would keep the whole batch alive."""
    if isinstance(made, Swapped):
        return Swapped(*(array[part].copy() for array in made))
    return made[part].copy()
