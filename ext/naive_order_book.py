"""The order book in obvious code: the oracle that the fast book is tested against.

Same interface, same bytes out, no care for speed.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ext.book_records import (
    COMMAND_STRUCT,
    ORDER_STRUCT,
    RECORD_BYTES,
    SNAPSHOT_STRUCT,
    BookEventKind,
    BookOp,
    CommandFlag,
    Phase,
    RejectReason,
    Side,
)
from ext.naive_book_check import check_book
from ext.naive_book_state import BookState, RejectedError, require
from ext.naive_market_phase import clock, next_deadline_ns, set_phase, set_rules, uncross
from ext.naive_matching import elect_stops
from ext.naive_order_entry import Command, add, cancel, mass_cancel, replace
from ext.naive_snapshot import read_book, write_book, write_orders

if TYPE_CHECKING:
    from typing_extensions import Buffer

_HANDLERS = {
    BookOp.CANCEL: cancel,
    BookOp.REPLACE: replace,
    BookOp.SET_PHASE: set_phase,
    BookOp.UNCROSS: uncross,
    BookOp.CLOCK: clock,
    BookOp.MASS_CANCEL: mass_cancel,
}
_TAIL_HANDLERS = {BookOp.ADD: add, BookOp.SET_RULES: set_rules}
_FLAGS = {
    BookOp.ADD: CommandFlag.TAIL | CommandFlag.POST_ONLY | CommandFlag.REPRICE,
    BookOp.SET_RULES: CommandFlag.TAIL,
}


def split_commands(buffer: bytes) -> Iterator[tuple[Command, bytes]]:
    """Yield each command and its tail, empty when it has none or the bytes end before it."""
    at = 0
    while at < len(buffer):
        command = Command(*COMMAND_STRUCT.unpack_from(buffer, at))
        at += RECORD_BYTES
        tail = b""
        if command.flags & CommandFlag.TAIL:
            tail = buffer[at : at + RECORD_BYTES]
            at += RECORD_BYTES
        yield command, tail


class NaiveOrderBook:
    """One order book; the interface and the semantics are those of :class:`ext.order_book.OrderBook`."""

    def __init__(self) -> None:
        self._state = BookState()

    @property
    def phase(self) -> int:
        """The market phase (``Phase``)."""
        return int(self._state.phase)

    def apply(self, commands: Buffer) -> bytes:
        """Apply commands in order and return their events; see :class:`ext.order_book.OrderBook`."""
        buffer = bytes(memoryview(commands))
        if len(buffer) % RECORD_BYTES:
            raise ValueError(f"{len(buffer)} bytes are not whole commands of {RECORD_BYTES} bytes")
        return b"".join(self._apply_one(command, tail) for command, tail in split_commands(buffer))

    def levels(self, side: int) -> list[tuple[int, int, int]]:
        """Return (price_ticks, visible lots, orders) of each price of a side, best first."""
        if side not in list(Side):
            raise ValueError(f"{side} is not a side")
        return self._state.sides[Side(side)].prices()

    def leaves(self, order_id: int) -> int:
        """Return the lots of an order that still can fill; 0 when it is not here."""
        order = self._state.orders.get(order_id)
        return order.leaves_lots if order else 0

    def next_deadline_ns(self) -> int:
        """Return when an order or a call is due, 0 when nothing is."""
        return next_deadline_ns(self._state)

    def orders(self) -> bytes:
        """Return the orders (``ORDER_DTYPE``): resting buys, sells, stop buys, sells, each by priority."""
        return write_orders(self._state)

    def snapshot(self) -> bytes:
        """Return the whole state, equal for equal states of any implementation."""
        return write_book(self._state)

    def digest(self) -> bytes:
        """Return SHA-256 of :meth:`snapshot`."""
        return hashlib.sha256(self.snapshot()).digest()

    def restore(self, snapshot: Buffer) -> None:
        """Take the state of a snapshot; ValueError, and nothing changed, when it is none."""
        raw = bytes(memoryview(snapshot))
        try:
            assert (len(raw) - SNAPSHOT_STRUCT.size) % ORDER_STRUCT.size == 0
            state = read_book(raw)
            check_book(state)
            assert write_book(state) == raw
        except (AssertionError, struct.error, ValueError) as error:
            raise ValueError("not a snapshot of an order book") from error
        self._state = state

    def _check(self) -> None:
        """Walk every invariant; AssertionError names the first that does not hold."""
        check_book(self._state)

    def _apply_one(self, command: Command, tail: bytes) -> bytes:
        state = self._state
        try:
            self._dispatch(command, tail)
        except RejectedError as rejected:
            state.emit(BookEventKind.REJECTED, order_id=command.order_id, reason=rejected.reason)
            return state.take_events(command.book)
        state.flush()
        if state.reached:
            elect_stops(state)
        self._emit_indicative()
        return state.take_events(command.book)

    def _dispatch(self, command: Command, tail: bytes) -> None:
        require(bool(tail) or not command.flags & CommandFlag.TAIL, RejectReason.MISSING_TAIL)
        require(command.book == 0, RejectReason.UNKNOWN_BOOK)
        require(command.op in list(BookOp), RejectReason.UNKNOWN_OP)
        op = BookOp(command.op)
        allowed = _FLAGS.get(op, CommandFlag(0))
        require(not command.flags & ~int(allowed), RejectReason.RESERVED_NOT_ZERO)
        require(command.reserved == 0, RejectReason.RESERVED_NOT_ZERO)
        if op in _TAIL_HANDLERS:
            _TAIL_HANDLERS[op](self._state, command, tail)
        else:
            _HANDLERS[op](self._state, command)

    def _emit_indicative(self) -> None:
        state = self._state
        before, state.indicative = state.indicative, state.indicative_now()
        if state.phase is Phase.CALL and state.indicative != before:
            price, volume, surplus = state.indicative
            state.emit(BookEventKind.INDICATIVE, price_ticks=price, quantity_lots=volume, leaves_lots=surplus)
