"""The call auction's price in obvious code."""

from itertools import accumulate

Levels = list[tuple[int, int, int]]
"""(price_ticks, lots, orders) of each price of a side, best first."""


def equilibrium(bids: Levels, asks: Levels, reference_price_ticks: int) -> tuple[int, int, int]:
    """Return price, volume and surplus of an uncross; all 0 when nothing crosses.

    Largest volume, then smallest surplus, then market pressure (buyers remain at all such
    prices: the highest; sellers: the lowest), then the price closest to the reference price.
    The surplus is positive when buyers remain.
    """
    if not bids or not asks or bids[0][0] < asks[0][0]:
        return 0, 0, 0
    outcomes = outcomes_by_price(bids, asks)
    volume = max(min(demand, supply) for demand, supply in outcomes.values())
    best_volume = {price: sides for price, sides in outcomes.items() if min(sides) == volume}
    surpluses = {price: demand - supply for price, (demand, supply) in best_volume.items()}
    smallest = min(abs(surplus) for surplus in surpluses.values())
    best = {price: surplus for price, surplus in surpluses.items() if abs(surplus) == smallest}
    price = min(max(reference_price_ticks, min(best)), max(best))
    if all(surplus > 0 for surplus in best.values()):
        price = max(best)
    elif all(surplus < 0 for surplus in best.values()):
        price = min(best)
    return price, volume, _demand(bids, price) - _supply(asks, price)


def outcomes_by_price(bids: Levels, asks: Levels) -> dict[int, tuple[int, int]]:
    """Return demand and supply at both ends of every run of prices over which they are constant."""
    low, high = asks[0][0], bids[0][0]
    demand = _cumulated([level for level in bids if level[0] >= low])
    supply = _cumulated([level for level in asks if level[0] <= high])
    starts = sorted({price + 1 for price in demand if price < high} | set(supply))
    ends = [*(start - 1 for start in starts[1:]), high]
    outcomes = {}
    for start, end in zip(starts, ends, strict=True):
        wanted = next(demand[price] for price in reversed(demand) if price >= end)
        offered = next(supply[price] for price in reversed(supply) if price <= start)
        outcomes[start] = outcomes[end] = (wanted, offered)
    return outcomes


def _cumulated(levels: Levels) -> dict[int, int]:
    totals = accumulate(lots for _, lots, _ in levels)
    return dict(zip((price for price, _, _ in levels), totals, strict=True))


def _demand(bids: Levels, price_ticks: int) -> int:
    return sum(lots for price, lots, _ in bids if price >= price_ticks)


def _supply(asks: Levels, price_ticks: int) -> int:
    return sum(lots for price, lots, _ in asks if price <= price_ticks)
