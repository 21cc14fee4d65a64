"""Stamps of time: monotone, and only from a clock that can be trusted."""

import pytest

from engine.shard_clock import ClockError, ShardClock

SECOND = 1_000_000_000


class Clocks:
    """Two clocks set by hand."""

    def __init__(self) -> None:
        self.wall_ns = 1_000 * SECOND
        self.steady_ns = 5 * SECOND
        self.clock = ShardClock(
            clock_ns=lambda: self.wall_ns, steady_clock_ns=lambda: self.steady_ns, jump_ns_max=2 * SECOND
        )

    def pass_ns(self, passed_ns: int) -> None:
        """Let time pass."""
        self.wall_ns += passed_ns
        self.steady_ns += passed_ns


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_time_goes_with_the_clock_however_long_nothing_happens(clocks: Clocks) -> None:
    clocks.pass_ns(90_000 * SECOND)
    assert clocks.clock.stamp_ns(0) == clocks.wall_ns


def test_time_stands_still_while_the_clock_is_a_little_behind(clocks: Clocks) -> None:
    last_ns = clocks.wall_ns + SECOND
    assert clocks.clock.stamp_ns(last_ns) == last_ns


def test_a_clock_far_behind_the_last_command_is_refused(clocks: Clocks) -> None:
    with pytest.raises(ClockError, match="off the last command"):
        clocks.clock.stamp_ns(clocks.wall_ns + 3 * SECOND)


@pytest.mark.parametrize("jump_ns", [-3600 * SECOND, 3600 * SECOND])
def test_a_jump_is_refused_in_either_direction(clocks: Clocks, jump_ns: int) -> None:
    clocks.clock.stamp_ns(0)
    clocks.pass_ns(SECOND)
    clocks.wall_ns += jump_ns
    with pytest.raises(ClockError, match="off itself"):
        clocks.clock.stamp_ns(0)


def test_a_clock_that_is_slewed_is_followed(clocks: Clocks) -> None:
    clocks.pass_ns(10_000 * SECOND)
    clocks.wall_ns += 5 * SECOND
    assert clocks.clock.stamp_ns(0) == clocks.wall_ns


def test_a_clock_that_disagrees_with_the_journals_is_refused(clocks: Clocks) -> None:
    clocks.clock.compare(clocks.wall_ns + SECOND)
    with pytest.raises(ClockError, match="the journal's clock"):
        clocks.clock.compare(clocks.wall_ns - 10 * SECOND)
