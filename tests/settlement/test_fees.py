"""Fees of first attempts and of replacements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.fees import FeePolicy, Fees, first_fees, replacement_fees

POLICY = FeePolicy(base_fee_multiple=2, priority_fee_min=5, max_fee_cap=1_000)


def test_a_first_attempt_leaves_room_for_the_base_fee_to_double() -> None:
    assert first_fees(POLICY, base_fee=100, suggested_priority_fee=7) == Fees(207, 7)


def test_the_priority_fee_is_never_below_the_least_configured() -> None:
    assert first_fees(POLICY, base_fee=100, suggested_priority_fee=1).priority_fee == 5


def test_a_chain_without_a_base_fee_is_offered_the_least_whatever_its_node_suggests() -> None:
    assert first_fees(FeePolicy(), base_fee=0, suggested_priority_fee=10**9) == Fees(0, 0)


def test_no_attempt_offers_more_than_the_cap() -> None:
    assert first_fees(POLICY, base_fee=10_000, suggested_priority_fee=5_000) == Fees(1_000, 1_000)


def test_a_replacement_beyond_the_cap_is_none() -> None:
    assert replacement_fees(POLICY, Fees(900, 10), Fees(100, 5), base_fee=40) is None


def test_nothing_is_replaced_on_a_chain_that_takes_no_fees() -> None:
    assert replacement_fees(POLICY, Fees(0, 0), Fees(0, 0), base_fee=0) is None


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_replacement_pays_an_eighth_more_of_both_and_no_less_than_now(
    max_fee: int, priority: int, now_max: int, now_priority: int
) -> None:
    found = replacement_fees(
        FeePolicy(max_fee_cap=10**30), Fees(max_fee, priority), Fees(now_max, now_priority), 1
    )
    assert found is not None
    assert found.max_fee * 8 >= max_fee * 9
    assert found.priority_fee * 8 >= priority * 9
    assert found.max_fee > max_fee
    assert found.max_fee >= now_max
    assert found.priority_fee >= now_priority


def test_a_replacement_that_no_node_would_take_cannot_be_configured() -> None:
    with pytest.raises(ValueError, match=r"12\.5"):
        FeePolicy(replace_per_mille=1_100)
