"""Runs fuzz inputs in a process of their own, with limits of time and memory per input.

    python -m fuzz.run files 100000        (in python_tests/; or `make fuzz E4S_FUZZ=100000`)

prints one line per failure, and a summary. A failure is a crash, an input over 10 s, more memory than its
picture explains, or an exception that is no E4SError. `python -m fuzz.run files --only 17` repeats one input.
"""

from __future__ import annotations

import argparse
import importlib
import os
import select
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

SECONDS = 10.0  # limit of one input
_STARTING = 300.0  # limit of a process's start: imports and a tiny engine, slow under a sanitizer
_SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")
_ENDED = "the process ended: "
Failures = list[tuple[int, str]]


def run(kind: str, start: int, count: int) -> Failures:
    """Run inputs start .. start + count - 1 of a kind; return the failures as (number, what happened)."""
    failures: Failures = []
    number = start
    while number < start + count:
        number, failure = _watch(kind, number, start + count)
        if failure:
            failures.append((number, failure))
            print(f"{kind} {number}: {failure}", flush=True)
            number += 1
    return failures


def _watch(kind: str, first: int, end: int) -> tuple[int, str]:
    """Run inputs in a child until one fails: return (its number, what happened); (end, "") if none does."""
    command = [sys.executable, "-m", "fuzz.run", kind, "--child", str(first), str(end)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(_paths()), "OMP_NUM_THREADS": "1"}
    folder = Path(__file__).parents[1]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, cwd=folder, env=environment
        ) as child,
    ):
        number, failure = _follow(child, first, end)
        child.kill()
        if failure == _ENDED:
            errors.seek(0)
            failure += errors.read().decode(errors="replace")[-2000:]
        return number, failure


def _paths() -> list[str]:
    """Return where a child finds modules; a sanitized build lies beside this folder, not installed."""
    folder = Path(__file__).parents[1]
    return [str(folder), *([str(folder.parent)] if _SANITIZED else []), *sys.path]


def _follow(child: subprocess.Popen[bytes], first: int, end: int) -> tuple[int, str]:
    """Read a child's reports until it fails, ends, or is silent for too long."""
    assert child.stdout is not None
    number, limit = first, _STARTING
    while select.select([child.stdout], [], [], limit)[0]:
        line = child.stdout.readline().decode()
        if not line:
            return (end, "") if child.wait() == 0 else (number, _ENDED)
        word, _, rest = line.partition(" ")
        if word == "failed":
            return number, rest.strip().replace("\\n", "\n")
        number, limit = int(word), SECONDS
    return number, f"took more than {limit:.0f} s"


def _child(kind: str, first: int, end: int) -> None:
    if _SANITIZED:  # the finder of an editable install would find the plain build
        sys.meta_path[:] = [finder for finder in sys.meta_path if "ScikitBuild" not in type(finder).__name__]
    module = importlib.import_module(f"fuzz.{kind}")
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        module.attempt(0, Path(folder))  # loads what the first call loads
        for number in range(first, end):
            print(number, flush=True)
            before = _peak(reset=True)
            try:
                allowed = module.attempt(number, Path(folder))
            except Exception:
                text = traceback.format_exc(limit=-4).replace("\n", "\\n")
                print("failed", text, flush=True)
                return
            taken = _peak() - before
            if taken > allowed:
                print(
                    "failed", f"took {taken >> 20} MB of memory, {allowed >> 20} MB are explained", flush=True
                )
                return


def _peak(reset: bool = False) -> int:
    """Return the greatest resident memory since the last reset, in bytes; 0 without Linux's /proc.

    0 on a sanitized build too: its own memory counts, and the reset takes long.
    """
    if _SANITIZED:
        return 0
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> int:
    """Run what the command line asks for; return the number of failures, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("files", "calls"))
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(arguments.kind, *arguments.child)
        return 0
    if arguments.only is not None:
        module = importlib.import_module(f"fuzz.{arguments.kind}")
        with tempfile.TemporaryDirectory() as folder:
            module.attempt(arguments.only, Path(folder))
        return 0
    began = time.monotonic()
    failures = run(arguments.kind, arguments.start, arguments.count)
    seconds = time.monotonic() - began
    print(f"{arguments.kind}: {arguments.count} inputs in {seconds:.0f} s, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
