"""Have the C library keep freed memory: training on a CPU frees and takes the same blocks every step."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)
_NEVER = 2**31 - 1


def keep() -> None:
    """Never hand freed memory back to the system; only glibc has, and needs, this.

    Blocks of many megabytes are otherwise mapped anew each time and zeroed page by page by the kernel. Not
    all of that is saved: tensors are aligned, and holes that aligned blocks leave are too short for others
    like them. A preloaded allocator that never gives pages back does better (SPEED.md).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _NEVER)
        mallopt(_MMAP_MAX, 0)
