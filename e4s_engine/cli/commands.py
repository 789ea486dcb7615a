"""Parser of one command's arguments: a list of regions or faces ends where the photos begin."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from e4s_engine.cli import flags

_SHORTEST = "--reg"  # the shortest form in which argparse takes --regions
_NUMBERED = ("--faces", "--source-face")  # flags that take numbers


class Command(argparse.ArgumentParser):
    """An ArgumentParser that joins "--regions eyes nose" to one argument, so that photos may follow.

    So it does with "--faces 0 2".
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as usual, after joining lists. The parser above passes the arguments as a list."""
        known, unknown = super().parse_known_args(joined(args), namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._hint(unknown)}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and two lines: the whole usage would hide what is wrong."""
        usage = f"usage: {self.prog} ...; `{self.prog} --help` lists the arguments"
        self.exit(2, f"{usage}\n{self.prog}: error: {message}\n")

    def _hint(self, unknown: Sequence[str]) -> str:
        flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        for word in unknown:
            near = (
                difflib.get_close_matches(word.partition("=")[0], flags, 1, 0.75)
                if word.startswith("--")
                else []
            )
            if near:
                return f"; did you mean {near[0]}?"
        return ""


def joined(arguments: Sequence[str]) -> list[str]:
    """Return arguments in which the words after --regions are one, with commas, and numbers after --faces.

    A list ends at the next flag, and at the first word that is no region (no number) and looks like a file.
    """
    done: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word == "--":  # files alone follow
            return [*done, word, *waiting]
        done.append(word)
        if word in _NUMBERED:
            continues = _is_number
        elif word.startswith(_SHORTEST) and flags.REGIONS.startswith(word):
            continues = _continues
        else:
            continue
        names = []
        while waiting and continues(waiting[0]):
            names.append(waiting.pop(0))
        if names:
            done.append(",".join(name.strip(",") if len(names) > 1 else name for name in names))
    return done


def _continues(word: str) -> bool:
    """Return whether a word goes on with a list of regions. Misspelt regions do, to be reported as such."""
    if word.startswith("-"):
        return False
    if all(flags.is_region(part) for part in word.strip(",").split(",")):
        return True
    marks = (".", "=", os.sep, os.altsep or os.sep)
    return not any(mark in word for mark in marks) and not _exists(word)


def _is_number(word: str) -> bool:
    """Return whether a word goes on with a list of faces."""
    return word.strip(",").replace(",", "").isdecimal() and not _exists(word)


def _exists(word: str) -> bool:
    try:
        return Path(word).exists()
    except (OSError, ValueError):
        return False
