"""What came out of a run, read back through the venue's API, and whether it is what had to come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from gateway.client import VenueClient
from venue.problems import ProblemNumber, VenueError
from venue.replay.flow import Market
from venue.replay.tape import FillRow

_AUCTION = "auction"


class VenueFill(NamedTuple):
    """A fill as the venue tells it to both sides; ``price`` a decimal string, orders by the venue's order
    id.
    """

    number: int
    buy_order: int
    sell_order: int
    price: str
    lots: int
    aggressor: str
    matched_at_ns: int


@dataclass(slots=True)
class MarketOutcome:
    """What came out of one market: continuous fills in order and auction lots per order, both in the tape's
    own ids.
    """

    fills: list[FillRow] = field(default_factory=list)
    auction: dict[int, int] = field(default_factory=dict)
    auction_prices: set[int] = field(default_factory=set)
    auction_volume_lots: int = 0
    first_difference: str = ""

    @property
    def equal(self) -> bool:
        """Whether every fill is what had to come out."""
        return not self.first_difference


async def read_fills(session: VenueClient, accounts: Sequence[int], symbol: str) -> list[VenueFill]:
    """Read a market's fills, in the order in which they matched, from both sides of each.

    Raises VenueError 914 when the two sides of a fill are not both there or differ.
    """
    sides: dict[int, dict[str, dict[str, Any]]] = {}
    for account in accounts:
        for row in await session.fills(account, symbol):
            sides.setdefault(row["fill_number"], {})[row["side"]] = row
    return [_joined(number, sides[number]) for number in sorted(sides)]


async def read_order_rows(session: VenueClient, accounts: Sequence[int], symbol: str) -> dict[int, int]:
    """Return, for every order id of a market, the tape's row that placed the order: its client order id."""
    orders = [order for account in accounts for order in await session.orders(account, symbol)]
    return {order.order_id: int(order.original_client_order_id) for order in orders}


def compare(market: Market, fills: Sequence[VenueFill], row_of_order: dict[int, int]) -> MarketOutcome:
    """Put what came out beside what had to, fill by fill."""
    name, unit = market.plan.order_id_of_row, market.unit
    outcome = MarketOutcome()
    for fill in fills:
        buy, sell = name[row_of_order[fill.buy_order]], name[row_of_order[fill.sell_order]]
        price = int(Decimal(fill.price) * unit.per_point)
        if fill.aggressor == _AUCTION:
            outcome.auction_prices.add(price)
            outcome.auction_volume_lots += fill.lots
            for order in (buy, sell):
                outcome.auction[order] = outcome.auction.get(order, 0) + fill.lots
        else:
            taker, maker = (buy, sell) if fill.aggressor == "buy" else (sell, buy)
            outcome.fills.append(FillRow(taker, maker, price, fill.lots))
    outcome.first_difference = _first_difference(market, outcome)
    return outcome


def _joined(number: int, sides: dict[str, dict[str, Any]]) -> VenueFill:
    buy, sell = sides.get("buy"), sides.get("sell")
    same = ("price", "quantity", "amount", "aggressor", "matched_at_ns")
    if buy is None or sell is None or any(buy[key] != sell[key] for key in same):
        raise VenueError(
            ProblemNumber.COMMAND_REFUSED, f"the two sides of fill {number} do not tell the same: {sides}"
        )
    return VenueFill(
        number,
        int(buy["order_id"]),
        int(sell["order_id"]),
        buy["price"],
        int(buy["quantity"]),
        buy["aggressor"],
        int(buy["matched_at_ns"]),
    )


def _first_difference(market: Market, outcome: MarketOutcome) -> str:
    """Say where what came out first leaves what had to; empty where it never does."""
    expected = market.expected_fills()
    for number, (fill, found) in enumerate(zip(expected, outcome.fills, strict=False), start=1):
        if fill != found:
            return (
                f"{market.symbol}: fill {number} of continuous trading is {tuple(found)}, not {tuple(fill)}"
            )
    if len(expected) != len(outcome.fills):
        return f"{market.symbol}: {len(outcome.fills)} fills in continuous trading, not {len(expected)}"
    auction, model = market.expected_auction(), market.plan.expectation
    for order in sorted(auction.keys() | outcome.auction.keys()):
        if auction.get(order) != outcome.auction.get(order):
            got, want = outcome.auction.get(order), auction.get(order)
            return f"{market.symbol}: order {order} got {got} in the auction, not {want}"
    if outcome.auction and outcome.auction_prices != {model.auction_price_ticks * market.unit.tick}:
        return f"{market.symbol}: auction price {sorted(outcome.auction_prices)}"
    return ""
