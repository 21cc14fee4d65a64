"""Orders as bytes, and the chain over those that ended."""

import pytest

from engine.closed_orders import ClosedOrders
from engine.order_state import (
    account_of,
    client_ids_of,
    order_from_bytes,
    order_id_of,
    record_bytes,
)


@pytest.fixture
def order(market):
    """A replaced, partly filled buy of Ann's."""
    market.open_tranche()
    market.investor("ann", cash=10_000)
    market.investor("bob", lots=10)
    placed = market.buy("ann", 10, at=100, id="b")
    market.replace("ann", "b", "b2", price_ticks=99)
    market.sell("bob", 3, at=99)
    return market.core._state.open_orders[placed.order_id]


def test_an_order_comes_back_from_its_bytes(order):
    record = order.to_bytes()
    copy = order_from_bytes(record, order.holding)
    assert copy.to_bytes() == record
    assert (copy.leaves_lots, copy.cum_lots, copy.revision, copy.price_ticks) == (7, 3, 2, 99)
    assert copy.is_open()
    assert copy.held() == order.held() == 7 * 99


def test_the_bytes_of_an_order_say_whose_it_is_and_what_named_it(order):
    record = order.to_bytes()
    assert order_id_of(record) == order.order_id
    assert account_of(record) == order.holding.account.account
    assert [name.rstrip(b"\0") for name in client_ids_of(record)] == [b"b", b"b2"]
    assert record_bytes(memoryview(record + bytes(50))) == len(record)


def test_the_digest_of_closed_orders_is_a_chain_over_them_in_order():
    def chained(*records):
        closed = ClosedOrders()
        for record in records:
            closed.load(record[0], record)
        return closed

    one, two = b"\1first", b"\2second"
    both = chained(one, two)
    assert (len(both), list(both), both.get(1), both.get(3)) == (2, [one, two], one, None)
    assert both.digest != chained(two, one).digest
    assert both.digest != chained(one).digest
    assert both.digest == chained(one, two).digest


def test_an_order_ends_only_once():
    closed = ClosedOrders()
    closed.load(1, b"order")
    with pytest.raises(AssertionError):
        closed.load(1, b"order")
