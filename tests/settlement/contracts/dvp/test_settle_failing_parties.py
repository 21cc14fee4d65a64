"""DvP.settle: one failing party stops the batch whole and is named in the error."""

from __future__ import annotations

import pytest

from engine.signed_order import address_of


def test_one_frozen_party_in_a_batch_of_twenty_is_named_and_nothing_moves(contracts, refused):
    keys = [contracts.investor(f"trader {i}", lots=100, cash=10**9) for i in range(20)]
    fills = [
        contracts.fill(i + 1, contracts.buy(keys[i]), contracts.sell(keys[(i + 1) % 20])) for i in range(20)
    ]
    frozen = address_of(keys[7])
    contracts.act(contracts.keys.issuer, contracts.tranche.token, "setAddressFrozen", frozen, True)
    with refused("HolderFrozen", account=frozen):
        contracts.settle(fills, *keys)
    assert [contracts.lots_of(key) for key in keys] == [100] * 20
    rest = [fill for fill in fills if frozen not in (fill.buy.account, fill.sell.account)]
    contracts.settle(rest, *keys)


@pytest.mark.parametrize("role", ["seller", "buyer", "flat dealer"])
def test_a_party_no_longer_verified_is_named(contracts, seller, buyer, refused, role):
    dealer = contracts.investor("dealer", cash=10**9)
    fills = [
        contracts.fill(1, contracts.buy(dealer), contracts.sell(seller)),
        contracts.fill(2, contracts.buy(buyer), contracts.sell(dealer)),
    ]
    culprit = address_of({"seller": seller, "buyer": buyer, "flat dealer": dealer}[role])
    contracts.act(contracts.keys.issuer, contracts.tranche.registry, "deleteIdentity", culprit)
    with refused("HolderNotVerified", account=culprit):
        contracts.settle(fills, dealer, seller, buyer)


def test_a_seller_without_enough_locked_lots_is_named(contracts, seller, buyer, refused):
    fill = contracts.fill(1, contracts.buy(buyer), contracts.sell(seller), lots=1_001)
    with refused("InsufficientLocked", account=address_of(seller), available=1_000, needed=1_001):
        contracts.settle([fill], buyer, seller)


def test_free_lots_are_not_delivered(contracts, buyer, refused):
    loose = contracts.investor("loose")
    contracts.act(loose, contracts.tranche.token, "setReceiveLocked", False)
    contracts.act(contracts.keys.issuer, contracts.tranche.token, "mint", address_of(loose), 10)
    with refused("InsufficientLocked", account=address_of(loose), available=0, needed=1):
        contracts.settle([contracts.fill(1, contracts.buy(buyer), contracts.sell(loose))], buyer, loose)


def test_a_buyer_without_enough_cash_is_named(contracts, seller, buyer, refused):
    poor = contracts.investor("poor", cash=100)
    with refused("InsufficientCash", account=address_of(poor), available=100):
        contracts.settle([contracts.fill(1, contracts.buy(poor), contracts.sell(seller))], poor, seller)


def test_lots_frozen_within_the_lock_are_not_delivered(contracts, seller, buyer, refused):
    token = contracts.tranche.token
    contracts.act(contracts.keys.issuer, token, "freezePartialTokens", address_of(seller), 995)
    with refused("InsufficientLocked", account=address_of(seller), available=5, needed=6):
        contracts.settle(
            [contracts.fill(1, contracts.buy(buyer), contracts.sell(seller), lots=6)], buyer, seller
        )
    contracts.settle([contracts.fill(1, contracts.buy(buyer), contracts.sell(seller), lots=5)], buyer, seller)


def test_a_receiver_of_a_blocked_country_is_named(contracts, seller, buyer, refused):
    contracts.act(contracts.keys.administrator, contracts.tranche.compliance, "setCountryBlocked", 344, True)
    with refused("ComplianceRefused", **{"from": address_of(seller), "to": address_of(buyer)}):
        contracts.settle([contracts.fill(1, contracts.buy(buyer), contracts.sell(seller))], buyer, seller)
