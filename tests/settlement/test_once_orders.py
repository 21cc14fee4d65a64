"""Once-orders are never parted."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.once_orders import middle_cut, once_order_cuts


@pytest.mark.parametrize(
    ("fills", "cuts"),
    [
        ([], []),
        ([[], [], []], [1, 2, 3]),
        ([["a"], ["a"], []], [2, 3]),
        ([[], ["a"], [], ["a"], []], [1, 4, 5]),
        ([["a"], ["a", "b"], ["b"]], [3]),
        ([["a"], ["b"], ["a"], ["b"], ["c"]], [4, 5]),
    ],
)
def test_a_run_may_be_cut_wherever_no_once_order_spans(fills: list[list[str]], cuts: list[int]) -> None:
    assert once_order_cuts(fills) == cuts


@given(st.lists(st.lists(st.integers(1, 6), max_size=2), max_size=20))
def test_the_cuts_are_all_those_that_part_no_once_order(fills: list[list[int]]) -> None:
    def parts(place: int) -> bool:
        return not set(chain(*fills[:place])).isdisjoint(chain(*fills[place:]))

    assert once_order_cuts(fills) == [n for n in range(1, len(fills) + 1) if not parts(n)]


@pytest.mark.parametrize(
    ("cuts", "middle"),
    [([], None), ([5], None), ([1, 2, 3, 4], 2), ([1, 10], 1), ([2, 9, 10], 2), ([1, 7, 10], 7)],
)
def test_a_run_is_divided_as_near_its_middle_as_it_may_be(cuts: list[int], middle: int | None) -> None:
    assert middle_cut(cuts) == middle
