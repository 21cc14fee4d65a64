"""Tests of the division of cash between shards."""

from hypothesis import given
from hypothesis import strategies as st

from engine.cash_policy import even_shares, recall_plan

_AMOUNTS = st.integers(0, 2**62)


def test_the_remainder_of_an_even_split_goes_to_the_first_shard() -> None:
    assert even_shares(11, [1, 2, 3]) == {1: 5, 2: 3, 3: 3}


def test_a_shard_without_a_share_is_left_out() -> None:
    assert even_shares(1, [1, 2]) == {1: 1}


@given(_AMOUNTS, st.lists(st.integers(1, 99), unique=True, min_size=1))
def test_shares_sum_to_the_amount(amount: int, shards: list[int]) -> None:
    assert sum(even_shares(amount, shards).values()) == amount


def test_no_shard_takes_no_share() -> None:
    assert even_shares(5, []) == {}


def test_the_richest_shard_is_asked_first() -> None:
    assert recall_plan(70, {1: 10, 2: 50, 3: 30}) == {2: 50, 3: 20}


@given(_AMOUNTS, st.dictionaries(st.integers(1, 9), st.integers(-5, 2**40)))
def test_a_recall_never_exceeds_the_shortage_nor_what_lies_there(short: int, free: dict[int, int]) -> None:
    plan = recall_plan(short, free)
    assert sum(plan.values()) == min(short, sum(max(amount, 0) for amount in free.values()))
    assert all(0 < amount <= free[shard] for shard, amount in plan.items())
