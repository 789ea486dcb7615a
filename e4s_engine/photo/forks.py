"""Renewal of locks in a forked child, where the threads that held them do not exist."""

from __future__ import annotations

import os
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


def _renew() -> None:
    for owner in list(_objects):
        owner.renew()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_renew)
