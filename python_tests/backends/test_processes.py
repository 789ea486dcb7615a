"""The interpreter's exit and forks while other threads are in calls; objects of the binding made badly."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from process_tools import OUTCOME, script

from e4s_engine import _native
from e4s_engine.errors import ArgumentError, BackendError

PREAMBLE = """
import os, sys, threading, time
import numpy as np
from e4s_engine import Engine
LABELS = np.random.default_rng(9).integers(0, 12, (96, 96), dtype=np.uint8)
A, B = np.random.default_rng(1).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
engine = Engine(sys.argv[1], device="cpu", parser=None, max_batch=int(sys.argv[2]))
face = engine.encode(A, LABELS)
def work():
    while True:
        engine.decode(face.styles, face.labels)
        engine.encode(B, LABELS)
for _ in range(6):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
"""
FORKS = """
def swap():
    result = engine.swap(A, B, source_labels=LABELS, target_labels=LABELS)
    return 7 if result.image.shape == B.shape else 8
codes = [outcome(swap, 30) for _ in range(12)]
print(codes, flush=True)
os._exit(0 if codes == [7] * 12 else 1)
"""


@pytest.mark.parametrize("most", [1, 4])
def test_the_exit_code_is_the_scripts_own_while_daemon_threads_call(tiny_weights: Path, most: int) -> None:
    for _ in range(3):
        done = script(PREAMBLE + "sys.exit(7)", tiny_weights / "model.safetensors", most)
        assert done.returncode == 7, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
@pytest.mark.parametrize("most", [1, 4])
def test_a_forked_child_swaps_while_the_parents_threads_call(tiny_weights: Path, most: int) -> None:
    done = script(PREAMBLE + OUTCOME + FORKS, tiny_weights / "model.safetensors", most)
    assert done.returncode == 0, done.stdout + done.stderr


# A system that gives `left` threads more, as one with a limit of processes does.
SCARCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
typedef int Create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
int left = 1 << 30;
int pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*run)(void*), void* what) {
  return left-- > 0 ? ((Create*)dlsym(RTLD_NEXT, "pthread_create"))(thread, how, run, what) : EAGAIN;
}
"""
THREADS = """
import ctypes, sys
import numpy as np
from e4s_engine import Engine, _native
ctypes.c_int.in_dll(ctypes.CDLL(sys.argv[2]), "left").value = 2
labels = np.random.default_rng(9).integers(0, 12, (96, 96), dtype=np.uint8)
photo = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
engine = Engine(sys.argv[1], device="cpu", parser=None, landmarks=None)
face = engine.encode(photo, labels)
assert engine.decode(face.styles, face.labels).any()
print(_native.threads())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is made with a library that Linux loads first")
def test_where_threads_are_scarce_those_that_exist_do_the_work(tiny_weights: Path, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    library = tmp_path / "scarce.so"
    (tmp_path / "scarce.c").write_text(SCARCE)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(tmp_path / "scarce.c"), "-ldl"], check=True
    )
    done = script(
        THREADS,
        tiny_weights / "model.safetensors",
        library,
        LD_PRELOAD=str(library),
        E4S_THREADS="8",
        OPENBLAS_NUM_THREADS="1",
    )
    assert done.returncode == 0, done.stderr
    assert 1 <= int(done.stdout) <= 3  # Python's libraries may have taken a thread, too


@pytest.mark.parametrize("name", ["Plan", "Weights", "CudaDevice", "CudaArray", "CudaGraph"])
def test_objects_come_from_their_constructors_only(name: str) -> None:
    made = getattr(_native, name)
    with pytest.raises(TypeError, match="not safe"):
        made.__new__(made)
    heir = type("Heir", (made,), {})
    with pytest.raises(TypeError, match="not safe"):
        made.__new__(heir)
    with pytest.raises(TypeError):
        object.__new__(made)


def test_none_is_no_device_and_no_weights() -> None:
    for call in (
        lambda: _native.Plan([], [], None),  # type: ignore[arg-type]
        lambda: _native.CudaGraph(None, [], []),  # type: ignore[arg-type]
        lambda: _native.CudaArray(None, [4]),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match="incompatible"):
            call()


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("type", ctypes.c_int32), ("id", ctypes.c_int32), ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p), ("offset", ctypes.c_uint64),
        ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p),
    ]  # fmt: skip


@pytest.mark.parametrize("sides", [3, 1, 33, 1 << 30, -1])
def test_a_capsule_without_a_shape_is_refused(sides: int) -> None:
    tensor = _Tensor(0, 2, 0, sides, 1, 8, 1, None, None, 0, None, None)
    create = ctypes.pythonapi.PyCapsule_New
    create.restype, create.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    capsule = create(ctypes.addressof(tensor), b"dltensor", None)
    with pytest.raises(ArgumentError, match="array: a DLPack capsule"):
        _native.dlpack_seen(capsule)


def test_sizes_that_overflow_together_are_refused() -> None:
    big = 1 << 40
    with pytest.raises(ArgumentError, match="too large together"):
        _native.cuda_nodes([big] * (1 << 11), [], 0, 0)
    blocks = {"blocks": [(big, -1)] * (1 << 11), "launches": []}
    with pytest.raises(ArgumentError, match="too large together"):
        _native.cuda_nodes([], [blocks], 0, 0)
    weight = {"space": "weight", "index": 0, "offset": (1 << 63) - 1, "written": False}
    launch = {"kernel": 0, "grid": [1, 1, 1], "arguments": [weight]}
    with pytest.raises(ArgumentError, match="behind its weight"):
        _native.cuda_nodes([], [{"blocks": [], "launches": [launch]}], 1, 1)


def test_a_gpu_is_not_used_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    from e4s_engine.backends.cuda import instances

    pool: instances.Instances[int] = instances.Instances(1)
    monkeypatch.setattr(instances.os, "getpid", lambda: -1)
    with pytest.raises(BackendError, match="after the fork"), pool.use("key", lambda: 1):
        pass
