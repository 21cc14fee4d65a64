"""Deadlines fall due by time, then by order."""

from hypothesis import given
from hypothesis import strategies as st

from engine.timers import Deadlines


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9))))
def test_deadlines_fall_due_by_time_then_by_order(entries):
    deadlines = Deadlines()
    for entry in entries:
        deadlines.add(*entry)
    assert len(deadlines) == len(entries)
    assert deadlines.entries() == set(entries)
    assert [deadlines.take() for _ in entries] == sorted(entries)
    assert not deadlines.is_due(10**9)


def test_a_deadline_is_due_at_its_time_and_not_before():
    deadlines = Deadlines()
    deadlines.add(50, 1)
    assert not deadlines.is_due(49)
    assert deadlines.is_due(50)


def test_rebuilding_keeps_the_entries_given_and_no_others():
    deadlines = Deadlines()
    deadlines.add(1, 1)
    deadlines.rebuild([(9, 2), (3, 4)])
    assert [deadlines.take(), deadlines.take()] == [(3, 4), (9, 2)]
    assert len(deadlines) == 0
