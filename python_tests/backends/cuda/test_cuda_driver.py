"""The CUDA runtime over a fake driver: every allocation freed, every error in words, no deadlock."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(sys.platform != "linux", reason="the fake driver is built as a Linux library")
def test_on_a_driver_that_keeps_books(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    library = tmp_path / "libcuda.so.1"
    built = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-Wl,-soname,libcuda.so.1", "-o"]
    subprocess.run([compiler, "-std=c11", *built, str(library), str(HERE / "fake_cuda.c")], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "fake_gpu.py")],
        env=os.environ | {"FAKE_CUDA": str(library)},
        cwd=HERE.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
