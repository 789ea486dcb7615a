"""The gate in front of dlib and OpenCV: open until the exit, then for the exiting thread alone."""

from __future__ import annotations

import threading

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
    gate.renew()
    threading.Thread(target=after, daemon=True).start()
    assert late.wait(30)
