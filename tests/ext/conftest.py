"""Fixtures of the book tests: every behaviour is asked of both books, answers are read as text."""

from collections.abc import Callable
from enum import IntEnum

import numpy as np
import pytest

from ext.book_records import (
    EVENT_DTYPE,
    Allocation,
    BookEventFlag,
    BookEventKind,
    CancelReason,
    Phase,
    RejectReason,
    SelfTrade,
    Side,
    pack_set_phase,
)
from ext.naive_order_book import NaiveOrderBook
from ext.order_book import OrderBook

TOLD = BookEventFlag.STOP | BookEventFlag.REPRICED | BookEventFlag.SAME_OWNER | BookEventFlag.INTERRUPTION
REASONS: dict[BookEventKind, type[IntEnum]] = {
    BookEventKind.CANCELLED: CancelReason,
    BookEventKind.REJECTED: RejectReason,
    BookEventKind.PHASE: Phase,
    BookEventKind.PREVENTED: SelfTrade,
    BookEventKind.RULES: Allocation,
}
TEXTS = {
    BookEventKind.ADDED: "added {order} {side} {at} leaves {leaves}{shown}{named}",
    BookEventKind.FILL: "fill {order} {side} from {other} {at} leaves {leaves}/{visible}{named}",
    BookEventKind.CANCELLED: "cancelled {order} {side} {at} {reason}",
    BookEventKind.REPLACED: "replaced {order} {side} {at} leaves {leaves}{shown}{named}{kept}",
    BookEventKind.REJECTED: "rejected {order} {reason}",
    BookEventKind.LEVEL: "level {side} {at} in {orders}",
    BookEventKind.UNCROSSED: "uncrossed {at} surplus {leaves:+}",
    BookEventKind.INDICATIVE: "indicative {at} surplus {leaves:+}",
    BookEventKind.PHASE: "phase {reason} reference {price}{named}",
    BookEventKind.PREVENTED: "prevented {order} {side} from {other} {at} {reason} leaves {leaves}/{visible}",
    BookEventKind.REFILLED: "refilled {order} {side} {at} leaves {leaves}{shown}",
    BookEventKind.TRIGGERED: "triggered {order} {side} {at} leaves {leaves}",
    BookEventKind.MASS_CANCELLED: "mass cancelled {orders}",
    BookEventKind.CLOCK: "clock expired {orders}",
    BookEventKind.RULES: "rules {reason}",
}

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
    visible = int(event["other_leaves_lots"])
    shown = f" showing {visible}" if visible != leaves else ""
    named = "".join(f" {flag.name.lower()}" for flag in flags & TOLD if flag.name)
    return TEXTS[kind].format(
        order=order,
        other=other,
        side=side,
        at=at,
        leaves=leaves,
        visible=visible,
        shown=shown,
        named=named,
        kept=" kept" if flags & BookEventFlag.PRIORITY_KEPT else "",
        orders=event["orders"],
        price=event["price_ticks"],
        reason=REASONS[kind](reason).name if kind in REASONS else reason,
    )
