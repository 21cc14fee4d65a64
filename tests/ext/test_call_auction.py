"""The call: orders collect, one price clears most lots, allocation is by price and time."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ext.book_records import (
    EVENT_DTYPE,
    PRICE_TICKS_MAX,
    BookEventKind,
    Phase,
    Side,
    TimeInForce,
    pack_add,
    pack_cancel,
    pack_replace,
    pack_set_phase,
    pack_uncross,
)
from ext.naive_order_book import NaiveOrderBook
from ext.order_book import OrderBook

Book = OrderBook | NaiveOrderBook
Play = Callable[..., list[str]]


def buy(order_id: int, quantity_lots: int, price_ticks: int) -> bytes:
    return pack_add(order_id, Side.BUY, price_ticks, quantity_lots)


def sell(order_id: int, quantity_lots: int, price_ticks: int) -> bytes:
    return pack_add(order_id, Side.SELL, price_ticks, quantity_lots)


@pytest.fixture
def call(make_book: type[Book]) -> Book:
    """Return an empty book in its call, no reference price."""
    book = make_book()
    book.apply(pack_set_phase(Phase.CALL))
    return book


# -- the call


def test_orders_of_a_call_rest_even_where_they_cross(call: Book, play_all: Play) -> None:
    assert play_all(call, buy(1, 5, 101)) == ["added 1 buy 5@101 leaves 5", "level buy 5@101 in 1"]
    assert play_all(call, sell(2, 3, 100)) == [
        "added 2 sell 3@100 leaves 3",
        "level sell 3@100 in 1",
        "indicative 3@101 surplus +2",
    ]


def test_an_ioc_order_is_refused_in_a_call(call: Book, play_all: Play) -> None:
    ioc = pack_add(1, Side.BUY, 100, 5, TimeInForce.IOC)
    assert play_all(call, ioc) == ["rejected 1 IOC_IN_CALL"]


def test_the_indicative_price_is_told_only_when_it_changes(call: Book, play: Play) -> None:
    play(call, buy(1, 5, 101), sell(2, 3, 100))
    assert play(call, buy(3, 9, 99)) == ["added 3 buy 9@99 leaves 9"]
    assert play(call, pack_cancel(2))[1:] == ["indicative 0@0 surplus +0"]


def test_a_replace_in_a_call_moves_the_indicative_price(call: Book, play: Play) -> None:
    play(call, buy(1, 5, 101), sell(2, 5, 100))
    assert play(call, pack_replace(1, 102, 6)) == [
        "replaced 1 buy 6@102 leaves 6",
        "indicative 5@102 surplus +1",
    ]


def test_a_new_reference_price_moves_the_indicative_price(call: Book, play: Play) -> None:
    play(call, buy(1, 5, 105), sell(2, 5, 100))
    assert play(call, pack_set_phase(Phase.CALL, 103)) == [
        "phase CALL reference 103",
        "indicative 5@103 surplus +0",
    ]


# -- the price


def test_the_price_is_that_of_the_largest_volume(call: Book, play: Play) -> None:
    play(call, buy(1, 10, 103), buy(2, 10, 102), buy(3, 10, 101))
    play(call, sell(4, 5, 100), sell(5, 15, 102), sell(6, 10, 104))
    assert play(call, pack_uncross())[0] == "uncrossed 20@102 surplus +0"


def test_of_equal_volumes_the_smallest_surplus_decides(call: Book, play: Play) -> None:
    play(call, buy(1, 10, 105), buy(2, 7, 101), sell(3, 10, 100), sell(4, 1, 104))
    assert play(call, pack_uncross(101))[0] == "uncrossed 10@102 surplus +0"


def test_where_buyers_remain_the_highest_price_is_taken(call: Book, play: Play) -> None:
    play(call, buy(1, 10, 105), sell(2, 4, 100))
    assert play(call, pack_uncross(101))[0] == "uncrossed 4@105 surplus +6"


def test_where_sellers_remain_the_lowest_price_is_taken(call: Book, play: Play) -> None:
    play(call, buy(1, 4, 105), sell(2, 10, 100))
    assert play(call, pack_uncross(104))[0] == "uncrossed 4@100 surplus -6"


@pytest.mark.parametrize(("reference", "price"), [(0, 100), (99, 100), (102, 102), (105, 105), (200, 105)])
def test_without_pressure_the_price_nearest_to_the_reference_is_taken(
    call: Book, play: Play, reference: int, price: int
) -> None:
    play(call, buy(1, 5, 105), sell(2, 5, 100))
    assert play(call, pack_uncross(reference))[0] == f"uncrossed 5@{price} surplus +0"


@pytest.mark.parametrize(
    ("reference", "result"), [(90, "5@100 surplus +2"), (101, "5@101 surplus +2"), (102, "5@102 surplus -2")]
)
def test_with_pressure_of_both_kinds_the_reference_price_decides(
    call: Book, play: Play, reference: int, result: str
) -> None:
    play(call, buy(1, 5, 105), buy(2, 2, 101), sell(3, 5, 100), sell(4, 2, 102))
    assert play(call, pack_uncross(reference))[0] == f"uncrossed {result}"


def test_the_reference_price_of_the_phase_counts_where_the_uncross_names_none(call: Book, play: Play) -> None:
    play(call, buy(1, 5, 105), sell(2, 5, 100), pack_set_phase(Phase.CALL, 103))
    assert play(call, pack_uncross())[0] == "uncrossed 5@103 surplus +0"


# -- the fills


def test_fills_pair_both_sides_by_price_then_time(call: Book, play_all: Play) -> None:
    play_all(call, buy(1, 4, 101), buy(2, 4, 102), buy(3, 4, 101))
    play_all(call, sell(4, 5, 101), sell(5, 1, 100), sell(6, 5, 101))
    assert play_all(call, pack_uncross()) == [
        "uncrossed 11@101 surplus +1",
        "fill 2 buy from 5 1@101 leaves 3/0",
        "fill 2 buy from 4 3@101 leaves 0/2",
        "fill 1 buy from 4 2@101 leaves 2/0",
        "fill 1 buy from 6 2@101 leaves 0/3",
        "fill 3 buy from 6 3@101 leaves 1/0",
        "level buy 0@102 in 0",
        "level sell 0@100 in 0",
        "level sell 0@101 in 0",
        "level buy 1@101 in 1",
        "indicative 0@0 surplus +0",
    ]
    assert call.levels(Side.BUY) == [(101, 1, 1)]


def test_an_uncross_of_a_book_that_does_not_cross_trades_nothing(call: Book, play_all: Play) -> None:
    assert play_all(call, pack_uncross()) == ["uncrossed 0@0 surplus +0"]
    play_all(call, buy(1, 5, 99), sell(2, 5, 100))
    assert play_all(call, pack_uncross(100)) == ["uncrossed 0@0 surplus +0"]


def test_what_the_auction_left_trades_on_in_continuous_trading(call: Book, play: Play) -> None:
    play(call, buy(1, 5, 101), sell(2, 3, 100), pack_uncross(), pack_set_phase(Phase.CONTINUOUS))
    assert play(call, sell(3, 1, 100)) == ["fill 3 sell from 1 1@101 leaves 0/1"]
    assert play(call, pack_replace(1, 101, 5)) == ["replaced 1 buy 5@101 leaves 1 kept"]


def test_an_auction_works_over_the_whole_range_of_prices(call: Book, play: Play) -> None:
    play(call, buy(1, 5, PRICE_TICKS_MAX), sell(2, 5, 1))
    assert play(call, pack_uncross(PRICE_TICKS_MAX))[0] == f"uncrossed 5@{PRICE_TICKS_MAX} surplus +0"


# -- every price tried

ORDERS = st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 10), st.integers(1, 6)), max_size=14)


def auction_by_trying_every_price(
    orders: list[tuple[Side, int, int]], reference: int
) -> tuple[int, int, int]:
    """Price, volume and surplus by the rule as it is written, over all prices 1 to 10."""
    outcome = {}
    for price in range(1, 11):
        demand = sum(lots for side, limit, lots in orders if side is Side.BUY and limit >= price)
        supply = sum(lots for side, limit, lots in orders if side is Side.SELL and limit <= price)
        outcome[price] = (min(demand, supply), demand - supply)
    volume = max(lots for lots, _ in outcome.values())
    if volume == 0:
        return 0, 0, 0
    surpluses = {price: surplus for price, (lots, surplus) in outcome.items() if lots == volume}
    smallest = min(map(abs, surpluses.values()))
    surpluses = {price: surplus for price, surplus in surpluses.items() if abs(surplus) == smallest}
    if all(surplus > 0 for surplus in surpluses.values()):
        price = max(surpluses)
    elif all(surplus < 0 for surplus in surpluses.values()):
        price = min(surpluses)
    else:
        price = min(surpluses, key=lambda candidate: abs(candidate - reference))
    return price, volume, surpluses[price]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(orders=ORDERS, reference=st.integers(1, 11), fast=st.booleans())
def test_no_other_price_would_have_been_better(
    orders: list[tuple[Side, int, int]], reference: int, fast: bool
) -> None:
    book = OrderBook() if fast else NaiveOrderBook()
    book.apply(pack_set_phase(Phase.CALL))
    for order_id, (side, price_ticks, lots) in enumerate(orders, 1):
        book.apply(pack_add(order_id, side, price_ticks, lots))
    events = np.frombuffer(book.apply(pack_uncross(reference)), EVENT_DTYPE)
    result = (events[0]["price_ticks"], events[0]["quantity_lots"], events[0]["leaves_lots"])
    assert result == auction_by_trying_every_price(orders, reference)
    fills = events[events["kind"] == BookEventKind.FILL]
    assert fills["quantity_lots"].sum() == result[1]
    assert set(fills["price_ticks"]) <= {result[0]}
