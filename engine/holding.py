"""How an account stands in a tranche."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.eligibility import Eligibility
from engine.ledger import SUM_LIMIT, Funds, Purse

if TYPE_CHECKING:
    from engine.account_state import AccountState
    from engine.order_state import OrderState
    from engine.tranche_state import TrancheState


class Holding(Funds):
    """One account's lots of one tranche, its eligibility, orders and private stream there.

    ``client_orders`` gives the order id behind every client order id that was accepted. ``open_orders`` is
    by order id, oldest first. ``purse`` is the account's cash of the tranche's currency.

    ``owed`` are lots that the chain took before the shard could: whatever becomes free pays them first, so
    nothing is free while anything is owed.
    """

    __slots__ = (
        "account",
        "client_orders",
        "eligibility",
        "last_nonce",
        "open_orders",
        "owed",
        "purse",
        "stream_sequence",
        "tranche",
    )

    def __init__(self, account: AccountState, tranche: TrancheState, purse: Purse) -> None:
        super().__init__()
        self.account = account
        self.tranche = tranche
        self.purse = purse
        self.eligibility = Eligibility()
        self.owed = 0
        self.last_nonce = 0
        self.stream_sequence = 0
        self.client_orders: dict[bytes, int] = {}
        self.open_orders: dict[int, OrderState] = {}

    def next_stream_sequence(self) -> int:
        """Number the next event of the private stream (account, tranche)."""
        self.stream_sequence += 1
        return self.stream_sequence

    def receive(self, amount: int) -> None:
        """Take ``amount`` in; what is left after paying what is owed is free."""
        super().receive(amount)
        self._pay()

    def earmark(self, amount: int) -> None:
        """Hold ``amount`` of what is free for an order; negative releases, and pays what is owed."""
        Funds.earmark(self, amount)
        if self.owed:
            self._pay()

    def take_back(self, amount: int) -> None:
        """Take ``amount`` out of settlement; what is left after paying what is owed is free."""
        super().take_back(amount)
        self._pay()

    def lose(self, amount: int) -> None:
        """Give ``amount`` away: what is free at once, and owe the rest."""
        self.owed += amount
        self.tranche.owed_lots += amount
        self._pay()

    def _pay(self) -> None:
        paid = min(self.owed, self.free)
        if paid:
            self.give(paid)
            self.owed -= paid
            self.tranche.owed_lots -= paid
            self.tranche.lots -= paid

    def _check(self) -> None:
        super()._check()
        assert 0 <= self.owed < SUM_LIMIT
        assert not (self.owed and self.free)
