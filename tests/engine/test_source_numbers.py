"""Each command of a source is taken once, in order, from one incarnation at a time."""

import pytest

from engine.source_numbers import SourceNumbers, Verdict
from ext.records import Kind, header


def from_source(incarnation, number, source=4, kind=Kind.ORDER_PLACE):
    return header(kind, source=source, incarnation=incarnation, number=number)


@pytest.fixture
def numbers():
    """Source 4 has sent commands 1 and 2 in incarnation 5."""
    numbers = SourceNumbers()
    for number in (1, 2):
        numbers.take(from_source(5, number))
    return numbers


@pytest.mark.parametrize(
    ("incarnation", "number", "verdict"),
    [
        (5, 3, Verdict.ADMIT),
        (5, 2, Verdict.SEEN),
        (5, 1, Verdict.SEEN),
        (5, 4, Verdict.GAP),
        (5, 0, Verdict.GAP),
        (6, 1, Verdict.ADMIT),
        (6, 2, Verdict.GAP),
        (4, 3, Verdict.OVER),
        (4, 1, Verdict.OVER),
        (0, 1, Verdict.OVER),
    ],
)
def test_a_command_is_judged_by_incarnation_and_number(numbers, incarnation, number, verdict):
    assert numbers.verdict(from_source(incarnation, number)) is verdict


def test_judging_changes_nothing(numbers):
    before = numbers.rows()
    numbers.verdict(from_source(9, 1))
    assert numbers.rows() == before


def test_a_new_source_begins_at_one(numbers):
    assert numbers.verdict(from_source(1, 1, source=8)) is Verdict.ADMIT
    assert numbers.verdict(from_source(1, 2, source=8)) is Verdict.GAP


def test_a_later_incarnation_ends_the_earlier_one(numbers):
    numbers.take(from_source(6, 1))
    assert numbers.verdict(from_source(5, 3)) is Verdict.OVER
    assert numbers.last_number(4, 5) is None
    assert numbers.last_number(4, 6) == 1


def test_the_last_number_answers_who_connects(numbers):
    assert numbers.last_number(4, 5) == 2
    assert numbers.last_number(4, 6) == 0
    assert numbers.last_number(4, 4) is None
    assert numbers.last_number(9, 1) == 0


def test_the_shard_itself_sends_the_clock_only_and_without_number(numbers):
    assert numbers.verdict(from_source(0, 0, source=0, kind=Kind.CLOCK)) is Verdict.ADMIT
    assert numbers.verdict(from_source(0, 0, source=0, kind=Kind.PHASE_SET)) is Verdict.GAP
    before = numbers.rows()
    numbers.take(from_source(0, 0, source=0, kind=Kind.CLOCK))
    assert numbers.rows() == before


def test_rows_give_the_numbers_back(numbers):
    copy = SourceNumbers()
    for row in numbers.rows():
        copy.load(*row)
    assert copy.rows() == numbers.rows() == [(4, 5, 2)]
