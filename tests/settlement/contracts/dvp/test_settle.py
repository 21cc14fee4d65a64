"""DvP.settle: a batch settles whole, by the nets of its fills."""

from __future__ import annotations


def test_one_fill_delivers_from_the_lock_against_cash_in_the_vault(contracts):
    seller = contracts.investor("seller", lots=100)
    buyer = contracts.investor("buyer", cash=10_000_000)
    outcome = contracts.settle(
        [contracts.fill(1, contracts.buy(buyer), contracts.sell(seller), lots=10)], buyer, seller
    )
    assert (contracts.lots_of(seller), contracts.lots_of(buyer)) == (90, 10)
    print(outcome.gas_used)
