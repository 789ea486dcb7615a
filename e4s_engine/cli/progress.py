"""Progress of a command: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

INTERVAL = 15.0  # seconds between the lines of a log
_LINE = "{n_fmt} of {total_fmt} {unit}s, {rate_fmt}, {remaining} left"


def bar(
    items: Iterable[Any] | None = None,
    *,
    total: int | None,
    unit: str,
    desc: str | None = None,
    initial: int = 0,
    hidden: bool = False,
) -> tqdm[Any]:
    """Return tqdm over the items, or one to be updated; commands under `INTERVAL` leave logs alone."""
    from tqdm import tqdm

    known = {"total": total, "unit": unit, "desc": desc, "initial": initial, "disable": hidden}
    if sys.stderr.isatty():
        return tqdm(items, **known)
    return tqdm(
        items,
        file=_Lines(),
        mininterval=INTERVAL,
        maxinterval=INTERVAL,
        delay=INTERVAL,
        leave=False,
        bar_format=f"{desc}: {_LINE}" if desc else _LINE,
        **known,
    )


class _Lines:
    """A file that makes lines of what tqdm writes over and over in one place."""

    def write(self, text: str) -> None:
        """Print the text as a line, unless it only wipes the last one."""
        if line := text.strip():
            print(f"e4s: {line}", file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Do nothing, as every line is flushed."""
