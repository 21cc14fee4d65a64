"""Many books behind one apply: each is as it would be alone."""

import random

import numpy as np
import pytest

from ext.book_records import (
    EVENT_DTYPE,
    BookEventKind,
    OrderType,
    Phase,
    Side,
    TimeInForce,
    pack_add,
    pack_cancel,
    pack_replace,
    pack_set_phase,
)
from ext.naive_order_book import NaiveOrderBook
from ext.order_book import BookSet, OrderBook

BOOKS = 5


def opened(books: int) -> BookSet:
    made = BookSet(books)
    made.apply(b"".join(pack_set_phase(Phase.CONTINUOUS, book=book) for book in range(books)))
    return made


def random_command(chance: random.Random, order_id: int, book: int) -> bytes:
    kind, price_ticks, lots = chance.random(), chance.randint(1, 40), chance.randint(1, 9)
    named = chance.randint(0, order_id // BOOKS) * BOOKS + book
    if kind < 0.2:
        return pack_cancel(named, book)
    if kind < 0.3:
        return pack_replace(named, price_ticks, lots, book)
    side, tif = chance.choice(list(Side)), chance.choice([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC])
    if kind < 0.4:
        more = {"order_type": OrderType.STOP, "stop_price_ticks": chance.randint(1, 40)}
        return pack_add(order_id, side, price_ticks, lots, book=book, **more)
    peak_lots = chance.randint(0, lots) if tif is TimeInForce.GTC else 0
    return pack_add(order_id, side, price_ticks, lots, tif, peak_lots=peak_lots, book=book)


def in_a_book_of_its_own(command: bytes) -> bytes:
    return command[:48] + bytes(4) + command[52:]


@pytest.mark.parametrize("seed", range(8))
def test_every_book_of_a_set_does_what_it_would_do_alone(seed: int) -> None:
    chance, books = random.Random(seed), opened(BOOKS)
    alone = [NaiveOrderBook() for _ in range(BOOKS)]
    for book in alone:
        book.apply(pack_set_phase(Phase.CONTINUOUS))
    for step in range(1, 600):
        book = chance.randrange(BOOKS)
        command = random_command(chance, step * BOOKS + book, book)
        events = np.frombuffer(books.apply(command), EVENT_DTYPE).copy()
        assert set(events["book"]) == {book}
        events["book"] = 0
        assert events.tobytes() == alone[book].apply(in_a_book_of_its_own(command))
    books._check()
    for book, other in enumerate(alone):
        assert books.orders(book) == other.orders()
        assert [books.levels(side, book) for side in Side] == [other.levels(side) for side in Side]
    assert books.snapshot() == b"".join(book.snapshot() for book in alone)


def test_a_set_is_restored_whole_or_not_at_all() -> None:
    books, other = opened(3), opened(3)
    for book in range(3):
        books.apply(pack_add(book + 1, Side.BUY, 100, 5, book=book))
    other.restore(books.snapshot())
    other._check()
    assert other.digest() == books.digest()
    for bad in (books.snapshot()[:-64], books.snapshot() + bytes(192), OrderBook().snapshot()):
        with pytest.raises(ValueError, match="not a snapshot"):
            other.restore(bad)
    assert other.digest() == books.digest()


def test_an_order_id_is_unique_in_the_set_and_an_order_is_found_in_its_book_only() -> None:
    books = opened(2)
    books.apply(pack_add(1, Side.BUY, 100, 5, book=0))
    events = books.apply(pack_add(1, Side.BUY, 100, 5, book=1) + pack_cancel(1, book=1))
    assert np.frombuffer(events, EVENT_DTYPE)["kind"].tolist() == [BookEventKind.REJECTED] * 2
    assert books.leaves(1) == 5


def test_a_price_of_one_book_is_never_taken_for_that_of_another() -> None:
    books = opened(2)
    for order_id in range(1, 200):
        book = order_id % 2
        books.apply(pack_add(order_id, Side.BUY, 100, 5, book=book) + pack_cancel(order_id, book))
        books.apply(pack_add(order_id, Side.BUY, 100, 5, book=1 - book))
        assert books.levels(Side.BUY, 1 - book) == [(100, 5, 1)]
        assert books.levels(Side.BUY, book) == []
        books.apply(pack_cancel(order_id, 1 - book))
    books._check()


@pytest.mark.parametrize("books", [0, -1, 2**20 + 1])
def test_a_set_has_a_number_of_books_that_can_be(books: int) -> None:
    with pytest.raises(ValueError, match="number of books"):
        BookSet(books)


@pytest.mark.parametrize("book", [-1, 2, 2**32])
def test_a_book_that_is_not_there_is_a_value_error(book: int) -> None:
    books = BookSet(2)
    assert len(books) == 2
    for read in (
        books.orders,
        books.phase_of,
        books.next_deadline_ns,
        lambda number: books.levels(1, number),
    ):
        with pytest.raises(ValueError, match="no book"):
            read(book)


def test_memory_is_that_of_the_orders() -> None:
    books = opened(1000)
    empty = books.memory()
    orders = range(1, 100_001)
    books.apply(b"".join(pack_add(order, Side.BUY, 1 + order % 20, 5, book=order % 1000) for order in orders))
    assert books.memory() - empty < 224 * len(orders)
    full = books.memory()
    for _ in range(3):
        books.apply(b"".join(pack_cancel(order, order % 1000) for order in orders))
        books.apply(
            b"".join(pack_add(order, Side.BUY, 1 + order % 20, 5, book=order % 1000) for order in orders)
        )
    assert books.memory() == full
