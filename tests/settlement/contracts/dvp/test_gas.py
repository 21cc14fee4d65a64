"""What settlement costs. Gas is exact, so these are limits, not timings (T-REX DVD: 551,182 a trade)."""

from __future__ import annotations

import random

import pytest

from engine.signed_order import KIND_ONCE, address_of

PARTICIPANTS = 20


@pytest.fixture
def traders(contracts):
    """Twenty investors who hold tokens and cash already, and have traded before."""
    keys = [contracts.investor(f"trader {i}", lots=1_000_000, cash=10**12) for i in range(PARTICIPANTS)]
    warm_up = [
        contracts.fill(i + 1, contracts.buy(keys[i]), contracts.sell(keys[(i + 1) % PARTICIPANTS]), lots=1)
        for i in range(PARTICIPANTS)
    ]
    contracts.settle(warm_up, *keys)
    return keys


def random_pairs(count):
    """Pairs of different traders, the same in every run."""
    chance = random.Random(7)
    return [chance.sample(range(PARTICIPANTS), 2) for _ in range(count)]


def test_a_thousand_fills_of_standing_orders(contracts, traders):
    buys = [contracts.buy(key, nonce=1000) for key in traders]
    sells = [contracts.sell(key, nonce=1001) for key in traders]
    fills = [
        contracts.fill(1000 + i, buys[b], sells[s], lots=1 + i % 9)
        for i, (b, s) in enumerate(random_pairs(1000))
    ]
    per_fill = contracts.settle(fills, *traders).gas_used / 1000
    assert per_fill <= 4_000


def test_fills_of_two_fresh_orders_each(contracts, traders):
    fills = [
        contracts.fill(
            1000 + i,
            contracts.buy(traders[b], kind=KIND_ONCE, quantity_lots=5),
            contracts.sell(traders[s], kind=KIND_ONCE, quantity_lots=5),
            lots=5,
        )
        for i, (b, s) in enumerate(random_pairs(400))
    ]
    per_fill = contracts.settle(fills, *traders).gas_used / 400
    assert per_fill <= 20_000


def test_one_fill_alone(contracts, traders):
    gas = contracts.settle(
        [contracts.fill(1000, contracts.buy(traders[0]), contracts.sell(traders[1]))], *traders[:2]
    ).gas_used
    assert gas <= 220_000


def test_a_transfer_between_verified_holders(contracts, traders):
    token, (sender, receiver) = contracts.tranche.token, traders[:2]
    for key in (sender, receiver):
        contracts.act(key, token, "setReceiveLocked", False)
        contracts.act(contracts.keys.issuer, token, "mint", address_of(key), 10)
    assert contracts.act(sender, token, "transfer", address_of(receiver), 5).gas_used <= 60_000


def test_no_contract_is_larger_than_the_chain_allows(contracts):
    addresses = [
        contracts.venue.dvp,
        contracts.venue.vault,
        contracts.tranche.token,
        contracts.tranche.registry,
    ]
    sizes = [
        len(contracts.node.rpc("eth_getCode", "0x" + each.hex(), "latest")) // 2 - 1 for each in addresses
    ]
    assert max(sizes) <= 24 * 1024
