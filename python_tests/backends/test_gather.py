"""Concurrent calls that share batches: results, failures of single calls, interruptions."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from e4s_engine import regions
from e4s_engine.backends.gather import Gathered
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, ClosedError

SIDE = 96
LABELS = np.random.default_rng(9).integers(0, regions.COUNT, (SIDE, SIDE), dtype=np.uint8)
PICTURES = [np.random.default_rng(s).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for s in range(4)]

PARSE = ("parser", "parse")


class Doubling:
    """Backend whose parser doubles its input, holds its first batch until released, and fails on 99."""

    name, device, precision, in_boxes = "fake", "cpu", "fp32", False

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.started, self.go = threading.Event(), threading.Event()
        self.interrupted = 0  # number of the batch that a signal interrupts, counted from 1

    def run(self, network, function, images):
        assert (network, function) == PARSE
        self.sizes.append(len(images))
        self.started.set()
        assert self.go.wait(30)
        if len(self.sizes) == self.interrupted:
            raise KeyboardInterrupt
        if (images == 99).any():
            raise ValueError("99")
        return images * 2


def pictures(*values):
    return np.repeat(np.array(values, np.uint8)[:, None], 4, axis=1).reshape(-1, 2, 2)


def waiting(gathered):
    with gathered._changed:
        return sum(len(queue) for queue in gathered._waiting.values())


def until(condition):
    for _ in range(3000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("nothing came of it")


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as made:
        yield made


def busy(pool, most=8):
    """Return a gatherer whose backend is running its first batch, and that batch's future."""
    fake = Doubling()
    gathered = Gathered(fake, most, 0)
    first = pool.submit(gathered.run, *PARSE, pictures(1))
    assert fake.started.wait(30)
    return fake, gathered, first


def test_what_comes_while_a_batch_runs_is_the_next_batch(pool):
    fake, gathered, first = busy(pool)
    others = [pool.submit(gathered.run, *PARSE, pictures(i, i + 10)) for i in range(2, 5)]
    until(lambda: waiting(gathered) == 3)
    fake.go.set()
    assert np.array_equal(first.result(), pictures(2))
    for i, other in enumerate(others, 2):
        made = other.result()
        assert np.array_equal(made, pictures(2 * i, 2 * i + 20)) and made.base is None
    assert fake.sizes == [1, 6]


def test_a_batch_holds_no_more_than_it_may(pool):
    fake, gathered, first = busy(pool, most=3)
    others = [
        pool.submit(gathered.run, *PARSE, pictures(*range(i, i + size)))
        for i, size in ((0, 2), (10, 2), (20, 5))
    ]
    until(lambda: waiting(gathered) == 3)
    fake.go.set()
    assert [len(other.result()) for other in (first, *others)] == [1, 2, 2, 5]
    assert sorted(fake.sizes) == [1, 2, 2, 5]  # a call is never split, even if it is larger than the limit


def test_a_full_batch_does_not_wait(pool):
    fake = Doubling()
    fake.go.set()
    gathered = Gathered(fake, 2, 10_000_000)  # hours: only a full batch ends the waiting
    made = [pool.submit(gathered.run, *PARSE, pictures(i)) for i in range(4)]
    assert [int(m.result(timeout=60)[0, 0, 0]) for m in made] == [0, 2, 4, 6]
    assert fake.sizes == [2, 2]


def test_an_error_reaches_the_call_at_fault_alone(pool):
    fake, gathered, first = busy(pool)
    good, bad = (pool.submit(gathered.run, *PARSE, pictures(i)) for i in (5, 99))
    until(lambda: waiting(gathered) == 2)
    fake.go.set()
    assert int(first.result()[0, 0, 0]) == 2 and int(good.result()[0, 0, 0]) == 10
    with pytest.raises(ValueError, match="99"):
        bad.result()
    assert np.array_equal(gathered.run(*PARSE, pictures(7)), pictures(14))


def test_an_interrupted_leader_leaves_the_others_their_turn(pool):
    fake, gathered, first = busy(pool)
    leader = pool.submit(gathered.run, *PARSE, pictures(3))
    until(lambda: waiting(gathered) == 1)
    others = [pool.submit(gathered.run, *PARSE, pictures(i)) for i in (4, 5)]
    until(lambda: waiting(gathered) == 3)
    fake.interrupted = 2
    fake.go.set()
    first.result()
    with pytest.raises(KeyboardInterrupt):
        leader.result()
    assert [int(other.result()[0, 0, 0]) for other in others] == [8, 10]


def test_pictures_of_other_sizes_are_batches_of_their_own(pool):
    fake, gathered, first = busy(pool)
    larger = pool.submit(gathered.run, *PARSE, np.ones((1, 4, 4), np.uint8))
    until(lambda: len(fake.sizes) == 2)  # it does not wait for the first kind
    fake.go.set()
    assert first.result().shape == (1, 2, 2) and larger.result().shape == (1, 4, 4)


def test_an_engine_that_gathers_gives_what_others_give(tiny_weights, engine, pool):
    jobs = [(a, b, which) for a in PICTURES for b in PICTURES[:2] for which in (None, ["eyes", "hair"])]

    def swap(with_engine, job):
        return with_engine.swap(*job, source_labels=LABELS, target_labels=LABELS)

    expected = [swap(engine, job) for job in jobs]
    with Engine(tiny_weights / "model.safetensors", device="cpu", max_batch=4, max_wait_ms=20) as gathering:
        made = list(pool.map(lambda job: swap(gathering, job), jobs))
        parsed = list(pool.map(gathering.parse, PICTURES))
        with pytest.raises(ArgumentError):
            gathering.decode(np.full((12, gathering.config.style_dim), np.float32(3e38)), LABELS)
    for a, b in zip(made, expected, strict=True):
        assert np.array_equal(a.image, b.image) and np.array_equal(a.face, b.face)
    for picture, labels in zip(PICTURES, parsed, strict=True):
        assert np.array_equal(labels, engine.parse(picture))
    with pytest.raises(ClosedError):
        swap(gathering, jobs[0])


def test_closing_frees_the_networks_at_once(tiny_weights):
    for batch in (1, 4):
        made = Engine(tiny_weights / "model.safetensors", device="cpu", max_batch=batch)
        made.parse(PICTURES[0])
        kept = weakref.ref(made._pipeline.backend)
        made.close()
        assert kept() is None


@pytest.mark.parametrize(
    "options",
    [{"max_batch": n} for n in (0, 257, 1.5, True, "2", None)]
    + [{"max_wait_ms": t} for t in (-1, float("nan"), float("inf"), "1", None, False)],
    ids=str,
)
def test_impossible_sizes_and_times(tiny_weights, options):
    with pytest.raises(ArgumentError, match=next(iter(options))):
        Engine(tiny_weights / "model.safetensors", **options)
