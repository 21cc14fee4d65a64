"""What one run sends: planned commands of one or several tranches, in one order."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from venue.replay.plan import BUYERS, SELLERS, Plan, PlannedCommand, plan_tape
from venue.replay.tape import AuctionRow, FillRow, OrderRow
from venue.tranche_listing import Quotation

INVESTORS = BUYERS + SELLERS


class PriceUnit(NamedTuple):
    """How a tape writes prices: integers, ``tick`` of them to a price tick, ``per_point`` to 1 clean per
    100.
    """

    tick: int = 25
    per_point: int = 10_000

    @property
    def tick_size(self) -> str:
        """The price tick, clean per 100, as a decimal string."""
        return format((Decimal(self.tick) / self.per_point).normalize(), "f")


@dataclass(slots=True)
class Market:
    """One tranche of a run: its orders, and what must come of them.

    ``fills`` and ``auction`` are what a file says must come out; None: what the naive book says.
    """

    symbol: str
    orders: list[OrderRow]
    unit: PriceUnit
    fills: list[FillRow] | None = None
    auction: list[AuctionRow] | None = None
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        """Work the tape out; raises VenueError 903 for one that the book's rules refuse."""
        self.plan = plan_tape(self.orders, self.unit.tick)

    @property
    def quotation(self) -> Quotation:
        """How the tranche is quoted, so that the tape's prices are whole ticks of it."""
        tick = Decimal(self.unit.tick_size)
        highest = max((command.price_ticks for command in self.plan.commands), default=1)
        return Quotation(self.unit.tick_size, self.unit.tick_size, str(tick * 2 * highest))

    def expected_fills(self) -> list[FillRow]:
        """The fills of continuous trading that must come out, in order; orders and prices as the tape has
        them.
        """
        if self.fills is not None:
            return self.fills
        name, tick = self.plan.order_id_of_row, self.unit.tick
        return [
            FillRow(name[fill.taker_row], name[fill.maker_row], fill.price_ticks * tick, fill.lots)
            for fill in self.plan.expectation.fills
        ]

    def expected_auction(self) -> dict[int, int]:
        """What each order must get in the auction, by the tape's order id."""
        if self.auction is not None:
            return {row.order_id: row.quantity for row in self.auction}
        name = self.plan.order_id_of_row
        return {name[row]: lots for row, lots in self.plan.expectation.auction_lots.items()}


class FlowCommand(NamedTuple):
    """One command and the market it goes to."""

    market: Market
    command: PlannedCommand


@dataclass(slots=True)
class Flow:
    """A run's markets, and in which order their commands go; the place in ``commands`` numbers a
    command.
    """

    markets: list[Market]
    commands: list[FlowCommand]


def one_market(market: Market) -> Flow:
    """Return the flow of a single tape, in its order."""
    return Flow([market], [FlowCommand(market, command) for command in market.plan.commands])


def interleaved(markets: list[Market]) -> Flow:
    """Return a flow that takes one command of each market in turn, as long as they have any."""
    longest = max(len(market.plan.commands) for market in markets)
    commands = [
        FlowCommand(market, market.plan.commands[index])
        for index in range(longest)
        for market in markets
        if index < len(market.plan.commands)
    ]
    return Flow(markets, commands)
