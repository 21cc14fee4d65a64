"""One side of the naive order book: prices in a sorted map, the orders of a price as they came."""

from collections.abc import Iterator
from dataclasses import dataclass

from sortedcontainers import SortedDict

from ext.book_records import Side


@dataclass(slots=True)
class Order:
    """A resting order."""

    order_id: int
    side: Side
    price_ticks: int
    leaves_lots: int
    cum_lots: int


class BookSide:
    """The resting orders of one side, best price first, then first come."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._levels: SortedDict = SortedDict()

    def _key(self, price_ticks: int) -> int:
        return -price_ticks if self.side is Side.BUY else price_ticks

    def append(self, order: Order) -> None:
        self._levels.setdefault(self._key(order.price_ticks), {})[order.order_id] = order

    def remove(self, order: Order) -> None:
        key = self._key(order.price_ticks)
        del self._levels[key][order.order_id]
        if not self._levels[key]:
            del self._levels[key]

    def __iter__(self) -> Iterator[Order]:
        for level in self._levels.values():
            yield from level.values()

    def first(self) -> Order | None:
        return next(iter(self), None)

    def reaches(self, price_ticks: int) -> bool:
        """Whether the best order would trade at ``price_ticks``."""
        return bool(self._levels) and self._levels.keys()[0] <= self._key(price_ticks)

    def level(self, price_ticks: int) -> tuple[int, int]:
        orders = self._levels.get(self._key(price_ticks), {}).values()
        return sum(order.leaves_lots for order in orders), len(orders)

    def levels(self) -> list[tuple[int, int, int]]:
        return [(abs(key), *self.level(abs(key))) for key in self._levels]

    def total_lots(self) -> int:
        return sum(order.leaves_lots for order in self)
