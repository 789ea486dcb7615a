"""Visitors: how many, how long."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette")

from e4s_engine.ui.refusals import NotServedError
from e4s_engine.ui.visitors import Limits, Visitors


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def visitors(clock):
    return Visitors(Limits(visitors=2, lifetime=10), clock)


def test_who_was_not_seen_for_long_is_forgotten(visitors, clock):
    (one, visitor), (two, _) = visitors.new(), visitors.new()
    clock.now = 9
    assert visitors.known(one) is visitor
    clock.now = 15
    assert visitors.known(two) is None and visitors.known(one) is visitor and len(visitors) == 1
    clock.now = 30
    visitors.sweep()
    assert len(visitors) == 0


def test_nobody_is_known_by_a_cookie_of_their_own_making(visitors):
    visitors.new()
    for cookie in (None, "", "x"):
        assert visitors.known(cookie) is None


def test_visitors_are_bounded_and_those_without_photos_make_room(visitors):
    (_, one), (two, _) = visitors.new(), visitors.new()
    one.photos["a"] = None
    three, visitor = visitors.new()
    assert visitors.known(two) is None and visitors.known(three) is visitor
    visitor.photos["b"] = None
    with pytest.raises(NotServedError, match="2 people have photos here") as caught:
        visitors.new()
    assert caught.value.status == 503
    visitors.clear()
    assert len(visitors) == 0
