"""Times of stages: of real swaps, of one thread alone, and no cost to others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from e4s_engine.pipeline import stages

SWAP = ["read", "encode", "compose", "decode", "blend", "total"]


def test_a_swap_is_timed_by_stage(engine, people) -> None:
    (a, a_labels), (b, b_labels), _ = people
    with stages.timed() as times:
        engine.swap(a, b, source_labels=a_labels, target_labels=b_labels)
    assert [*times] == SWAP
    assert all(seconds > 0 for seconds in times.values())
    assert sum(times.values()) <= 2 * times["total"]
    with stages.timed() as parsed:
        engine.parse(a)
    assert [*parsed] == ["read", "parse", "total"]


def test_other_threads_are_not_timed(engine, people) -> None:
    image, labels = people[0]
    with ThreadPoolExecutor(1) as pool, stages.timed() as times:
        pool.submit(engine.encode, image, labels).result()
    assert [*times] == ["total"]


def test_stages_that_come_again_are_summed_and_failures_end_the_timing() -> None:
    with stages.timed() as times:
        for _ in range(2):
            with stages.stage("encode"):
                pass
        with stages.timed() as inner, stages.stage("decode"):
            pass
    assert [*times] == ["encode", "total"] and [*inner] == ["decode", "total"]
    with pytest.raises(ValueError, match="no"), stages.timed(), stages.stage("encode"):
        raise ValueError("no")
    assert stages.stage("encode") is stages.stage("decode")  # nobody asks: nothing is measured
