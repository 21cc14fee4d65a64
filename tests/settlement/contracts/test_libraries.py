"""What engine and contract compute alike: the cash of a fill, the hash of an order."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.money import Terms, cost_minor
from engine.signed_order import SignedOrder, order_struct_hash, sign_digest
from settlement.dvp_calldata import pack_order

KEY = bytes(range(1, 33))
U64 = 2**64 - 1
on_chain = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
addresses = st.binary(min_size=20, max_size=20)
uints = {bits: st.one_of(st.just(0), st.just(2**bits - 1), st.integers(0, 2**bits - 1)) for bits in (32, 64)}


@pytest.fixture
def bench(contracts, mocks):
    """Calls a library's function on the chain."""
    address = contracts.create(contracts.keys.administrator, mocks("LibraryBench"))
    return lambda function, *arguments: contracts.read(address, function, *arguments)


@on_chain
@given(
    lots=st.integers(1, 2**48 - 1),
    price_ticks=st.integers(0, 2**40 - 1),
    tick_value_e9=st.integers(1, U64),
    factor_e9=st.one_of(st.integers(0, 10**9), st.integers(0, U64)),
    accrued_e9=st.integers(0, U64),
)
@example(1, 1, 500_000_000, 10**9, 0)
@example(1, 1, 499_999_999, 10**9, 0)
@example(2**48 - 1, 2**40 - 1, U64, U64, U64)
def test_the_cash_of_a_fill_is_the_engines_to_the_minor_unit(
    bench, lots, price_ticks, tick_value_e9, factor_e9, accrued_e9
):
    terms = Terms(1, tick_value_e9, factor_e9, accrued_e9, 20261122)
    on_chain_amount = bench("amountMinor", lots, price_ticks, tick_value_e9, factor_e9, accrued_e9)
    assert on_chain_amount == cost_minor(lots, price_ticks, terms)


@on_chain
@given(
    order=st.builds(
        SignedOrder,
        account=addresses,
        tranche_token=addresses,
        cash_token=addresses,
        side=st.integers(0, 255),
        kind=st.integers(0, 255),
        quantity_lots=uints[64],
        limit_price_ticks=uints[64],
        cash_limit_per_lot=uints[64],
        fee_limit=uints[64],
        valid_until=uints[64],
        nonce=uints[64],
        version=uints[32],
    ),
    index=st.integers(0, 3),
)
def test_the_hash_of_a_packed_order_is_the_one_that_was_signed(bench, order, index):
    packed = pack_order(order, 7, sign_digest(bytes(32), KEY))
    orders = bytes(len(packed)) * index + packed
    hashed = bench("structHash", orders, index, order.account, order.tranche_token, order.cash_token)
    assert hashed == order_struct_hash(order)
