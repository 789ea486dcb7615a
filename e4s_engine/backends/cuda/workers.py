"""Compilation by several processes, as Triton compiles one kernel at a time.

The processes are commands of their own: those of `multiprocessing` would run the caller's main module once
more, and a script that does not guard its main part would start itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.errors import BackendError
from e4s_engine.kernels import language
from e4s_engine.kernels.launch import Launch, Operand

logger = logging.getLogger("e4s_engine")

_MOST = 32  # processes: each takes 0.2 GB, and the assembler beside it
_COMMAND = "from e4s_engine.backends.cuda import workers; workers.serve()"


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ready(launches: Iterable[Launch], arch: int) -> None:
    """Compile the kernels that are not in the cache, on all cores, with a progress bar on a terminal.

    Without Triton nothing is done: `compile.get` says which kernel is missing. Raises BackendError.
    """
    if language.triton is None:
        return
    named = compiling.distinct(launches, arch)
    missing = [launch for launch in named.values() if compiling.find(launch, arch) is None]
    if not missing:
        return
    jobs = min(cores(), len(missing), _MOST)
    logger.info("kernels: compiling %d for sm_%d in %d processes", len(missing), arch, jobs)
    title = f"Compiling for sm_{arch}"
    manifests = warm(missing, arch, jobs)
    for _ in tqdm(manifests, total=len(missing), desc=title, unit="kernel", leave=False, disable=None):
        pass


def warm(launches: Iterable[Launch], arch: int, jobs: int) -> Iterator[dict[str, Any]]:
    """Compile the kernels of all launches in `jobs` processes and yield their manifests."""
    bare = [_without_weights(launch) for launch in launches]
    if jobs < 2 or not sys.executable:
        yield from (compiling.get(launch, arch)[0] for launch in bare)
        return
    workers = [_Worker() for _ in range(jobs)]
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def run(launch: Launch) -> dict[str, Any]:
        worker = idle.get()
        try:
            return worker.compile(launch, arch)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(jobs) as pool:
        try:
            yield from pool.map(run, bare)
        finally:  # after an error or an interrupt nobody waits for what still compiles
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.kill()


def _without_weights(launch: Launch) -> Launch:
    """Return a launch without its weights: a compile needs only their types."""
    pointers = {
        name: Operand(0, p.type, p.offset if isinstance(p, Operand) else 0) if p is not None else None
        for name, p in launch.pointers.items()
    }
    return dataclasses.replace(launch, pointers=pointers)


class _Worker:
    """A process that compiles kernels into the cache, one after the other."""

    def __init__(self) -> None:
        places = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": places, "PYTHONSAFEPATH": "1"},
        )

    def compile(self, launch: Launch, arch: int) -> dict[str, Any]:
        """Return a kernel's manifest. Raises BackendError."""
        pipe, answers = self._process.stdin, self._process.stdout
        assert pipe is not None and answers is not None
        try:
            pickle.dump((launch, arch), pipe)
            pipe.flush()
            answer = pickle.load(answers)
        except (EOFError, OSError) as error:
            raise BackendError(
                f"kernels: a process that compiled {launch.kernel} ended with status {self._process.wait()}; "
                "if memory is short, compile ahead of time with "
                "`python -m e4s_engine.backends.cuda.ahead --jobs 1`"
            ) from error
        if isinstance(answer, str):
            raise BackendError(answer)
        return answer

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        with contextlib.suppress(OSError), self._process:  # closes the pipes and waits
            pass


def serve() -> None:
    """Compile what the parent asks for until it closes the pipe. Its interrupt is for the parent alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # whatever prints must not come between the answers
        while True:
            try:
                launch, arch = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            try:
                answer: dict[str, Any] | str = compiling.get(launch, arch)[0]
            except Exception as error:
                answer = (
                    str(error) if isinstance(error, BackendError) else f"kernels: {launch.kernel}: {error!r}"
                )
            pickle.dump(answer, answers)
            answers.flush()
