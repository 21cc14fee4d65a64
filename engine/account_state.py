"""An account as a shard knows it."""

from __future__ import annotations

from engine.ledger import Purse


class AccountState:
    """One account: its beneficial owner, session epoch, cash by currency, and the sequence of its cash
    stream."""

    __slots__ = ("account", "owner", "purses", "session_epoch", "stream_sequence")

    def __init__(self, account: int, owner: int) -> None:
        self.account = account
        self.owner = owner
        self.session_epoch = 0
        self.stream_sequence = 0
        self.purses: dict[int, Purse] = {}

    def purse(self, currency: int) -> Purse:
        """The account's cash of a currency, an empty purse on first use."""
        purse = self.purses.get(currency)
        if purse is None:
            purse = self.purses[currency] = Purse(self, currency)
        return purse
