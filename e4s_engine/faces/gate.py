"""Gate in front of other libraries' native code, which the interpreter's exit and forks must not interrupt.

dlib and OpenCV take the interpreter's lock back in C++ destructors. CPython before 3.14 ends a daemon thread
there during the exit, and the process aborts. So the exit closes the gate: it waits for the calls inside, and
no other thread enters any more. A fork copies the locks of OpenCV's thread pool as they are, but none of its
threads, and the child's first call waits for them for ever. So a fork closes the gate too, for as long as it
takes, and ends the pool's threads, which OpenCV starts again at need.
"""

from __future__ import annotations

import atexit
import importlib
import os
import threading
from typing import Any


class Gate:
    """A context for native calls, any number at a time."""

    def __init__(self) -> None:
        self._opencv: Any = None
        self._threads = 0  # of OpenCV's pool, during a fork
        self._for_good = False
        self._reset()

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._inside: list[int] = []  # threads
        self._closer = 0  # the thread that closed the gate may still enter: functions at exit run there

    def __enter__(self) -> None:
        with self._changed:
            while self._closer not in (0, threading.get_ident()):
                self._changed.wait()  # at the exit for good: the process ends
            self._inside.append(threading.get_ident())

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside.remove(threading.get_ident())
            self._changed.notify_all()

    def opencv(self) -> Any:
        """Return OpenCV's module. Call inside the gate, so that no fork falls into the import."""
        self._opencv = importlib.import_module("cv2")
        return self._opencv

    def close(self) -> None:
        """Let no other thread enter from now on, and wait for those inside."""
        self._close()
        self._for_good = True

    def _close(self) -> None:
        me = threading.get_ident()
        with self._changed:
            while self._closer not in (0, me):
                self._changed.wait()
            self._closer = me
            while any(thread != me for thread in self._inside):
                self._changed.wait()

    def before_fork(self) -> None:
        """Close, and end the threads of OpenCV's pool."""
        self._close()
        if self._opencv is not None:
            self._threads = self._opencv.getNumThreads()
            self._opencv.setNumThreads(1)  # with 0 they would end at the next call only

    def after_fork(self) -> None:
        """Open again, in parent and child, unless the exit has begun."""
        if self._opencv is not None:
            self._opencv.setNumThreads(self._threads)
        with self._changed:
            if not self._for_good:
                self._closer = 0
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        """Open with nobody inside: a child has none of the parent's other threads."""
        self._reset()
        self.after_fork()


native = Gate()
atexit.register(native.close)
if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(
        before=native.before_fork,
        after_in_parent=native.after_fork,
        after_in_child=native.after_fork_in_child,
    )
