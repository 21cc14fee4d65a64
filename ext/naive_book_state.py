"""The state of the naive book, and what every change of it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ext.book_records import (
    EVENT_STRUCT,
    QUANTITY_LOTS_MAX,
    BookEventFlag,
    BookEventKind,
    CancelReason,
    Phase,
    RejectReason,
    Side,
)
from ext.naive_book_side import BookSide, Order, StopSide
from ext.naive_call_auction import equilibrium


class RejectedError(Exception):
    """The command is refused; the book is as it was."""

    def __init__(self, reason: RejectReason) -> None:
        self.reason = reason


def require(condition: bool, reason: RejectReason) -> None:
    """Refuse the command unless the condition holds."""
    if not condition:
        raise RejectedError(reason)


def opposite(side: Side) -> Side:
    """Return the other side."""
    return Side.SELL if side is Side.BUY else Side.BUY


@dataclass(slots=True, frozen=True)
class Rules:
    """The rules of a book; see ``RULES_TAIL_DTYPE``."""

    static_collar_ticks: int = 0
    dynamic_collar_ticks: int = 0
    interruption_ns: int = 0
    random_end_ns: int = 0
    minimum_allocation_lots: int = 0
    seed: int = 0
    allocation: int = 0
    flags: int = 0
    reserved: int = 0


class BookState:
    """Orders, phase, rules and time of one book, and the events of the command under way."""

    def __init__(self) -> None:
        self.phase = Phase.CLOSED
        self.rules = Rules()
        self.reference_price_ticks = 0
        self.last_price_ticks = 0
        self.reached: set[int] = set()
        self.now_ns = 0
        self.call_end_ns = 0
        self.random_state = 0
        self.indicative = (0, 0, 0)
        self.sides = {side: BookSide(side) for side in Side}
        self.stops = {side: StopSide(side) for side in Side}
        self.orders: dict[int, Order] = {}
        self.total_lots = dict.fromkeys(Side, 0)
        self.events: list[list[int]] = []
        self.changed: dict[tuple[Side, int], None] = {}

    # -- orders

    def rest(self, order: Order) -> None:
        """Let an order rest at the back of the queue at its price."""
        order.show()
        self.orders[order.order_id] = order
        self.total_lots[order.side] += order.leaves_lots
        self.sides[order.side].append(order)
        self.touch(order)

    def wait(self, order: Order) -> None:
        """Let a stop order wait for its stop price."""
        self.orders[order.order_id] = order
        self.total_lots[order.side] += order.leaves_lots
        self.stops[order.side].append(order)

    def remove(self, order: Order) -> None:
        """Take an order out, resting or waiting."""
        del self.orders[order.order_id]
        self.total_lots[order.side] -= order.leaves_lots
        if order.is_stop:
            self.stops[order.side].remove(order)
            return
        self.sides[order.side].remove(order)
        self.touch(order)

    def reduce(self, order: Order, lots: int) -> None:
        """Take visible lots off a resting order; when none is left it is refilled or goes."""
        order.leaves_lots -= lots
        order.visible_lots -= lots
        self.total_lots[order.side] -= lots
        self.touch(order)

    def settle(self, order: Order) -> None:
        """Refill or take out a resting order of which nothing is visible any more."""
        if order.visible_lots:
            return
        self.remove(order)
        if order.leaves_lots:
            self.rest(order)
            self.emit_order(BookEventKind.REFILLED, order)

    def end(self, order: Order, reason: CancelReason) -> None:
        """Cancel an order, resting or waiting."""
        self.remove(order)
        self.emit_cancelled(order, reason)

    def touch(self, order: Order) -> None:
        """Note that an order's price changes."""
        self.changed[order.side, order.price_ticks] = None

    def require_room(self, side: Side, more_lots: int) -> None:
        """Refuse more lots than a side can hold."""
        require(self.total_lots[side] + more_lots <= QUANTITY_LOTS_MAX, RejectReason.QUANTITY_OVERFLOW)

    def would_trade(self, side: Side, price_ticks: int) -> bool:
        """Whether an order would meet another at once."""
        return self.sides[opposite(side)].reaches(price_ticks)

    def is_crossed(self) -> bool:
        """Whether the best buy and the best sell would trade."""
        buy = self.sides[Side.BUY].first()
        return buy is not None and self.sides[Side.SELL].reaches(buy.price_ticks)

    def note_trade(self, price_ticks: int) -> None:
        """Note a trade's price for stop orders and collars."""
        self.last_price_ticks = price_ticks
        self.reached.add(price_ticks)

    def equilibrium(self, reference_price_ticks: int) -> tuple[int, int, int]:
        """Return price, volume and surplus of an uncross now."""
        buys, sells = self.sides[Side.BUY].totals(), self.sides[Side.SELL].totals()
        return equilibrium(buys, sells, reference_price_ticks)

    def indicative_now(self) -> tuple[int, int, int]:
        """Return what INDICATIVE says, all 0 outside a call."""
        return self.equilibrium(self.reference_price_ticks) if self.phase is Phase.CALL else (0, 0, 0)

    # -- events

    def emit(self, kind: BookEventKind, **fields: int) -> None:
        """Write an event."""
        names = (
            "side", "reason", "flags", "order_id", "other_order_id", "price_ticks", "quantity_lots",
            "leaves_lots", "other_leaves_lots", "orders", "book",
        )  # fmt: skip
        self.events.append([kind, *(fields.get(name, 0) for name in names)])

    def emit_order(self, kind: BookEventKind, order: Order, flags: int = 0) -> None:
        """Say how an order is now."""
        self.emit(
            kind,
            side=order.side,
            flags=flags | (BookEventFlag.STOP if order.is_stop else 0),
            order_id=order.order_id,
            price_ticks=order.price_ticks,
            quantity_lots=order.leaves_lots + order.cum_lots,
            leaves_lots=order.leaves_lots,
            other_leaves_lots=order.visible_lots,
        )

    def emit_cancelled(self, order: Order, reason: CancelReason) -> None:
        """Say that an order ends with what it leaves."""
        self.emit(
            BookEventKind.CANCELLED,
            side=order.side,
            reason=reason,
            order_id=order.order_id,
            price_ticks=order.price_ticks,
            quantity_lots=order.leaves_lots,
        )

    def emit_fill(self, order: Order, other: Order, price_ticks: int, last_lots: int, flags: int = 0) -> None:
        """Say that two orders traded."""
        if order.owner and order.owner == other.owner:
            flags |= BookEventFlag.SAME_OWNER
        self.emit_pair(BookEventKind.FILL, order, other, price_ticks, last_lots, flags=flags)

    def emit_pair(
        self, kind: BookEventKind, order: Order, other: Order, price_ticks: int, lots: int, **more: Any
    ) -> None:
        """Write an event of two orders."""
        self.emit(
            kind,
            side=order.side,
            order_id=order.order_id,
            other_order_id=other.order_id,
            price_ticks=price_ticks,
            quantity_lots=lots,
            leaves_lots=order.leaves_lots,
            other_leaves_lots=other.leaves_lots,
            **more,
        )

    def emit_phase(self, flags: int = 0) -> None:
        """Say which phase it is."""
        self.emit(BookEventKind.PHASE, reason=self.phase, price_ticks=self.reference_price_ticks, flags=flags)

    def flush(self) -> None:
        """End a step: say how the prices stand that it changed."""
        for side, price_ticks in self.changed:
            lots, orders = self.sides[side].level(price_ticks)
            self.emit(
                BookEventKind.LEVEL, side=side, price_ticks=price_ticks, quantity_lots=lots, orders=orders
            )
        self.changed = {}

    def take_events(self, book: int) -> bytes:
        """Return the events of the command, its last flagged."""
        events, self.events = self.events, []
        events[-1][3] |= BookEventFlag.LAST
        return b"".join(EVENT_STRUCT.pack(*event[:-1], book) for event in events)
