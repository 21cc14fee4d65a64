"""`abst demo`: generated order flow over several tranches, so that nothing but the program is needed.

The flow of a tranche: a call with orders around a mid price, the uncross, then continuous trading in which
most orders are passive, some are cancelled or replaced, some take. The same seed gives the same flow,
prices far apart for different tranches.
"""

from __future__ import annotations

from random import Random

import numpy as np

from ext.book_records import ORDER_DTYPE, pack_add, pack_cancel, pack_replace, pack_set_phase, pack_uncross
from ext.naive_order_book import NaiveOrderBook
from ext.records import Phase, Side, TimeInForce
from venue.replay.flow import Flow, Market, PriceUnit, interleaved
from venue.replay.tape import OrderRow, TapeOp

CALL_SHARE = 0.15
_UNIT = PriceUnit(tick=25, per_point=10_000)
_NAMES = ("SENIOR", "MEZZANINE", "JUNIOR", "INCOME", "USUFRUCT", "RESIDUAL")
_LOTS_MAX = 40
_DISTANCE_TICKS_MAX = 12


def demo_flow(tranches: int, commands: int, seed: int) -> tuple[Flow, str]:
    """Return a flow of ``commands`` commands in each of up to six tranches, and what to recognise it by."""
    markets = [
        Market(
            name, generate_orders(Random(f"{seed} {name}"), commands, mid_ticks=39_600 - 4_000 * index), _UNIT
        )
        for index, name in enumerate(_NAMES[:tranches])
    ]
    return interleaved(markets), f"demo {tranches} x {commands}, seed {seed}"


def generate_orders(random: Random, commands: int, mid_ticks: int) -> list[OrderRow]:
    """Return so many rows of a tape, phases included; every one of them is accepted by the book's rules."""
    generator = _Generator(random, mid_ticks)
    generator.phase(Phase.CALL)
    while len(generator.rows) < commands * CALL_SHARE:
        generator.new(crossing=random.random() < 0.3)
    generator.phase(Phase.CONTINUOUS)
    while len(generator.rows) < commands:
        generator.any()
    return generator.rows


class _Generator:
    """Keeps a book of its own, to know which orders are still open."""

    def __init__(self, random: Random, mid_ticks: int) -> None:
        self.rows: list[OrderRow] = []
        self._random = random
        self._mid_ticks = mid_ticks
        self._book = NaiveOrderBook()
        self._open: dict[int, Side] = {}

    def phase(self, phase: Phase) -> None:
        if phase is Phase.CONTINUOUS:
            self._book.apply(pack_uncross())
        self._book.apply(pack_set_phase(phase))
        self._add(TapeOp.PHASE, phase=phase)

    def any(self) -> None:
        """One more command: new 60 %, of which a quarter takes; cancel 22 %, replace 18 % of what is
        open.
        """
        self._mid_ticks += self._random.choice((0,) * 30 + (-1, 1))
        self._open = {order: side for order, side in self._open.items() if self._book.leaves(order)}
        kind = self._random.random()
        if kind < 0.6 or not self._open:
            self.new(crossing=self._random.random() < 0.25)
        elif kind < 0.82:
            self._cancel()
        else:
            self._replace()

    def new(self, crossing: bool) -> None:
        order_id, side = len(self.rows) + 1, self._random.choice(list(Side))
        takes_now = crossing and self._book.phase == Phase.CONTINUOUS and self._random.random() < 0.5
        time_in_force = TimeInForce.IOC if takes_now else TimeInForce.GTC
        ticks, lots = self._price(side, crossing), self._random.randint(1, _LOTS_MAX)
        self._book.apply(pack_add(order_id, side, ticks, lots, time_in_force))
        self._add(TapeOp.NEW, order_id, side, ticks, lots, time_in_force)
        self._open[order_id] = side

    def _cancel(self) -> None:
        order_id = self._random.choice(list(self._open))
        self._book.apply(pack_cancel(order_id))
        self._add(TapeOp.CANCEL, order_id)

    def _replace(self) -> None:
        order_id = self._random.choice(list(self._open))
        side, open_lots = self._open[order_id], self._book.leaves(order_id)
        filled = self._filled(order_id)
        ticks, lots = self._price(side, crossing=False), max(1, open_lots + self._random.randint(-5, 5))
        self._book.apply(pack_replace(order_id, ticks, filled + lots))
        self._add(TapeOp.REPLACE, order_id, side, ticks, lots, TimeInForce.GTC)

    def _filled(self, order_id: int) -> int:
        orders = np.frombuffer(self._book.orders(), ORDER_DTYPE)
        return int(orders["cum_lots"][orders["order_id"] == order_id][0])

    def _price(self, side: Side, crossing: bool) -> int:
        distance = min(_DISTANCE_TICKS_MAX, int(self._random.paretovariate(1.2)))
        towards = 1 if (side is Side.BUY) == crossing else -1
        return self._mid_ticks + towards * distance

    def _add(
        self,
        op: TapeOp,
        order_id: int = 0,
        side: Side | None = None,
        ticks: int = 0,
        lots: int = 0,
        time_in_force: TimeInForce | None = None,
        phase: Phase | None = None,
    ) -> None:
        price = ticks * _UNIT.tick
        self.rows.append(OrderRow(len(self.rows) + 1, op, order_id, side, price, lots, time_in_force, phase))
