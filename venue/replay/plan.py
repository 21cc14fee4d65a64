"""What a tape comes to on the wire, worked out beforehand on the naive book.

A tape says the new open quantity of a replaced order; the wire wants FIX's total quantity, which includes
what has filled by then. So the tape runs through :class:`ext.naive_order_book.NaiveOrderBook` first. The
same run tells which fills must come out and what each investor must have to be able to trade; it refuses a
tape that the book's rules refuse.

The orders of a tape carry no names: buy orders go round the buying investors, sell orders round the selling
ones, so that no investor ever meets himself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ext.book_records import (
    EVENT_STRUCT,
    BookEventFlag,
    BookEventKind,
    RejectReason,
    pack_add,
    pack_cancel,
    pack_replace,
    pack_set_phase,
    pack_uncross,
)
from ext.naive_order_book import NaiveOrderBook
from ext.records import Phase, Side, TimeInForce
from venue.problems import ProblemNumber, VenueError
from venue.replay.tape import OrderRow, TapeOp

BUYERS = 10
SELLERS = 10


class PlannedCommand(NamedTuple):
    """One command to send. ``row`` is its client order id.

    ``order_row`` is the row that placed the order concerned, ``version`` the version of the signed order (1
    for a place). ``total_lots`` is FIX OrderQty (38). ``investor`` counts from 0, buyers first. What the op
    does not use is 0 or None.
    """

    row: int
    op: TapeOp
    order_row: int
    investor: int
    side: Side | None
    price_ticks: int
    total_lots: int
    time_in_force: TimeInForce | None
    version: int
    phase: Phase | None


class ExpectedFill(NamedTuple):
    """One fill of continuous trading, orders by the row that placed them."""

    taker_row: int
    maker_row: int
    price_ticks: int
    lots: int


@dataclass(slots=True)
class Expectation:
    """What must come out: fills one by one, and what each order got in the auction."""

    fills: list[ExpectedFill] = field(default_factory=list)
    auction_lots: dict[int, int] = field(default_factory=dict)
    auction_price_ticks: int = 0
    auction_volume_lots: int = 0


class Holding(NamedTuple):
    """Most that an investor has open or filled at once: ``tick_lots`` is the sum of ticks times lots, for
    cash.
    """

    side: Side
    tick_lots: int
    lots: int


@dataclass(slots=True)
class Plan:
    """A tape ready to be sent: commands in order, what must come of them, and what each investor must
    hold.
    """

    commands: list[PlannedCommand]
    order_id_of_row: dict[int, int]
    expectation: Expectation
    holdings: list[Holding]


@dataclass(slots=True)
class _LiveOrder:
    row: int
    investor: int
    side: Side
    price_ticks: int
    leaves_lots: int
    cum_lots: int = 0
    version: int = 1


def plan_tape(rows: list[OrderRow], tick: int) -> Plan:
    """Work a tape out; ``tick`` is one price tick in the tape's price unit.

    Raises VenueError 903, naming the row, where a price is off the tick or the book's rules refuse a
    command. O(n log n).
    """
    planner = _Planner(tick)
    for row in rows:
        planner.take(row)
    return planner.plan()


class _Planner:
    def __init__(self, tick: int) -> None:
        self._tick = tick
        self._book = NaiveOrderBook()
        self._live: dict[int, _LiveOrder] = {}
        self._row_of_order_id: dict[int, int] = {}
        self._order_id_of_row: dict[int, int] = {}
        self._commands: list[PlannedCommand] = []
        self._expectation = Expectation()
        self._placed = {Side.BUY: 0, Side.SELL: 0}
        self._funds = [_Funds() for _ in range(BUYERS + SELLERS)]

    def plan(self) -> Plan:
        holdings = [
            Holding(Side.BUY if index < BUYERS else Side.SELL, funds.most_tick_lots, funds.most_lots)
            for index, funds in enumerate(self._funds)
        ]
        return Plan(self._commands, self._order_id_of_row, self._expectation, holdings)

    def take(self, row: OrderRow) -> None:
        steps = {
            TapeOp.PHASE: self._phase,
            TapeOp.NEW: self._new,
            TapeOp.CANCEL: self._cancel,
            TapeOp.REPLACE: self._replace,
        }
        steps[row.op](row)

    def _phase(self, row: OrderRow) -> None:
        assert row.phase is not None
        if row.phase is Phase.CONTINUOUS and self._book.phase == Phase.CALL:
            self._apply(row, pack_uncross())
        self._apply(row, pack_set_phase(row.phase))
        self._commands.append(PlannedCommand(row.row, row.op, 0, 0, None, 0, 0, None, 0, row.phase))

    def _new(self, row: OrderRow) -> None:
        assert row.side is not None
        assert row.time_in_force is not None
        if self._row_of_order_id.get(row.order_id) in self._live:
            raise _refused(row, f"order {row.order_id} is open already")
        order = _LiveOrder(row.row, self._next_investor(row.side), row.side, self._ticks(row), row.quantity)
        self._row_of_order_id[row.order_id] = row.row
        self._order_id_of_row[row.row] = row.order_id
        self._live[row.row] = order
        self._remember(row, order, row.quantity, row.time_in_force)
        self._earmark(order, row.quantity)
        self._apply(row, pack_add(row.row, row.side, order.price_ticks, row.quantity, row.time_in_force))

    def _cancel(self, row: OrderRow) -> None:
        order = self._find(row)
        self._remember(row, order, 0, None)
        self._apply(row, pack_cancel(order.row))

    def _replace(self, row: OrderRow) -> None:
        order = self._find(row)
        self._earmark(order, -order.leaves_lots)
        order.price_ticks, order.leaves_lots = self._ticks(row), row.quantity
        order.version += 1
        total_lots = order.cum_lots + row.quantity
        self._remember(row, order, total_lots, row.time_in_force)
        self._earmark(order, order.leaves_lots)
        self._apply(row, pack_replace(order.row, order.price_ticks, total_lots))

    def _ticks(self, row: OrderRow) -> int:
        ticks, rest = divmod(row.price, self._tick)
        if rest:
            raise _refused(row, f"price {row.price} is off the tick of {self._tick}")
        return ticks

    def _next_investor(self, side: Side) -> int:
        placed = self._placed[side]
        self._placed[side] = placed + 1
        return placed % BUYERS if side is Side.BUY else BUYERS + placed % SELLERS

    def _find(self, row: OrderRow) -> _LiveOrder:
        order = self._live.get(self._row_of_order_id.get(row.order_id, 0))
        if order is None:
            raise _refused(row, f"order {row.order_id} is not open")
        return order

    def _remember(self, row: OrderRow, order: _LiveOrder, total_lots: int, tif: TimeInForce | None) -> None:
        price_ticks = order.price_ticks if total_lots else 0
        self._commands.append(
            PlannedCommand(
                row.row,
                row.op,
                order.row,
                order.investor,
                order.side,
                price_ticks,
                total_lots,
                tif,
                order.version,
                None,
            )
        )

    def _earmark(self, order: _LiveOrder, lots: int) -> None:
        self._funds[order.investor].earmark(lots * order.price_ticks, lots)

    def _apply(self, row: OrderRow, command: bytes) -> None:
        for event in EVENT_STRUCT.iter_unpack(self._book.apply(command)):
            kind, _, reason, flags, order_id, other_id, price_ticks, lots = event[:8]
            if kind == BookEventKind.REJECTED:
                raise _refused(row, RejectReason(reason).name.lower())
            if kind == BookEventKind.UNCROSSED:
                self._expectation.auction_price_ticks = price_ticks
                self._expectation.auction_volume_lots = lots
            elif kind == BookEventKind.FILL:
                self._fill(order_id, other_id, price_ticks, lots, bool(flags & BookEventFlag.AUCTION))
            elif kind == BookEventKind.CANCELLED:
                self._close(order_id)

    def _fill(self, order_id: int, other_id: int, price_ticks: int, lots: int, auction: bool) -> None:
        if auction:
            for row in (order_id, other_id):
                got = self._expectation.auction_lots
                got[row] = got.get(row, 0) + lots
        else:
            self._expectation.fills.append(ExpectedFill(order_id, other_id, price_ticks, lots))
        for row in (order_id, other_id):
            self._fill_one(self._live[row], lots)

    def _fill_one(self, order: _LiveOrder, lots: int) -> None:
        order.leaves_lots -= lots
        order.cum_lots += lots
        if not order.leaves_lots:
            del self._live[order.row]

    def _close(self, row: int) -> None:
        order = self._live.pop(row)
        self._earmark(order, -order.leaves_lots)


@dataclass(slots=True)
class _Funds:
    """What an investor has earmarked or spent: a fill at a better price still counts at the order's, never
    less than true.
    """

    tick_lots: int = 0
    lots: int = 0
    most_tick_lots: int = 0
    most_lots: int = 0

    def earmark(self, tick_lots: int, lots: int) -> None:
        self.tick_lots += tick_lots
        self.lots += lots
        self.most_tick_lots = max(self.most_tick_lots, self.tick_lots)
        self.most_lots = max(self.most_lots, self.lots)


def _refused(row: OrderRow, why: str) -> VenueError:
    return VenueError(ProblemNumber.FILE_MALFORMED, f"row {row.row} ({row.op} {row.order_id}): {why}")
