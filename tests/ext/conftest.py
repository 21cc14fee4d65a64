"""Fixtures of the book tests: every behaviour is asked of both books, answers are read as text."""

from collections.abc import Callable

import numpy as np
import pytest

from ext.book_records import (
    EVENT_DTYPE,
    BookEventFlag,
    BookEventKind,
    CancelReason,
    Phase,
    RejectReason,
    Side,
    pack_set_phase,
)
from ext.naive_order_book import NaiveOrderBook
from ext.order_book import OrderBook

Book = OrderBook | NaiveOrderBook
Play = Callable[..., list[str]]


@pytest.fixture(params=[OrderBook, NaiveOrderBook], ids=["fast", "naive"])
def make_book(request: pytest.FixtureRequest) -> type[Book]:
    """Return the class of one of the two books."""
    made: type[Book] = request.param
    return made


@pytest.fixture
def book(make_book: type[Book]) -> Book:
    """Return an empty book in continuous trading."""
    book = make_book()
    book.apply(pack_set_phase(Phase.CONTINUOUS))
    return book


@pytest.fixture
def play() -> Play:
    """Return ``play(book, *commands)``: apply and describe the events, price levels apart."""
    return lambda book, *commands: [line for line in _play(book, commands) if not line.startswith("level")]


@pytest.fixture
def play_levels() -> Play:
    """Return ``play_levels(book, *commands)``: apply and describe the LEVEL events only."""
    return lambda book, *commands: [line for line in _play(book, commands) if line.startswith("level")]


@pytest.fixture
def play_all() -> Play:
    """Return ``play_all(book, *commands)``: apply and describe every event."""
    return lambda book, *commands: _play(book, commands)


def _play(book: Book, commands: tuple[bytes, ...]) -> list[str]:
    events = np.frombuffer(book.apply(b"".join(commands)), EVENT_DTYPE)
    book._check()
    return [_describe(event) for event in events]


def _describe(event: np.void) -> str:
    kind = BookEventKind(event["kind"])
    side = Side(event["side"]).name.lower() if event["side"] else ""
    order, other, reason = int(event["order_id"]), int(event["other_order_id"]), int(event["reason"])
    at = f"{event['quantity_lots']}@{event['price_ticks']}"
    leaves = int(event["leaves_lots"])
    flags = BookEventFlag(int(event["flags"]))
    texts = {
        BookEventKind.ADDED: lambda: f"added {order} {side} {at} leaves {leaves}",
        BookEventKind.FILL: lambda: (
            f"fill {order} {side} from {other} {at} leaves {leaves}/{event['other_leaves_lots']}"
        ),
        BookEventKind.CANCELLED: lambda: f"cancelled {order} {side} {at} {CancelReason(reason).name}",
        BookEventKind.REPLACED: lambda: (
            f"replaced {order} {side} {at} leaves {leaves}"
            + (" kept" if flags & BookEventFlag.PRIORITY_KEPT else "")
        ),
        BookEventKind.REJECTED: lambda: f"rejected {order} {RejectReason(reason).name}",
        BookEventKind.LEVEL: lambda: f"level {side} {at} in {event['orders']}",
        BookEventKind.UNCROSSED: lambda: f"uncrossed {at} surplus {leaves:+}",
        BookEventKind.INDICATIVE: lambda: f"indicative {at} surplus {leaves:+}",
        BookEventKind.PHASE: lambda: f"phase {Phase(reason).name} reference {event['price_ticks']}",
    }
    return texts[kind]()
