"""Prices in order: any number of them, in any order of coming and going."""

import random

import pytest

from ext.book_records import PRICE_TICKS_MAX, Phase, Side, pack_add, pack_cancel, pack_set_phase
from ext.order_book import OrderBook


def open_call() -> OrderBook:
    book = OrderBook()
    book.apply(pack_set_phase(Phase.CALL))
    return book


def prices(book: OrderBook, side: Side) -> list[int]:
    return [price for price, _, _ in book.levels(side)]


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("order", ["rising", "falling", "shuffled"])
def test_prices_are_in_order_however_they_came(side: Side, order: str) -> None:
    ticks = list(range(1, 3001))
    if order == "falling":
        ticks.reverse()
    elif order == "shuffled":
        random.Random(3).shuffle(ticks)
    book = open_call()
    for price in ticks:
        book.apply(pack_add(price, side, price, 1))
    book._check()
    assert prices(book, side) == sorted(ticks, reverse=side is Side.BUY)


@pytest.mark.parametrize("side", Side)
def test_prices_that_come_and_go_at_random_stay_in_order(side: Side) -> None:
    book, there, chance = open_call(), set[int](), random.Random(4)
    for step in range(20_000):
        price = chance.randint(1, 600)
        leaves = price in there
        book.apply(pack_cancel(price) if leaves else pack_add(price, side, price, 1))
        there ^= {price}
        if step % 500 == 0:
            book._check()
            assert prices(book, side) == sorted(there, reverse=side is Side.BUY)


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("ascending", [True, False])
def test_a_side_can_empty_from_either_end_and_fill_again(side: Side, ascending: bool) -> None:
    book = open_call()
    ticks = list(range(1, 1001))
    for _ in range(3):
        for price in ticks:
            book.apply(pack_add(price, side, price, 1))
        for price in ticks if ascending else reversed(ticks):
            book.apply(pack_cancel(price))
        book._check()
        assert book.levels(side) == []


def test_prices_at_both_edges_of_the_range_are_kept_apart() -> None:
    book = open_call()
    edges = [1, 2, PRICE_TICKS_MAX - 1, PRICE_TICKS_MAX]
    for order_id, price in enumerate(edges, 1):
        book.apply(pack_add(order_id, Side.SELL, price, 1) + pack_add(order_id + 4, Side.BUY, price, 1))
    book._check()
    assert prices(book, Side.SELL) == edges
    assert prices(book, Side.BUY) == edges[::-1]
