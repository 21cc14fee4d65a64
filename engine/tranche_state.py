"""A tranche as a shard keeps it: rules, book, holders, fills that have not settled, sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from engine.account_state import AccountState
from engine.closed_orders import ClosedOrders
from engine.holding import Holding
from engine.instrument import Instrument
from ext.records import Phase


class Book(Protocol):
    """What the core asks of an order book; :class:`ext.order_book.OrderBook` and the naive one give it."""

    def apply(self, commands: bytes, /) -> bytes:
        """Apply book commands, return book events."""

    def levels(self, side: int, /) -> list[tuple[int, int, int]]:
        """(price_ticks, lots, orders) of each price of a side, best first."""

    def orders(self) -> bytes:
        """The resting orders, by side and priority."""

    def snapshot(self) -> bytes:
        """The whole state."""

    def restore(self, snapshot: bytes, /) -> None:
        """Take the state of a snapshot."""

    def _check(self) -> None:
        """Walk every invariant."""


BookFactory = Callable[[], Book]


class UnsettledFill(NamedTuple):
    """A fill that settlement has not decided; the buyer holds ``amount_minor + buyer_fee_minor`` for it."""

    fill_id: int
    buyer: Holding
    seller: Holding
    quantity_lots: int
    amount_minor: int
    buyer_fee_minor: int
    seller_fee_minor: int


class TrancheState:
    """One listed tranche; ``lots`` are all that its holders have in this shard, ``owed_lots`` all that they
    owe."""

    __slots__ = (
        "book",
        "book_sequence",
        "closed_orders",
        "fill_number",
        "fills",
        "holdings",
        "instrument",
        "last_price_ticks",
        "lots",
        "owed_lots",
        "phase",
    )

    def __init__(self, instrument: Instrument, book: Book) -> None:
        self.instrument = instrument
        self.book = book
        self.phase: int = Phase.CLOSED
        self.book_sequence = 0
        self.fill_number = 0
        self.last_price_ticks = 0
        self.lots = 0
        self.owed_lots = 0
        self.holdings: dict[int, Holding] = {}
        self.fills: dict[int, UnsettledFill] = {}
        self.closed_orders = ClosedOrders()

    def holding(self, account: AccountState) -> Holding:
        """How an account stands here; a new one holds nothing and is not eligible."""
        holding = self.holdings.get(account.account)
        if holding is None:
            purse = account.purse(self.instrument.currency)
            holding = self.holdings[account.account] = Holding(account, self, purse)
        return holding

    def next_book_sequence(self) -> int:
        """Number the next public event of the tranche."""
        self.book_sequence += 1
        return self.book_sequence
