"""Gate in front of other libraries' native code, which the interpreter's exit must not interrupt.

dlib and OpenCV take the interpreter's lock back in C++ destructors. CPython before 3.14 ends a daemon thread
there during the exit, and the process aborts. So the exit closes the gate: it waits for the calls inside, and
no other thread enters any more.
"""

from __future__ import annotations

import atexit
import threading

from e4s_engine import _forks


class Gate:
    """A context for native calls, any number at a time."""

    def __init__(self) -> None:
        self.renew()
        _forks.renew_in_children(self)

    def renew(self) -> None:
        """Open the gate, with nobody inside: a forked child has none of the parent's other threads."""
        self._changed = threading.Condition()
        self._inside = 0
        self._closer = 0  # the thread that closed the gate may still enter: functions at exit run there

    def __enter__(self) -> None:
        with self._changed:
            while self._closer not in (0, threading.get_ident()):
                self._changed.wait()  # for good: the process ends
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let no other thread enter from now on, and wait for those inside."""
        with self._changed:
            self._closer = threading.get_ident()
            while self._inside:
                self._changed.wait()


native = Gate()
atexit.register(native.close)
