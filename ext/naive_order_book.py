"""The order book in obvious code: the oracle that the fast book is tested against.

Same interface, same bytes out, no care for speed.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ext.book_records import (
    COMMAND_STRUCT,
    EVENT_STRUCT,
    ORDER_ID_MAX,
    ORDER_STRUCT,
    PRICE_TICKS_MAX,
    QUANTITY_LOTS_MAX,
    RECORD_BYTES,
    SNAPSHOT_MAGIC,
    SNAPSHOT_STRUCT,
    BookEventFlag,
    BookEventKind,
    BookOp,
    CancelReason,
    Phase,
    RejectReason,
    Side,
    TimeInForce,
)
from ext.naive_book_side import BookSide, Order
from ext.naive_call_auction import equilibrium

if TYPE_CHECKING:
    from typing_extensions import Buffer


@dataclass(slots=True)
class _Command:
    op: int
    side: int
    time_in_force: int
    phase: int
    flags: int
    order_id: int
    price_ticks: int
    quantity_lots: int
    reference_price_ticks: int
    reserved_0: int
    reserved_1: int
    reserved_2: int


class _RejectedError(Exception):
    def __init__(self, reason: RejectReason) -> None:
        self.reason = reason


class NaiveOrderBook:
    """One order book; the interface and the semantics are those of :class:`ext.order_book.OrderBook`."""

    def __init__(self) -> None:
        self._phase = Phase.CLOSED
        self._reference_price_ticks = 0
        self._indicative = (0, 0, 0)
        self._sides = {side: BookSide(side) for side in Side}
        self._orders: dict[int, Order] = {}
        self._total_lots = dict.fromkeys(Side, 0)
        self._events: list[list[int]] = []
        self._changed: dict[tuple[Side, int], None] = {}

    @property
    def phase(self) -> int:
        """The market phase (``Phase``)."""
        return int(self._phase)

    def apply(self, commands: Buffer) -> bytes:
        """Apply commands in order and return their events; see :class:`ext.order_book.OrderBook`."""
        buffer = bytes(memoryview(commands))
        if len(buffer) % RECORD_BYTES:
            raise ValueError(f"{len(buffer)} bytes are not whole commands of {RECORD_BYTES} bytes")
        return b"".join(self._apply_one(_Command(*fields)) for fields in COMMAND_STRUCT.iter_unpack(buffer))

    def levels(self, side: int) -> list[tuple[int, int, int]]:
        """Return (price_ticks, lots, orders) of each price of a side, best first."""
        if side not in list(Side):
            raise ValueError(f"{side} is not a side")
        return self._sides[Side(side)].levels()

    def leaves(self, order_id: int) -> int:
        """Return the lots of an order that still can fill; 0 when it does not rest here."""
        order = self._orders.get(order_id)
        return order.leaves_lots if order else 0

    def orders(self) -> bytes:
        """Return the resting orders (``ORDER_DTYPE``), buys then sells, each side by priority."""
        return b"".join(
            ORDER_STRUCT.pack(
                order.order_id, order.price_ticks, order.leaves_lots, order.cum_lots, order.side, bytes(31)
            )
            for side in Side
            for order in self._sides[side]
        )

    def snapshot(self) -> bytes:
        """Return the whole state, equal for equal states of any implementation."""
        buys, sells = (sum(1 for _ in self._sides[side]) for side in Side)
        head = (SNAPSHOT_MAGIC, self._phase, self._reference_price_ticks, buys, sells, bytes(24))
        return SNAPSHOT_STRUCT.pack(*head) + self.orders()

    def digest(self) -> bytes:
        """Return SHA-256 of :meth:`snapshot`."""
        return hashlib.sha256(self.snapshot()).digest()

    def restore(self, snapshot: Buffer) -> None:
        """Take the state of a snapshot; ValueError, and nothing changed, when it is none."""
        book = NaiveOrderBook()
        state = bytes(memoryview(snapshot))
        try:
            book._load(state)
            book._check()
        except (AssertionError, struct.error, ValueError) as error:
            raise ValueError("not a snapshot of an order book") from error
        if book.snapshot() != state:
            raise ValueError("not a snapshot of an order book")
        self.__dict__.update(book.__dict__)

    def _load(self, snapshot: bytes) -> None:
        _, phase, self._reference_price_ticks, _, _, _ = SNAPSHOT_STRUCT.unpack_from(snapshot)
        self._phase = Phase(phase)
        for order_id, price, leaves, cum, side, _ in ORDER_STRUCT.iter_unpack(snapshot[RECORD_BYTES:]):
            assert order_id not in self._orders
            self._rest(Order(order_id, Side(side), price, leaves, cum))
        self._changed.clear()
        self._indicative = self._indicative_now()

    def _check(self) -> None:
        """Walk every invariant; AssertionError names the first that does not hold."""
        assert 0 <= self._reference_price_ticks <= PRICE_TICKS_MAX
        assert self._indicative == self._indicative_now()
        for order_id, order in self._orders.items():
            assert order_id == order.order_id
            assert 0 < order_id <= ORDER_ID_MAX
            assert 0 < order.price_ticks <= PRICE_TICKS_MAX
            assert order.leaves_lots > 0
            assert 0 <= order.cum_lots <= QUANTITY_LOTS_MAX - order.leaves_lots
        for side, book_side in self._sides.items():
            assert all(self._orders[order.order_id] is order for order in book_side)
            assert self._total_lots[side] == book_side.total_lots() <= QUANTITY_LOTS_MAX
            assert all(lots and orders for _, lots, orders in book_side.levels())
        assert sum(1 for side in Side for _ in self._sides[side]) == len(self._orders)
        assert self._phase is not Phase.CONTINUOUS or not self._is_crossed()

    # -- one command

    def _apply_one(self, command: _Command) -> bytes:
        self._events, self._changed = [], {}
        try:
            self._dispatch(command)
        except _RejectedError as rejected:
            self._emit(BookEventKind.REJECTED, order_id=command.order_id, reason=rejected.reason)
        for side, price_ticks in self._changed:
            lots, orders = self._sides[side].level(price_ticks)
            self._emit(
                BookEventKind.LEVEL, side=side, price_ticks=price_ticks, quantity_lots=lots, orders=orders
            )
        self._emit_indicative()
        self._events[-1][3] |= BookEventFlag.LAST
        return b"".join(EVENT_STRUCT.pack(*event) for event in self._events)

    def _dispatch(self, command: _Command) -> None:
        handlers = {
            BookOp.ADD: self._add,
            BookOp.CANCEL: self._cancel,
            BookOp.REPLACE: self._replace,
            BookOp.SET_PHASE: self._set_phase,
            BookOp.UNCROSS: self._uncross,
        }
        _require(command.op in handlers, RejectReason.UNKNOWN_OP)
        reserved = command.flags | command.reserved_0 | command.reserved_1 | command.reserved_2
        _require(reserved == 0, RejectReason.RESERVED_NOT_ZERO)
        handlers[BookOp(command.op)](command)

    def _add(self, command: _Command) -> None:
        self._check_add(command)
        order = Order(
            command.order_id, Side(command.side), command.price_ticks, command.quantity_lots, cum_lots=0
        )
        if self._phase is Phase.CONTINUOUS:
            self._match(order)
        if not order.leaves_lots:
            return
        if command.time_in_force == TimeInForce.IOC:
            self._emit_cancelled(order, CancelReason.IOC_REMAINDER)
        else:
            self._rest(order)
            self._emit_order(BookEventKind.ADDED, order, quantity_lots=command.quantity_lots)

    def _check_add(self, command: _Command) -> None:
        _require(self._phase in (Phase.CALL, Phase.CONTINUOUS), RejectReason.WRONG_PHASE)
        _require(command.side in list(Side), RejectReason.UNKNOWN_SIDE)
        _require(command.time_in_force in list(TimeInForce), RejectReason.UNKNOWN_TIME_IN_FORCE)
        ioc = command.time_in_force == TimeInForce.IOC
        _require(not (ioc and self._phase is Phase.CALL), RejectReason.IOC_IN_CALL)
        _require(0 < command.order_id <= ORDER_ID_MAX, RejectReason.BAD_ORDER_ID)
        _require_price_and_quantity(command)
        _require(command.order_id not in self._orders, RejectReason.DUPLICATE_ORDER_ID)
        self._require_room(Side(command.side), command.quantity_lots)

    def _cancel(self, command: _Command) -> None:
        order = self._find(command)
        self._remove(order)
        self._emit_cancelled(order, CancelReason.BY_REQUEST)

    def _replace(self, command: _Command) -> None:
        _require(self._phase in (Phase.CALL, Phase.CONTINUOUS), RejectReason.WRONG_PHASE)
        _require_price_and_quantity(command)
        order = self._find(command)
        leaves_lots = command.quantity_lots - order.cum_lots
        if leaves_lots <= 0:
            self._remove(order)
            self._emit_cancelled(order, CancelReason.QUANTITY_NOT_ABOVE_FILLED)
            return
        self._require_room(order.side, leaves_lots - order.leaves_lots)
        if command.price_ticks == order.price_ticks and leaves_lots <= order.leaves_lots:
            self._reduce(order, command.quantity_lots)
        else:
            self._requeue(order, command)

    def _reduce(self, order: Order, quantity_lots: int) -> None:
        leaves_lots = quantity_lots - order.cum_lots
        if leaves_lots != order.leaves_lots:
            self._changed[order.side, order.price_ticks] = None
        self._total_lots[order.side] += leaves_lots - order.leaves_lots
        order.leaves_lots = leaves_lots
        self._emit_order(
            BookEventKind.REPLACED, order, quantity_lots=quantity_lots, flags=BookEventFlag.PRIORITY_KEPT
        )

    def _requeue(self, order: Order, command: _Command) -> None:
        self._remove(order)
        order.price_ticks = command.price_ticks
        order.leaves_lots = command.quantity_lots - order.cum_lots
        self._emit_order(BookEventKind.REPLACED, order, quantity_lots=command.quantity_lots)
        if self._phase is Phase.CONTINUOUS:
            self._match(order)
        if order.leaves_lots:
            self._rest(order)

    def _set_phase(self, command: _Command) -> None:
        reference = command.reference_price_ticks
        _require(command.phase in list(Phase), RejectReason.UNKNOWN_PHASE)
        _require(0 <= reference <= PRICE_TICKS_MAX, RejectReason.BAD_PRICE)
        if command.phase == Phase.CONTINUOUS:
            _require(not self._is_crossed(), RejectReason.BOOK_CROSSED)
        self._phase = Phase(command.phase)
        self._reference_price_ticks = reference or self._reference_price_ticks
        self._emit(BookEventKind.PHASE, reason=self._phase, price_ticks=self._reference_price_ticks)

    # -- matching

    def _match(self, taker: Order) -> None:
        makers = self._sides[_opposite(taker.side)]
        while taker.leaves_lots and makers.reaches(taker.price_ticks):
            maker = makers.first()
            assert maker is not None
            last_lots = min(taker.leaves_lots, maker.leaves_lots)
            self._fill_resting(maker, last_lots)
            taker.leaves_lots -= last_lots
            taker.cum_lots += last_lots
            self._emit_fill(taker, maker, maker.price_ticks, last_lots)

    def _fill_resting(self, order: Order, last_lots: int) -> None:
        order.leaves_lots -= last_lots
        order.cum_lots += last_lots
        self._total_lots[order.side] -= last_lots
        self._changed[order.side, order.price_ticks] = None
        if not order.leaves_lots:
            self._remove(order)

    def _rest(self, order: Order) -> None:
        self._orders[order.order_id] = order
        self._sides[order.side].append(order)
        self._total_lots[order.side] += order.leaves_lots
        self._changed[order.side, order.price_ticks] = None

    def _remove(self, order: Order) -> None:
        del self._orders[order.order_id]
        self._sides[order.side].remove(order)
        self._total_lots[order.side] -= order.leaves_lots
        self._changed[order.side, order.price_ticks] = None

    def _find(self, command: _Command) -> Order:
        order = self._orders.get(command.order_id)
        if order is None:
            raise _RejectedError(RejectReason.UNKNOWN_ORDER)
        return order

    def _require_room(self, side: Side, more_lots: int) -> None:
        _require(self._total_lots[side] + more_lots <= QUANTITY_LOTS_MAX, RejectReason.QUANTITY_OVERFLOW)

    def _is_crossed(self) -> bool:
        buy = self._sides[Side.BUY].first()
        return buy is not None and self._sides[Side.SELL].reaches(buy.price_ticks)

    # -- call auction

    def _uncross(self, command: _Command) -> None:
        _require(self._phase is Phase.CALL, RejectReason.WRONG_PHASE)
        reference = command.reference_price_ticks
        _require(0 <= reference <= PRICE_TICKS_MAX, RejectReason.BAD_PRICE)
        price, volume, surplus = self._equilibrium(reference or self._reference_price_ticks)
        self._emit(BookEventKind.UNCROSSED, price_ticks=price, quantity_lots=volume, leaves_lots=surplus)
        while volume:
            volume -= self._fill_first_pair(price, volume)

    def _fill_first_pair(self, price_ticks: int, volume: int) -> int:
        buy, sell = (self._sides[side].first() for side in Side)
        assert buy is not None
        assert sell is not None
        last_lots = min(volume, buy.leaves_lots, sell.leaves_lots)
        self._fill_resting(buy, last_lots)
        self._fill_resting(sell, last_lots)
        self._emit_fill(buy, sell, price_ticks, last_lots, BookEventFlag.AUCTION)
        return last_lots

    def _equilibrium(self, reference_price_ticks: int) -> tuple[int, int, int]:
        return equilibrium(self.levels(Side.BUY), self.levels(Side.SELL), reference_price_ticks)

    def _indicative_now(self) -> tuple[int, int, int]:
        return self._equilibrium(self._reference_price_ticks) if self._phase is Phase.CALL else (0, 0, 0)

    # -- events

    def _emit(self, kind: BookEventKind, **fields: int) -> None:
        names = (
            "side", "reason", "flags", "order_id", "other_order_id", "price_ticks", "quantity_lots",
            "leaves_lots", "other_leaves_lots", "orders",
        )  # fmt: skip
        self._events.append([kind, *(fields.get(name, 0) for name in names), 0])

    def _emit_order(self, kind: BookEventKind, order: Order, **fields: int) -> None:
        self._emit(
            kind,
            side=order.side,
            order_id=order.order_id,
            price_ticks=order.price_ticks,
            leaves_lots=order.leaves_lots,
            **fields,
        )

    def _emit_cancelled(self, order: Order, reason: CancelReason) -> None:
        cancelled_lots, order.leaves_lots = order.leaves_lots, 0
        self._emit_order(BookEventKind.CANCELLED, order, quantity_lots=cancelled_lots, reason=reason)

    def _emit_fill(
        self, order: Order, other: Order, price_ticks: int, last_lots: int, flags: int = 0
    ) -> None:
        self._emit(
            BookEventKind.FILL,
            side=order.side,
            flags=flags,
            order_id=order.order_id,
            other_order_id=other.order_id,
            price_ticks=price_ticks,
            quantity_lots=last_lots,
            leaves_lots=order.leaves_lots,
            other_leaves_lots=other.leaves_lots,
        )

    def _emit_indicative(self) -> None:
        before, self._indicative = self._indicative, self._indicative_now()
        if self._phase is Phase.CALL and self._indicative != before:
            price, volume, surplus = self._indicative
            self._emit(BookEventKind.INDICATIVE, price_ticks=price, quantity_lots=volume, leaves_lots=surplus)


def _opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def _require(condition: bool, reason: RejectReason) -> None:
    if not condition:
        raise _RejectedError(reason)


def _require_price_and_quantity(command: _Command) -> None:
    _require(0 < command.price_ticks <= PRICE_TICKS_MAX, RejectReason.BAD_PRICE)
    _require(command.quantity_lots > 0, RejectReason.BAD_QUANTITY)
