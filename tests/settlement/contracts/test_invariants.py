"""Random lives of a market: whatever happens, tokens and cash are conserved and nothing settles twice."""

from __future__ import annotations

import random

import pytest

from engine.money import cost_minor
from engine.signed_order import address_of

STEPS = 45


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_the_books_agree(contracts, seed):
    Life(contracts, seed).live()


class Life:
    """A market beside a model of it: what each holder should have after every act."""

    def __init__(self, contracts, seed):
        self.c = contracts
        self.chance = random.Random(seed)
        self.keys = [contracts.investor(f"{seed} {i}", lots=500, cash=10**8) for i in range(4)]
        self.lots = dict.fromkeys(self.keys, 500)
        self.locked = dict.fromkeys(self.keys, 500)
        self.cash = dict.fromkeys(self.keys, 10**8)
        self.frozen, self.settled, self.next_number = set(), {}, 1

    def live(self):
        acts = [self.settle, self.settle, self.settle_again, self.freeze, self.lock_or_mint, self.deposit]
        for _ in range(STEPS):
            self.chance.choice(acts)()
        self.check()

    def settle(self):
        """A batch of random fills: it settles whole where the model says it can, else nothing moves."""
        fills, lots, cash = [], dict.fromkeys(self.keys, 0), dict.fromkeys(self.keys, 0)
        for _ in range(self.chance.randint(1, 6)):
            buyer, seller = self.chance.sample(self.keys, 2)
            fill = self.c.fill(
                self.next_number + len(fills),
                self.c.buy(buyer),
                self.c.sell(seller),
                lots=self.chance.randint(1, 200),
                price_ticks=self.chance.randint(1, 20_000),
            )
            amount = cost_minor(fill.lots, fill.price_ticks, self.c.terms)
            lots[buyer] += fill.lots
            lots[seller] -= fill.lots
            cash[buyer] -= amount
            cash[seller] += amount
            fills.append(fill)
        parties = {key for key in self.keys for fill in fills if address_of(key) in accounts_of(fill)}
        fits = (
            not parties & self.frozen
            and all(self.locked[key] + lots[key] >= 0 for key in parties)
            and all(self.cash[key] + cash[key] >= 0 for key in parties)
        )
        assert self.try_to(lambda: self.c.settle(fills, *self.keys)) is fits
        if fits:
            self.next_number += len(fills)
            for fill in fills:
                self.settled[fill.fill_number] = fill
            for key in self.keys:
                self.lots[key] += lots[key]
                self.locked[key] += lots[key]
                self.cash[key] += cash[key]

    def settle_again(self):
        """A fill that settled, in another batch."""
        if self.settled:
            fill = self.settled[self.chance.choice(list(self.settled))]
            assert not self.try_to(lambda: self.c.settle([fill], *self.keys))

    def freeze(self):
        key = self.chance.choice(self.keys)
        on = key not in self.frozen
        self.c.act(self.c.keys.issuer, self.c.tranche.token, "setAddressFrozen", address_of(key), on)
        (self.frozen.add if on else self.frozen.discard)(key)

    def lock_or_mint(self):
        key, lots = self.chance.choice(self.keys), self.chance.randint(1, 100)
        if self.lots[key] - self.locked[key] >= lots:
            self.c.act(key, self.c.tranche.token, "lock", lots)
        else:
            self.c.act(self.c.keys.issuer, self.c.tranche.token, "mint", address_of(key), lots)
            self.lots[key] += lots
        self.locked[key] += lots

    def deposit(self):
        key, amount = self.chance.choice(self.keys), self.chance.randint(1, 10**7)
        self.c.deposit(key, amount)
        self.cash[key] += amount

    def check(self):
        c = self.c
        assert [c.lots_of(key) for key in self.keys] == [self.lots[key] for key in self.keys]
        assert [c.locked_of(key) for key in self.keys] == [self.locked[key] for key in self.keys]
        assert [c.cash_of(key) for key in self.keys] == [self.cash[key] for key in self.keys]
        assert c.read(c.tranche.token, "totalSupply") == sum(self.lots.values())
        entries = c.read(c.venue.vault, "totalEntries", c.venue.cash)
        assert entries == sum(self.cash.values()) == c.read(c.venue.cash, "balanceOf", c.venue.vault)
        assert c.read(c.tranche.token, "balanceOf", c.venue.dvp) == 0
        assert c.read(c.venue.cash, "balanceOf", c.venue.dvp) == 0

    @staticmethod
    def try_to(act):
        """Whether an act took effect; a refusal of the contract is the only other way."""
        try:
            act()
        except Exception as error:
            if type(error).__name__ != "Reverted":
                raise
            return False
        return True


def accounts_of(fill):
    """Both accounts of a fill."""
    return fill.buy.account, fill.sell.account
