"""DvP.settle: a batch settles whole, by the nets of its fills."""

from __future__ import annotations

from dataclasses import replace

from engine.money import cost_minor
from engine.settlement_batch import compose_batch
from engine.signed_order import KIND_ONCE, address_of
from settlement.dvp_calldata import batch_accounts, encode_settle

LOTS, CASH = 1_000, 1_000_000_000


def test_one_fill_delivers_from_the_lock_against_cash_in_the_vault(contracts, seller, buyer):
    fill = contracts.fill(1, contracts.buy(buyer), contracts.sell(seller), lots=10)
    contracts.settle([fill], buyer, seller)
    amount = cost_minor(10, fill.price_ticks, contracts.terms)
    assert (contracts.lots_of(seller), contracts.lots_of(buyer)) == (LOTS - 10, 10)
    assert (contracts.locked_of(seller), contracts.locked_of(buyer)) == (LOTS - 10, 10)
    assert (contracts.cash_of(seller), contracts.cash_of(buyer)) == (amount, CASH - amount)


def test_a_batch_says_in_its_events_what_moved_and_where_it_comes_from(contracts, seller, buyer):
    first = contracts.fill(300, contracts.buy(buyer), contracts.sell(seller), lots=10)
    second = replace(first, fill_number=255, lots=5)
    batch = compose_batch([first, second])
    attestation = contracts.attest(batch)
    outcome = contracts.submit(encode_settle(batch, contracts.signatures(batch, buyer, seller), attestation))
    amount = sum(cost_minor(fill.lots, fill.price_ticks, contracts.terms) for fill in (first, second))
    accounts = batch_accounts(batch)
    deltas = {address_of(buyer): -amount, address_of(seller): amount}
    token, venue = contracts.tranche.token, contracts.venue
    assert [(emitter, event.name, dict(event.arguments)) for emitter, event in outcome.events] == [
        (token, "Transfer", {"from": address_of(seller), "to": address_of(buyer), "value": 15}),
        (
            token,
            "Delivered",
            {"from": address_of(seller), "to": address_of(buyer), "lots": 15, "locked": True},
        ),
        (
            venue.vault,
            "EntriesMoved",
            {
                "cashToken": venue.cash,
                "accounts": tuple(accounts),
                "deltas": tuple(deltas[account] for account in accounts),
            },
        ),
        (
            venue.dvp,
            "BatchSettled",
            {
                "trancheToken": token,
                "firstFill": 255,
                "lastFill": 300,
                "count": 2,
                "shard": attestation.shard,
                "journalRow": attestation.journal_row,
                "rowHash": attestation.row_hash,
                "fillsHash": batch.fills_hash,
            },
        ),
    ]


def test_only_the_nets_move_and_who_is_flat_moves_nothing(contracts, seller, buyer):
    dealer = contracts.investor("dealer", cash=CASH)
    fills = [
        contracts.fill(1, contracts.buy(dealer), contracts.sell(seller), lots=10, price_ticks=9_900),
        contracts.fill(2, contracts.buy(buyer), contracts.sell(dealer), lots=10, price_ticks=9_950),
    ]
    outcome = contracts.settle(fills, dealer, seller, buyer)
    bought, sold = (cost_minor(fill.lots, fill.price_ticks, contracts.terms) for fill in fills)
    assert [dict(event.arguments)["lots"] for event in outcome.named("Delivered")] == [10]
    assert (contracts.lots_of(dealer), contracts.cash_of(dealer)) == (0, CASH - bought + sold)
    assert contracts.lots_of(buyer) == 10


def test_an_order_fills_over_several_batches_up_to_its_quantity(contracts, seller, buyer, refused):
    buy, sell = contracts.buy(buyer, quantity_lots=25), contracts.sell(seller)
    contracts.settle([contracts.fill(1, buy, sell, lots=10)], buyer, seller)
    contracts.settle([contracts.fill(2, buy, sell, lots=15)], buyer, seller)
    standing = contracts.read(contracts.venue.dvp, "standingOrder", address_of(buyer), buy.nonce)
    assert standing == (25, 1, 0)
    with refused("Overfilled", filled=25, lots=1, quantity=25):
        contracts.settle([contracts.fill(3, buy, sell, lots=1)], buyer, seller)


def test_a_replacement_counts_what_its_earlier_versions_filled(contracts, seller, buyer, refused):
    buy, sell = contracts.buy(buyer, quantity_lots=10, limit_price_ticks=9_900), contracts.sell(seller)
    better = replace(buy, version=2, quantity_lots=30, limit_price_ticks=10_000)
    fills = [
        contracts.fill(1, buy, sell, lots=10),
        contracts.fill(2, better, sell, lots=15, price_ticks=10_000),
    ]
    contracts.settle(fills, buyer, seller)
    with refused("Overfilled", filled=25, lots=6, quantity=30):
        contracts.settle([contracts.fill(3, better, sell, lots=6)], buyer, seller)
    contracts.settle([contracts.fill(3, better, sell, lots=5)], buyer, seller)


