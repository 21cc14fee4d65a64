"""DvP.settle: submitter and engine together settle nothing beyond what investors signed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.settlement_batch import compose_batch
from engine.signed_order import keccak256
from settlement.dvp_calldata import encode_settle


@pytest.mark.parametrize("price_ticks", [9_901, 9_899], ids=["above the buyer's limit", "below the seller's"])
def test_both_keys_at_a_price_beyond_a_limit(contracts, seller, buyer, fill, refused, price_ticks):
    order_index = [order.side for order in compose_batch([fill]).orders].index(
        1 if price_ticks > 9_900 else 2
    )
    with refused("PriceBeyondLimit", fillIndex=0, orderIndex=order_index):
        contracts.settle([replace(fill, price_ticks=price_ticks)], buyer, seller)


def test_both_keys_beyond_a_quantity(contracts, seller, buyer, fill, refused):
    with refused("Overfilled", filled=0, lots=11, quantity=10):
        contracts.settle([replace(fill, lots=11)], buyer, seller)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_both_keys_with_terms_that_cost_beyond_the_cash_limit(contracts, seller, buyer, fill, refused, side):
    tick_value_e9 = 20_000_000_000 if side == "buy" else 1
    contracts.act(
        contracts.keys.issuer, contracts.tranche.token, "setTerms", 2, tick_value_e9, 10**9, 0, 20261122
    )
    limited = replace(getattr(fill, side), cash_limit_per_lot=100_000)
    batch = replace(fill, terms_id=2, **{side: limited})
    with refused("CashBeyondLimit", fillIndex=0):
        contracts.settle([batch], buyer, seller)


def test_both_keys_settle_a_replaced_order_at_its_old_price(contracts, seller, buyer, refused):
    old = contracts.buy(buyer, limit_price_ticks=10_500)
    new = replace(old, version=2, limit_price_ticks=9_900)
    sell = contracts.sell(seller)
    contracts.settle([contracts.fill(1, new, sell)], buyer, seller)
    with refused("StaleVersion", highest=2):
        contracts.settle([contracts.fill(2, old, sell, price_ticks=10_500)], buyer, seller)


def test_both_keys_bring_a_newer_version_before_an_older_one(contracts, seller, buyer, refused):
    old = contracts.buy(buyer)
    batch = compose_batch([contracts.fill(1, old, contracts.sell(seller))])
    new = replace(old, version=2)
    fills = [contracts.fill(1, new, batch.orders[0] if batch.orders[0].side == 2 else batch.orders[1])]
    contracts.settle(fills, buyer, seller)
    with refused("StaleVersion"):
        contracts.settle([contracts.fill(2, old, fills[0].sell)], buyer, seller)


def test_both_keys_after_the_order_expired(contracts, seller, buyer, fill, refused):
    expired = replace(fill.buy, valid_until=fill.match_time_ns // 10**9 - 1)
    with refused("OrderNotValid", validUntil=expired.valid_until):
        contracts.settle([replace(fill, buy=expired)], buyer, seller)


def test_both_keys_judge_the_expiry_at_the_match_not_at_settlement(contracts, seller, buyer, fill):
    last_second = replace(fill.buy, valid_until=fill.match_time_ns // 10**9)
    contracts.node.pass_time(3600)
    contracts.settle([replace(fill, buy=last_second)], buyer, seller)


def test_both_keys_for_another_tranche_or_cash_than_signed(contracts, seller, buyer, fill, refused):
    batch = compose_batch([fill])
    signatures = contracts.signatures(batch, buyer, seller)
    other_cash = replace(
        batch,
        cash_token=b"\x0c" * 20,
        orders=[replace(order, cash_token=b"\x0c" * 20) for order in batch.orders],
    )
    with refused("BadSignature"):
        contracts.submit(encode_settle(other_cash, signatures, contracts.attest(other_cash)))


def test_both_keys_make_a_seller_buy(contracts, seller, buyer, fill, refused):
    batch = compose_batch([fill])
    word = int.from_bytes(batch.packed_fills, "big")
    buy, sell = (word >> 200) & 0xFFFF, (word >> 184) & 0xFFFF
    swapped = word & ~(0xFFFFFFFF << 184) | sell << 200 | buy << 184
    packed = swapped.to_bytes(32, "big")
    turned = replace(batch, packed_fills=packed, fills_hash=keccak256(packed))
    with refused("BadOrder"):
        contracts.submit(
            encode_settle(turned, contracts.signatures(turned, buyer, seller), contracts.attest(turned))
        )
