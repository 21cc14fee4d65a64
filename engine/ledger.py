"""Amounts and the three places they can be in: free, earmarked for an order, in settlement for a fill.

Cash in minor units and tokens in lots move by the same rules. Every move conserves the sum; what enters and
leaves does so by :meth:`Funds.receive`, :meth:`Funds.give` and :meth:`Funds.deliver` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engine.account_state import AccountState

SUM_LIMIT: Final = 2**62
"""Every sum of lots or of minor units that the shard keeps stays below this."""


class Funds:
    """An amount of one asset of one account; all three parts are never negative."""

    __slots__ = ("earmarked", "free", "in_settlement")

    def __init__(self, free: int = 0, earmarked: int = 0, in_settlement: int = 0) -> None:
        self.free = free
        self.earmarked = earmarked
        self.in_settlement = in_settlement

    def total(self) -> int:
        """Free, earmarked and in settlement together."""
        return self.free + self.earmarked + self.in_settlement

    def receive(self, amount: int) -> None:
        """Take ``amount`` in, free."""
        self.free += amount

    def give(self, amount: int) -> None:
        """Give ``amount`` of what is free away."""
        assert 0 <= amount <= self.free
        self.free -= amount

    def earmark(self, amount: int) -> None:
        """Hold ``amount`` of what is free for an order; negative releases."""
        assert -self.earmarked <= amount <= self.free
        self.free -= amount
        self.earmarked += amount

    def match(self, held: int, owed: int) -> None:
        """Of ``held`` earmarked move ``owed`` into settlement and free the rest."""
        assert 0 <= owed <= held <= self.earmarked
        self.earmarked -= held
        self.in_settlement += owed
        self.free += held - owed

    def deliver(self, amount: int) -> None:
        """Let ``amount`` in settlement go: its fill is final."""
        assert 0 <= amount <= self.in_settlement
        self.in_settlement -= amount

    def take_back(self, amount: int) -> None:
        """Free ``amount`` in settlement: its fill failed."""
        assert 0 <= amount <= self.in_settlement
        self.in_settlement -= amount
        self.free += amount

    def _check(self) -> None:
        assert min(self.free, self.earmarked, self.in_settlement) >= 0
        assert self.total() < SUM_LIMIT


class Purse(Funds):
    """An account's cash of one currency in this shard; ``elsewhere_minor`` is what the keeper last said it
    has outside."""

    __slots__ = ("account", "currency", "elsewhere_minor")

    def __init__(self, account: AccountState, currency: int) -> None:
        super().__init__()
        self.account = account
        self.currency = currency
        self.elsewhere_minor = 0


class CurrencyTotals:
    """What the shard holds of a currency: all that was allotted less all returned, fees taken from it
    included."""

    __slots__ = ("fees_minor", "held_minor")

    def __init__(self, held_minor: int = 0, fees_minor: int = 0) -> None:
        self.held_minor = held_minor
        self.fees_minor = fees_minor
