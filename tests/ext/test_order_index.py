"""Finding an order by its id: right after any removals, and no slower."""

import random

import numpy as np
import pytest

from ext.book_records import ORDER_DTYPE, Phase, Side, pack_add, pack_cancel, pack_set_phase
from ext.order_book import OrderBook

INVERSE = pow(0x9E3779B97F4A7C15, -1, 2**64)
"""Undoes the index's multiplication, to make ids of any hash."""


def book_with(order_ids: list[int]) -> OrderBook:
    book = OrderBook()
    book.apply(pack_set_phase(Phase.CALL))
    book.apply(b"".join(pack_add(order_id, Side.BUY, 100, 1) for order_id in order_ids))
    return book


def ids_of_one_hash(top_32: int, count: int) -> list[int]:
    """Ids the index cannot tell apart without looking at the orders."""
    ids = ((top_32 << 32 | low) * INVERSE % 2**64 for low in range(1, 50 * count))
    return [order_id for order_id in ids if 0 < order_id < 2**63][:count]


@pytest.mark.parametrize("hashed", [0, 1, 0x80000000, 0xFFFFFFFF])
def test_ids_of_equal_hash_are_told_apart(hashed: int) -> None:
    ids = ids_of_one_hash(hashed, 200)
    book = book_with(ids)
    book._check()
    random.Random(1).shuffle(ids)
    for at, order_id in enumerate(ids):
        book.apply(pack_cancel(order_id))
        assert book.leaves(order_id) == 0
        assert book.leaves(ids[-1]) == (at < len(ids) - 1)
    book._check()


def test_removals_at_the_wrap_of_the_table_lose_nobody() -> None:
    edge = [order_id for top in (0xFFFFFFFF, 0xFFFFFFF0, 0, 1) for order_id in ids_of_one_hash(top, 20)]
    book = book_with(edge)
    kept = set(edge)
    chance = random.Random(2)
    for _ in range(2000):
        order_id = chance.choice(edge)
        if order_id in kept:
            book.apply(pack_cancel(order_id))
        else:
            book.apply(pack_add(order_id, Side.BUY, 100, 1))
        kept ^= {order_id}
        assert [book.leaves(other) for other in edge] == [int(other in kept) for other in edge]
    book._check()


def test_a_million_orders_at_one_price_come_and_go() -> None:
    count = 1_000_000
    book = OrderBook()
    commands = np.frombuffer(pack_add(1, Side.SELL, 100, 1) * count, np.uint64).reshape(count, 8).copy()
    commands[:, 1] = np.arange(1, count + 1)
    book.apply(pack_set_phase(Phase.CONTINUOUS))
    book.apply(commands.data.cast("B"))
    assert book.levels(Side.SELL) == [(100, count, count)]
    book._check()
    middle = b"".join(pack_cancel(order_id) for order_id in range(400_000, 400_100))
    book.apply(middle)
    book.apply(pack_add(count + 1, Side.BUY, 100, count - 200))
    assert book.levels(Side.SELL) == [(100, 100, 100)]
    assert book.leaves(count) == 1
    book._check()


def test_the_index_forgets_what_has_gone() -> None:
    book = book_with([1])
    for order_id in range(2, 50_000):
        book.apply(pack_add(order_id, Side.BUY, 100, 1) + pack_cancel(order_id))
    book._check()
    assert book.leaves(1) == 1
    assert len(book.orders()) == ORDER_DTYPE.itemsize
