"""Memory settings of the C library: training on a CPU frees and allocates the same blocks every step."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)
_NEVER = 2**31 - 1


def keep() -> None:
    """Never return freed memory to the system; only glibc has, and needs, this setting.

    Blocks of many megabytes are otherwise mapped anew each time and zeroed page by page by the kernel. Some
    of that cost remains: tensors are aligned, and the holes between aligned blocks are too short for others
    of their size. A preloaded allocator that never returns pages does better (docs/training_log.md).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _NEVER)
        mallopt(_MMAP_MAX, 0)
