"""Composing batches: what the attestor signs and what settlement submits are the same bytes."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from engine.settlement_batch import BatchError, FillFact, attestation_digest, compose_batch, pack_fill
from engine.signed_order import (
    KIND_ONCE,
    KIND_STANDING,
    SIDE_BUY,
    SIDE_SELL,
    Domain,
    SignedOrder,
    keccak256,
    order_struct_hash,
)

TRANCHE, CASH = b"\x02" * 20, b"\x03" * 20
DOMAIN = Domain(chain_id=31337, verifying_contract=b"\xd5" * 20)
MATCH_TIME_NS = 1_800_000_000_999_999_999


def order(
    account: int, side: int, *, nonce: int = 0, version: int = 0, kind: int = KIND_STANDING
) -> SignedOrder:
    """A standing order of one account."""
    return SignedOrder(
        account=account.to_bytes(20, "big"),
        tranche_token=TRANCHE,
        cash_token=CASH,
        side=side,
        kind=kind,
        quantity_lots=100,
        limit_price_ticks=500,
        cash_limit_per_lot=0,
        fee_limit=0,
        valid_until=2**40,
        nonce=nonce,
        version=version,
    )


def fill(number: int, buy: SignedOrder, sell: SignedOrder, lots: int = 1) -> FillFact:
    """A fill of those orders."""
    return FillFact(number, lots, 500, MATCH_TIME_NS, 1, buy, sell)


BUY, SELL = order(1, SIDE_BUY), order(2, SIDE_SELL)


def test_each_order_appears_once_by_account_and_key():
    other = order(3, SIDE_BUY)
    batch = compose_batch([fill(4, other, SELL), fill(9, BUY, SELL), fill(7, BUY, SELL)])
    assert batch.orders == [BUY, SELL, other]
    assert (batch.first_fill, batch.last_fill, batch.fill_count) == (4, 9, 3)


@given(numbers=st.sets(st.integers(0, 2**40 - 1), min_size=1, max_size=20), seed=st.integers(0, 2**32))
def test_the_bytes_do_not_depend_on_the_order_the_facts_come_in(numbers, seed):
    facts = [
        fill(number, order(number % 5, SIDE_BUY), order(5 + number % 3, SIDE_SELL)) for number in numbers
    ]
    shuffled = random.Random(seed).sample(facts, len(facts))
    assert compose_batch(shuffled) == compose_batch(facts)


@given(
    number=st.integers(0, 2**40 - 1),
    lots=st.integers(1, 2**48 - 1),
    price_ticks=st.integers(0, 2**40 - 1),
    match_time_ns=st.integers(0, 2**40 * 10**9 - 1),
    terms_id=st.integers(0, 2**16 - 1),
    indices=st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1)),
)
def test_a_packed_fill_holds_every_field_at_its_place(
    number, lots, price_ticks, match_time_ns, terms_id, indices
):
    fact = FillFact(number, lots, price_ticks, match_time_ns, terms_id, BUY, SELL)
    word = int.from_bytes(pack_fill(fact, *indices), "big")
    places = ((216, 40), (200, 16), (184, 16), (136, 48), (96, 40), (56, 40), (40, 16), (0, 40))
    unpacked = tuple(word >> shift & (1 << bits) - 1 for shift, bits in places)
    assert unpacked == (number, *indices, lots, price_ticks, match_time_ns // 10**9, terms_id, 0)


def test_the_hashes_are_of_the_packed_fills_and_of_the_orders():
    batch = compose_batch([fill(1, BUY, SELL)])
    assert batch.fills_hash == keccak256(batch.packed_fills)
    assert batch.orders_hash == keccak256(order_struct_hash(BUY) + order_struct_hash(SELL))


def test_the_attestation_is_plain_eip_712():
    batch = compose_batch([fill(1, BUY, SELL)])
    message = encode_typed_data(
        {
            "name": "ABST DvP",
            "version": "1",
            "chainId": 31337,
            "verifyingContract": DOMAIN.verifying_contract,
        },
        {
            "Batch": [
                {"name": "trancheToken", "type": "address"},
                {"name": "cashToken", "type": "address"},
                {"name": "shard", "type": "uint16"},
                {"name": "journalRow", "type": "uint64"},
                {"name": "rowHash", "type": "bytes32"},
                {"name": "fillsHash", "type": "bytes32"},
                {"name": "ordersHash", "type": "bytes32"},
            ]
        },
        {
            "trancheToken": TRANCHE,
            "cashToken": CASH,
            "shard": 3,
            "journalRow": 77,
            "rowHash": b"\x0a" * 32,
            "fillsHash": batch.fills_hash,
            "ordersHash": batch.orders_hash,
        },
    )
    expected = keccak256(b"\x19" + message.version + message.header + message.body)
    assert attestation_digest(DOMAIN, 3, 77, b"\x0a" * 32, TRANCHE, CASH, batch) == expected


def test_versions_of_one_key_follow_each_other_in_one_batch():
    newer = replace(BUY, version=1, quantity_lots=200)
    batch = compose_batch([fill(1, BUY, SELL), fill(2, newer, SELL)])
    assert batch.orders == [BUY, newer, SELL]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        pytest.param(
            [fill(1, BUY, SELL), fill(2, replace(BUY, version=1), SELL), fill(3, BUY, SELL)],
            "fill 3: version 0 comes after 1",
            id="back to an old version",
        ),
        pytest.param([], "at least one", id="no fill"),
        pytest.param([fill(1, BUY, SELL)] * 2, "fill 1 appears twice", id="number used twice"),
        pytest.param([fill(1, SELL, SELL)], "wrong side", id="seller buys"),
        pytest.param(
            [fill(1, BUY, SELL), fill(2, BUY, replace(SELL, tranche_token=b"\x07" * 20))],
            "fill 2",
            id="tranches",
        ),
        pytest.param([fill(1, BUY, replace(SELL, cash_token=b"\x07" * 20))], "fill 1", id="cash tokens"),
        pytest.param([fill(1, BUY, SELL, lots=0)], "no lots", id="no lots"),
        pytest.param([fill(1, BUY, SELL, lots=2**48)], "48 bits", id="too many lots"),
        pytest.param([fill(2**40, BUY, SELL)], "40 bits", id="number too large"),
        pytest.param(
            [fill(1, replace(BUY, version=1), SELL), fill(2, BUY, SELL)],
            "version 0 comes after 1",
            id="old version",
        ),
        pytest.param(
            [
                fill(1, order(1, SIDE_BUY, kind=KIND_ONCE), SELL),
                fill(2, order(1, SIDE_BUY, kind=KIND_ONCE, version=1), SELL),
            ],
            "once-order",
            id="second version of a once-order",
        ),
    ],
)
def test_facts_that_make_no_batch_are_refused(facts, reason):
    with pytest.raises(BatchError, match=reason):
        compose_batch(facts)


def test_an_attestation_for_another_tranche_is_refused():
    batch = compose_batch([fill(1, BUY, SELL)])
    with pytest.raises(BatchError, match="another tranche"):
        attestation_digest(DOMAIN, 0, 1, bytes(32), b"\x07" * 20, CASH, batch)
