"""Batching of concurrent calls.

A service has many threads with a picture each, and a device that works best on several pictures at once.
The oldest waiting call of a kind leads: when its time is up or the batch is full, it runs the batch on its
own thread and hands out the results. There is no background thread, which a fork would lose; a forked child
starts without the calls that other threads were waiting for.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine import _forks
from e4s_engine.backends import Ask, Backend, Boxes, Bytes, Floats, Swapper
from e4s_engine.weights import Model

# Number of batches of a kind that run at once; calls that arrive meanwhile wait for the next batch. On a GPU
# one batch is copied while another runs.
_AT_A_TIME = {"cpu": 1, "cuda": 2}


class _Request:
    """Request of one call: arrays of one or more pictures, later its share of the result or an error."""

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
    """A backend that runs concurrent calls as one batch."""

    def __init__(self, backend: Backend, max_batch: int, max_wait_ms: float) -> None:
        """max_batch: number of pictures per batch. max_wait_ms: time to wait for other calls, per network."""
        self._backend = backend
        self.name, self.device, self.precision = backend.name, backend.device, backend.precision
        self.in_boxes = backend.in_boxes
        self._most, self._seconds = max_batch, max_wait_ms / 1000
        self._at_a_time = _AT_A_TIME[backend.device.partition(":")[0]]
        self.renew()
        _forks.renew_in_children(self)

    def renew(self) -> None:
        """Start without any calls; see `_forks`."""
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

    def run(
        self, network: str, function: str, *arrays: npt.NDArray[Any], boxes: Boxes | None = None
    ) -> npt.NDArray[Any]:
        """See `Backend`. Calls with boxes and calls without them go separately."""
        kind = (network, function, boxes is None, *(array.shape[1:] for array in arrays))
        run = partial(self._backend.run, network, function)
        result: npt.NDArray[Any]
        if boxes is None:
            result = self.call(kind, run, *arrays)
        else:
            result = self.call(kind, lambda *joined: run(*joined[:-1], boxes=joined[-1]), *arrays, boxes)
        return result

    def invert(self, pictures: Bytes, labels: Bytes, styles: Floats, steps: int, rate: float) -> Floats:
        """See `Backend`. Not batched: it takes as long as hundreds of calls, others should not wait."""
        return self._backend.invert(pictures, labels, styles, steps, rate)

    def describe(self) -> str:
        """See `Backend`."""
        return self._backend.describe()

    def share(self, network: str, function: str, box: Sequence[int]) -> float:
        """See `Backend`."""
        return self._backend.share(network, function, box)

    def call(self, kind: Hashable, run: Callable[..., Any], *arrays: Any) -> Any:
        """Run a function on arrays [N,...], batched with other calls of its kind."""
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
        """Wait until this call is done (return []) or leads a batch (return it, this call first)."""
        with self._changed:
            try:
                while not self._is_ready(kind, queue, request):
                    leads = bool(queue) and queue[0] is request and self._running[kind] < self._at_a_time
                    left = request.arrived + self._seconds - time.monotonic()
                    self._changed.wait(max(left, 0.0) if leads else None)
            except BaseException:  # interrupted while waiting: drop this call alone
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
                # After an interrupt (a signal, on the main thread) the other calls must still run.
                queue.extendleft(reversed([r for r in batch[1:] if not r.done]))
                self._changed.notify_all()


class GatheredSwaps:
    """Batching of fused swaps. Pictures on the device run alone: joining them costs copies, saves nothing."""

    def __init__(self, gathered: Gathered, swapper: Swapper) -> None:
        self._gathered, self._swapper = gathered, swapper
        self.resident = swapper.resident

    def swap(self, asks: Sequence[Ask]) -> list[dict[str, Any]]:
        """See `Swapper`."""
        if not all(isinstance(ask.target, np.ndarray) for ask in asks):
            return self._swapper.swap(asks)
        made: list[dict[str, Any]] = self._gathered.call("swap", self._swapper.swap, list(asks))
        return made


def _run_together(run: Callable[..., Any], batch: list[_Request]) -> None:
    """Run a batch. If it fails, run its calls one by one, so that only the call at fault gets the error."""
    if len(batch) > 1:
        joined = [_joined(parts) for parts in zip(*(r.arrays for r in batch), strict=True)]
        try:
            result = run(*joined)
        except Exception:  # the loop below shows which call was at fault
            pass
        else:
            ends = np.cumsum([len(request) for request in batch])
            for request, end in zip(batch, ends, strict=True):
                request.result = _share(result, slice(end - len(request), end))
            return
    for request in batch:
        try:
            request.result = run(*request.arrays)
        except Exception as error:
            request.error = error


def _joined(parts: Sequence[Any]) -> Any:
    """Join arrays along their first axis, or lists."""
    return list(chain(*parts)) if isinstance(parts[0], list) else np.concatenate(parts)


def _share(result: Any, part: slice) -> Any:
    """Return a call's part of a batch's result; of an array a copy, as a view would keep it all alive."""
    return result[part] if isinstance(result, list) else result[part].copy()
