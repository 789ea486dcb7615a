"""Messages on stderr."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from e4s_engine.cli import words
from e4s_engine.errors import DemoModelWarning, UnmarkedWarning


def complain(error: Exception) -> None:
    """Print an error as one line on stderr, in the command line's words."""
    say(f"error: {words.spoken(str(error))}")


def say(text: str) -> None:
    """Print a line on stderr, above a progress bar if there is one."""
    from tqdm import tqdm

    tqdm.write(f"e4s: {text}", file=sys.stderr)


class Log(logging.Formatter):
    """Format of log lines, in the command line's words."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return f"e4s: {words.spoken(super().format(record))}"


@contextlib.contextmanager
def warnings_shown() -> Iterator[None]:
    """Print the package's own warnings as one line each, once, without the line of code that Python shows."""
    with warnings.catch_warnings():
        plain = warnings.showwarning
        said = set()  # Python's "once" means once for every module that warns

        def show(message: Warning | str, category: type[Warning], *more: Any, **rest: Any) -> None:
            text = str(message)
            if issubclass(category, UnmarkedWarning) and text in said:
                return
            said.add(text)
            if issubclass(category, (DemoModelWarning, UnmarkedWarning)):
                say(f"note: {words.spoken(text)}")
            else:
                plain(message, category, *more, **rest)

        warnings.showwarning = show
        warnings.simplefilter("always", DemoModelWarning)
        warnings.simplefilter("always", UnmarkedWarning)
        yield
