"""How an account stands in a tranche."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.eligibility import Eligibility
from engine.ledger import Funds, Purse

if TYPE_CHECKING:
    from engine.account_state import AccountState
    from engine.order_state import OrderState
    from engine.tranche_state import TrancheState


class Holding(Funds):
    """One account's lots of one tranche, its eligibility, orders and private stream there.

    ``client_orders`` gives the order id behind every client order id that was accepted. ``open_orders`` is
    by order id, oldest first. ``purse`` is the account's cash of the tranche's currency.
    """

    __slots__ = (
        "account",
        "client_orders",
        "eligibility",
        "last_nonce",
        "open_orders",
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
        self.last_nonce = 0
        self.stream_sequence = 0
        self.client_orders: dict[bytes, int] = {}
        self.open_orders: dict[int, OrderState] = {}

    def next_stream_sequence(self) -> int:
        """Number the next event of the private stream (account, tranche)."""
        self.stream_sequence += 1
        return self.stream_sequence
