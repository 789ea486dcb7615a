"""The gate in front of dlib and OpenCV: closed for forks, and from the exit on."""

from __future__ import annotations

import os
import threading

import pytest
from faces_tools import needs_yunet
from process_tools import OUTCOME, script

from e4s_engine.faces.gate import Gate


class Threads:
    """A thread inside a gate until `leave` is set, and one that wants to enter after `enter_late()`."""

    def __init__(self, gate: Gate) -> None:
        self.gate, self.leave, self.late = gate, threading.Event(), threading.Event()
        entered = threading.Event()

        def inside() -> None:
            with gate:
                entered.set()
                self.leave.wait(30)

        threading.Thread(target=inside, daemon=True).start()
        assert entered.wait(30)
        threading.Timer(0.2, self.leave.set).start()

    def enter_late(self) -> None:
        def after() -> None:
            with self.gate:
                self.late.set()

        threading.Thread(target=after, daemon=True).start()


def test_closing_waits_for_calls_inside_and_lets_no_other_thread_enter() -> None:
    gate = Gate()
    threads = Threads(gate)
    gate.close()  # returns only when the call inside has left
    assert threads.leave.is_set()
    threads.enter_late()
    assert not threads.late.wait(0.2)
    with gate:  # functions at exit run on the thread that closed it
        pass
    gate.before_fork()
    gate.after_fork()
    assert not threads.late.wait(0.2)  # the exit's closing outlasts a fork


def test_a_fork_waits_for_calls_inside_and_others_wait_for_the_fork() -> None:
    gate = Gate()
    threads = Threads(gate)
    gate.before_fork()
    assert threads.leave.is_set()
    threads.enter_late()
    assert not threads.late.wait(0.2)
    gate.after_fork()
    assert threads.late.wait(30)


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
import threading
import numpy as np
from e4s_engine.faces.yunet import YuNet
picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
search = YuNet()
def work():
    while True:
        search(picture)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
def searches():
    search(picture)
    return 0
for _ in range(8):
    time.sleep(0.1)
    if outcome(searches, 60) != 0:
        os._exit(1)
os._exit(0)
"""


@needs_yunet
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_child_finds_faces_while_the_parents_threads_do() -> None:
    done = script(OUTCOME + FORKS)
    assert done.returncode == 0, done.stderr
