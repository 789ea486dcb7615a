"""Renewal of locks in a forked child, where the threads that held them do not exist."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Renewable(Protocol):
    """An object with locks, and with state that other threads may have left half done."""

    def renew(self) -> None:
        """Replace the locks, and drop what other threads were doing."""


_objects: weakref.WeakSet[Renewable] = weakref.WeakSet()


def renew_in_children(owner: Renewable) -> None:
    """Call `owner.renew()` in every child that this process forks, for as long as the owner lives."""
    _objects.add(owner)


class Lock:
    """A lock for `with` that is free in a forked child, whoever held it in the parent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        renew_in_children(self)

    def renew(self) -> None:
        """Replace the lock."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _renew() -> None:
    for owner in list(_objects):
        owner.renew()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_renew)
