"""What does one call of a book method cost, on a small busy book?

pytest benchmarks/test_order_book.py
"""

import random
from typing import Any

import pytest

from ext.book_records import Phase, Side, TimeInForce, pack_add, pack_cancel, pack_replace, pack_set_phase
from ext.naive_order_book import NaiveOrderBook
from ext.order_book import OrderBook

Book = OrderBook | NaiveOrderBook
COMMANDS = 1_000


@pytest.fixture(params=[OrderBook, NaiveOrderBook], ids=["fast", "naive"])
def make_book(request: pytest.FixtureRequest) -> type[Book]:
    """Return the class of one of the two books."""
    made: type[Book] = request.param
    return made


def mixed_commands(seed: int) -> bytes:
    """Return adds (one in ten IOC), cancels and replaces around one price, continuous trading."""
    chance = random.Random(seed)
    commands = [pack_set_phase(Phase.CONTINUOUS)]
    for order_id in range(1, COMMANDS):
        price_ticks, lots = 1000 + round(chance.gauss(0, 8)), chance.randint(1, 50)
        kind = chance.random()
        if kind < 0.6:
            tif = TimeInForce.IOC if kind < 0.06 else TimeInForce.GTC
            commands.append(pack_add(order_id, chance.choice(list(Side)), price_ticks, lots, tif))
        elif kind < 0.9:
            commands.append(pack_cancel(chance.randint(max(1, order_id - 100), order_id)))
        else:
            commands.append(pack_replace(chance.randint(max(1, order_id - 100), order_id), price_ticks, lots))
    return b"".join(commands)


def test_a_batch_of_mixed_commands(benchmark: Any, make_book: type[Book]) -> None:
    commands = mixed_commands(1)
    events = benchmark(lambda: make_book().apply(commands))
    assert len(events) >= len(commands)


def test_one_call_per_command(benchmark: Any, make_book: type[Book]) -> None:
    commands = mixed_commands(1)
    single = [commands[at : at + 64] for at in range(0, len(commands), 64)]

    def apply_each() -> int:
        book = make_book()
        return sum(len(book.apply(command)) for command in single)

    assert benchmark(apply_each) >= len(commands)


def test_snapshot_and_restore(benchmark: Any, make_book: type[Book]) -> None:
    book = make_book()
    book.apply(mixed_commands(1))

    def copy() -> bytes:
        other = make_book()
        other.restore(book.snapshot())
        return other.digest()

    assert benchmark(copy) == book.digest()
