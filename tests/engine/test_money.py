"""The one rounding rule. Its equality with the contract is tested in tests/settlement/contracts."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.money import Terms, cost_minor, least_proceeds_per_lot_minor, worst_cost_per_lot_minor

terms_of_any_kind = st.builds(
    Terms,
    terms_id=st.integers(1, 0xFFFF),
    tick_value_e9=st.integers(1, 2**64 - 1),
    factor_e9=st.integers(0, 10**9),
    accrued_e9_per_lot=st.integers(0, 2**64 - 1),
    value_date=st.just(20261122),
)
lots_of_any_size = st.integers(1, 2**48 - 1)
prices_ticks = st.integers(0, 2**40 - 1)


@given(lots=lots_of_any_size, price_ticks=prices_ticks, terms=terms_of_any_kind)
def test_the_cost_is_the_exact_value_rounded_half_up_once(lots, price_ticks, terms):
    clean = price_ticks * Fraction(terms.tick_value_e9, 10**9) * Fraction(terms.factor_e9, 10**9)
    exact = lots * (clean + Fraction(terms.accrued_e9_per_lot, 10**9))
    assert cost_minor(lots, price_ticks, terms) == floor(exact + Fraction(1, 2))


@given(
    parts=st.lists(lots_of_any_size, min_size=1, max_size=5),
    price_ticks=prices_ticks,
    terms=terms_of_any_kind,
)
def test_however_an_order_is_split_its_fills_stay_within_the_limits_per_lot(parts, price_ticks, terms):
    total = sum(cost_minor(lots, price_ticks, terms) for lots in parts)
    assert total <= sum(parts) * worst_cost_per_lot_minor(price_ticks, terms)
    assert total >= sum(parts) * least_proceeds_per_lot_minor(price_ticks, terms)


def test_half_a_minor_unit_is_rounded_up():
    half = Terms(terms_id=1, tick_value_e9=500_000_000, factor_e9=10**9, accrued_e9_per_lot=0, value_date=0)
    assert [cost_minor(lots, 1, half) for lots in (1, 2, 3)] == [1, 1, 2]


def test_a_repaid_pool_pays_only_what_is_accrued():
    repaid = Terms(terms_id=1, tick_value_e9=10**9, factor_e9=0, accrued_e9_per_lot=7 * 10**9, value_date=0)
    assert cost_minor(3, 9_999, repaid) == 21


@pytest.mark.parametrize(
    "field", ["terms_id", "tick_value_e9", "factor_e9", "accrued_e9_per_lot", "value_date"]
)
def test_terms_the_contract_could_not_hold_are_refused(field):
    values = {"terms_id": 1, "tick_value_e9": 1, "factor_e9": 1, "accrued_e9_per_lot": 0, "value_date": 0}
    for bad in (-1, 2**64):
        with pytest.raises(ValueError, match=field):
            Terms(**{**values, field: bad})
