"""Main memory of results, used again: fresh memory costs more to touch than a picture costs to copy."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


class Memory:
    """Blocks of memory that come back when the last array over them is gone."""

    def __init__(self, most: int) -> None:
        """Create an empty pool. most: limit of bytes that lie idle; blocks beyond it are freed."""
        self._most, self._idle = most, 0
        self._free: dict[int, list[Bytes]] = defaultdict(list)
        self._lock = threading.RLock()  # a collection of garbage may return a block inside of `take`

    def array(self, shape: tuple[int, ...]) -> Bytes:
        """Return an uninitialised array."""
        size = math.prod(shape)
        with self._lock:
            free = self._free[size]
            block = free.pop() if free else None
            self._idle -= size if block is not None else 0
        return np.asarray(_Lent(np.empty(size, np.uint8) if block is None else block, shape, self))

    def give(self, block: Bytes) -> None:
        """Take a block back."""
        with self._lock:
            if self._idle + block.nbytes <= self._most:
                self._idle += block.nbytes
                self._free[block.nbytes].append(block)


class _Lent:
    """Owner of an array's memory, which NumPy keeps as the array's base."""

    def __init__(self, block: Bytes, shape: tuple[int, ...], pool: Memory) -> None:
        self._block, self._pool = block, pool
        told: dict[str, Any] = {"shape": shape, "typestr": "|u1", "data": (block.ctypes.data, False)}
        self.__array_interface__ = told | {"version": 3}

    def __del__(self) -> None:
        self._pool.give(self._block)
