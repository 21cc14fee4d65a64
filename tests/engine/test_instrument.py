"""What a tranche may be listed with, so that nothing it trades can overflow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.command import tranche_list
from engine.instrument import TRANCHE_MAX, Instrument, fee_minor, listed
from engine.ledger import SUM_LIMIT
from engine.money import Terms, cost_minor, worst_cost_per_lot_minor
from engine.reasons import Reason
from engine.refusal import Refusal

TERMS = Terms(1, 10**9, 10**9, 0, 20261122)
LISTING = tranche_list(
    7, TERMS, document=b"{}", price_min_ticks=10, price_max_ticks=1_000, quantity_max_lots=10_000
)


def test_a_sound_listing_becomes_an_instrument():
    instrument = listed(LISTING._replace(reference_price_ticks=500, maker_fee_e6=3))
    assert isinstance(instrument, Instrument)
    assert (instrument.tranche, instrument.reference_price_ticks, instrument.maker_fee_e6) == (7, 500, 3)
    assert instrument.terms == TERMS


@pytest.mark.parametrize(
    "change",
    [
        {"header": LISTING.header._replace(tranche=0)},
        {"header": LISTING.header._replace(tranche=TRANCHE_MAX + 1)},
        {"header": LISTING.header._replace(side_digest=bytes(16))},
        {"currency": 0},
        {"mode": 0},
        {"mode": 4},
        {"maker_fee_e6": 10**6 + 1},
        {"taker_fee_e6": 10**6 + 1},
        {"price_min_ticks": 0},
        {"price_min_ticks": 1_001},
        {"quantity_max_lots": 0},
        {"reference_price_ticks": 9},
        {"reference_price_ticks": 1_001},
        {"reference_price_ticks": -1},
    ],
)
def test_a_listing_that_makes_no_sense_is_not_admitted(change):
    assert listed(LISTING._replace(**change)) == Refusal(Reason.NOT_ADMITTED)


@pytest.mark.parametrize(
    "change", [{"terms_id": 0}, {"terms_id": 2**16}, {"tick_value_e9": 0}, {"factor_e9": -1}]
)
def test_terms_that_the_chain_cannot_hold_are_bad(change):
    assert listed(LISTING._replace(**change)) == Refusal(Reason.BAD_TERMS)


@pytest.mark.parametrize(
    "change",
    [
        {"quantity_max_lots": SUM_LIMIT // 1_000 + 1},
        {"price_max_ticks": SUM_LIMIT // 10_000 + 1},
        {"price_max_ticks": SUM_LIMIT, "factor_e9": 0},
        {"quantity_max_lots": SUM_LIMIT, "factor_e9": 0},
        {"quantity_max_lots": SUM_LIMIT // 1_001, "taker_fee_e6": 10**6},
        {"accrued_e9_per_lot": 2**62, "quantity_max_lots": 2**60},
    ],
)
def test_a_listing_whose_largest_order_overflows_is_refused(change):
    assert listed(LISTING._replace(**change)) == Refusal(Reason.OVERFLOW)


@given(
    price=st.integers(1, 10**6),
    fills=st.lists(st.integers(1, 10**4), min_size=1, max_size=20),
    tick_value_e9=st.integers(1, 10**12),
    fee_e6=st.integers(0, 10**6),
)
def test_what_a_lot_holds_covers_every_way_of_filling_it(price, fills, tick_value_e9, fee_e6):
    terms = Terms(1, tick_value_e9, 10**9, 123_456_789, 20261122)
    instrument = listed(
        tranche_list(
            1,
            terms,
            document=b"{}",
            price_min_ticks=1,
            price_max_ticks=10**6,
            quantity_max_lots=10,
            taker_fee_e6=fee_e6,
        )
    )
    assert isinstance(instrument, Instrument)
    worst = worst_cost_per_lot_minor(price, terms)
    held = sum(fills) * (worst + instrument.worst_fee_per_lot_minor(worst))
    amounts = [cost_minor(lots, price, terms) for lots in fills]
    assert sum(amounts) + sum(fee_minor(amount, fee_e6) for amount in amounts) <= held


def test_fees_are_rounded_up():
    assert [fee_minor(amount, 1_000) for amount in (0, 1, 1_000, 1_001)] == [0, 1, 1, 2]