def test_two_nonces_of_one_word_are_counted_apart(contracts, seller, buyer):
    even = contracts.buy(buyer, nonce=8, quantity_lots=5)
    odd = contracts.buy(buyer, nonce=9, quantity_lots=7, version=4)
    sell = contracts.sell(seller)
    contracts.settle(
        [contracts.fill(1, even, sell, lots=5), contracts.fill(2, odd, sell, lots=7)], buyer, seller
    )
    standing = [contracts.read(contracts.venue.dvp, "standingOrder", address_of(buyer), n) for n in (8, 9)]
    assert standing == [(5, 1, 0), (7, 4, 0)]


def test_a_once_order_settles_in_one_batch_and_never_again(contracts, seller, buyer, refused):
    once, sell = contracts.buy(buyer, kind=KIND_ONCE, quantity_lots=25), contracts.sell(seller)
    contracts.settle(
        [contracts.fill(1, once, sell, lots=5), contracts.fill(2, once, sell, lots=6)], buyer, seller
    )
    assert contracts.read(contracts.venue.dvp, "isOnceSpent", address_of(buyer), once.nonce)
    with refused("OnceOrderSpent"):
        contracts.settle([contracts.fill(3, once, sell, lots=1)], buyer, seller)


def test_once_orders_of_many_words_are_all_spent(contracts, seller, buyer):
    nonces = (0, 255, 256, 1 << 40, (1 << 64) - 1)
    fills = [
        contracts.fill(
            1 + i,
            contracts.buy(buyer, kind=KIND_ONCE, nonce=nonce),
            contracts.sell(seller, kind=KIND_ONCE, nonce=nonce),
        )
        for i, nonce in enumerate(nonces)
    ]
    contracts.settle(fills, buyer, seller)
    spent = [contracts.read(contracts.venue.dvp, "isOnceSpent", address_of(seller), n) for n in (*nonces, 1)]
    assert spent == [True] * len(nonces) + [False]


def test_fill_numbers_over_word_borders_are_marked_one_by_one(contracts, seller, buyer):
    numbers = (0, 255, 256, 511, (1 << 40) - 1)
    buy, sell = contracts.buy(buyer), contracts.sell(seller)
    contracts.settle([contracts.fill(number, buy, sell) for number in numbers], buyer, seller)
    marked = [
        contracts.read(contracts.venue.dvp, "isSettled", contracts.tranche.token, n)
        for n in (*numbers, 1, 254, 257)
    ]
    assert marked == [True] * 5 + [False] * 3


def test_a_fill_is_paid_by_the_terms_it_names(contracts, seller, buyer):
    repaid = replace(contracts.terms, terms_id=2, factor_e9=400_000_000, accrued_e9_per_lot=0)
    values = (2, repaid.tick_value_e9, repaid.factor_e9, repaid.accrued_e9_per_lot, repaid.value_date)
    contracts.act(contracts.keys.issuer, contracts.tranche.token, "setTerms", *values)
    buy, sell = contracts.buy(buyer), contracts.sell(seller)
    fills = [
        contracts.fill(i, buy, sell, lots=3, terms_id=terms_id) for i, terms_id in ((1, 1), (2, 2), (3, 1))
    ]
    contracts.settle(fills, buyer, seller)
    paid = sum(cost_minor(3, 9_900, terms) for terms in (contracts.terms, repaid, contracts.terms))
    assert contracts.cash_of(seller) == paid


def test_a_receiver_without_the_standing_choice_gets_free_lots(contracts, seller, buyer):
    contracts.act(buyer, contracts.tranche.token, "setReceiveLocked", False)
    outcome = contracts.settle(
        [contracts.fill(1, contracts.buy(buyer), contracts.sell(seller))], buyer, seller
    )
    assert [dict(event.arguments)["locked"] for event in outcome.named("Delivered")] == [False]
    assert (contracts.lots_of(buyer), contracts.locked_of(buyer)) == (1, 0)


def test_a_batch_settles_although_verifications_have_run_out_but_still_hold_in_the_registry(
    contracts, seller, buyer
):
    contracts.node.pass_time(3 * 24 * 3600)
    contracts.settle([contracts.fill(1, contracts.buy(buyer), contracts.sell(seller))], buyer, seller)
    assert contracts.lots_of(buyer) == 1
