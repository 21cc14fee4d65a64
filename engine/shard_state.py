"""All that a shard is: what its commands made of it, and nothing that they did not."""

from __future__ import annotations

from typing import Final

from engine.account_state import AccountState
from engine.event_writer import EventWriter
from engine.ledger import CurrencyTotals
from engine.order_state import OrderState
from engine.source_numbers import SourceNumbers
from engine.timers import Deadlines
from engine.tranche_state import BookFactory, TrancheState

SHARD_MAX: Final = 2**16 - 1
ID_SEQUENCE_BITS: Final = 47
"""Order and fill ids are ``shard << 47 | sequence``."""


class ShardState:
    """The state of one shard; ``now_ns`` is the time of the command being applied, and ``last_command`` its
    number."""

    __slots__ = (
        "accounts",
        "currencies",
        "deadlines",
        "events",
        "last_command",
        "new_book",
        "now_ns",
        "open_orders",
        "shard",
        "sources",
        "tranches",
    )

    def __init__(self, shard: int, new_book: BookFactory) -> None:
        self.shard = shard
        self.new_book = new_book
        self.last_command = 0
        self.now_ns = 0
        self.sources = SourceNumbers()
        self.events = EventWriter()
        self.accounts: dict[int, AccountState] = {}
        self.tranches: dict[int, TrancheState] = {}
        self.currencies: dict[int, CurrencyTotals] = {}
        self.open_orders: dict[int, OrderState] = {}
        self.deadlines = Deadlines()

    def totals(self, currency: int) -> CurrencyTotals:
        """What the shard holds of a currency."""
        return self.currencies.setdefault(currency, CurrencyTotals())

    def unique_id(self, sequence: int) -> int:
        """The id, unique over all shards and for ever, of what was born with a sequence of this shard."""
        return self.shard << ID_SEQUENCE_BITS | sequence
