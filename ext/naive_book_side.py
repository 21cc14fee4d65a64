"""Queues of the naive order book: keys in a sorted map, the orders of a key as they came."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sortedcontainers import SortedDict

from ext.book_records import CommandFlag, OrderType, SelfTrade, Side, TimeInForce

NO_FLAGS = CommandFlag(0)


@dataclass(slots=True)
class Order:
    """An order; ``visible_lots`` of its leaves are to be seen (all, unless it has a peak)."""

    order_id: int
    side: Side
    price_ticks: int
    leaves_lots: int
    cum_lots: int = 0
    order_type: OrderType = OrderType.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    self_trade: SelfTrade = SelfTrade.ALLOWED
    flags: CommandFlag = NO_FLAGS
    owner: int = 0
    group: int = 0
    visible_lots: int = 0
    peak_lots: int = 0
    expiry_ns: int = 0
    stop_price_ticks: int = 0

    @property
    def is_stop(self) -> bool:
        """Whether it waits for its stop price."""
        return self.order_type in (OrderType.STOP, OrderType.STOP_LIMIT)

    @property
    def is_guarded(self) -> bool:
        """Whether it does not trade with its owner's orders."""
        return self.self_trade is not SelfTrade.ALLOWED and self.owner != 0

    def show(self) -> None:
        """Show a peak, or all."""
        self.visible_lots = min(self.peak_lots, self.leaves_lots) if self.peak_lots else self.leaves_lots


class Queues:
    """Orders by a key, lowest key first, then first come."""

    def __init__(self, key: Callable[[Order], int]) -> None:
        self._key = key
        self._levels: SortedDict = SortedDict()

    def append(self, order: Order) -> None:
        """Put an order behind all others of its key."""
        self._levels.setdefault(self._key(order), {})[order.order_id] = order

    def remove(self, order: Order) -> None:
        """Take an order out."""
        key = self._key(order)
        del self._levels[key][order.order_id]
        if not self._levels[key]:
            del self._levels[key]

    def __iter__(self) -> Iterator[Order]:
        for level in self._levels.values():
            yield from level.values()

    def first(self) -> Order | None:
        """Return the order before all others."""
        return next(iter(self), None)

    def first_level(self) -> list[Order]:
        """Return the orders of the first key; there is one."""
        return list(self._levels.values()[0].values())

    def levels(self) -> list[list[Order]]:
        """Return the orders of each key."""
        return [list(level.values()) for level in self._levels.values()]


class BookSide(Queues):
    """The resting orders of one side, best price first, then first come."""

    def __init__(self, side: Side) -> None:
        self.side = side
        super().__init__(lambda order: self._sort_key(order.price_ticks))

    def _sort_key(self, price_ticks: int) -> int:
        return -price_ticks if self.side is Side.BUY else price_ticks

    def reaches(self, price_ticks: int) -> bool:
        """Whether the best order would trade at ``price_ticks``."""
        return bool(self._levels) and self._levels.keys()[0] <= self._sort_key(price_ticks)

    def level(self, price_ticks: int) -> tuple[int, int]:
        """Return visible lots and orders of a price."""
        orders = self._levels.get(self._sort_key(price_ticks), {}).values()
        return sum(order.visible_lots for order in orders), len(orders)

    def prices(self) -> list[tuple[int, int, int]]:
        """Return (price_ticks, visible lots, orders) of each price, best first."""
        return [(abs(key), *self.level(abs(key))) for key in self._levels]

    def totals(self) -> list[tuple[int, int, int]]:
        """Return the same with hidden lots too."""
        levels = self.levels()
        return [(orders[0].price_ticks, sum(o.leaves_lots for o in orders), len(orders)) for orders in levels]


class StopSide(Queues):
    """The stop orders of one side, the first to be reached first, then first come."""

    def __init__(self, side: Side) -> None:
        way = 1 if side is Side.BUY else -1
        super().__init__(lambda order: way * order.stop_price_ticks)
