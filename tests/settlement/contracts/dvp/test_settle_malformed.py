"""DvP.settle: bytes that are no batch are refused with what is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.settlement_batch import compose_batch
from engine.signed_order import keccak256
from settlement.dvp_calldata import ORDER_BYTES, encode_settle

OPERATOR = keccak256(b"key of operator")


def test_a_batch_of_nothing_or_of_torn_bytes(contracts, seller, buyer, fill, refused):
    batch = compose_batch([fill])
    header = (batch.tranche_token, batch.cash_token, 3, 7, bytes(32))
    accounts = sorted(order.account for order in batch.orders)
    for orders, fills in (
        (bytes(2 * ORDER_BYTES), b""),
        (bytes(2 * ORDER_BYTES - 1), batch.packed_fills),
        (bytes(2 * ORDER_BYTES), batch.packed_fills[:31]),
    ):
        with refused("MalformedBatch"):
            contracts.act(OPERATOR, contracts.venue.dvp, "settle", header, accounts, orders, fills, bytes(65))


def test_participants_twice_or_out_of_order(contracts, seller, buyer, fill, refused):
    batch = compose_batch([fill])
    header = (batch.tranche_token, batch.cash_token, 3, 7, bytes(32))
    accounts = sorted(order.account for order in batch.orders)
    for wrong in (accounts[::-1], [accounts[0], accounts[0], accounts[1]], [bytes(20), *accounts]):
        with refused("ParticipantsNotAscending"):
            contracts.act(
                OPERATOR,
                contracts.venue.dvp,
                "settle",
                header,
                wrong,
                bytes(2 * ORDER_BYTES),
                batch.packed_fills,
                bytes(65),
            )


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda word: word | 1, "BadFill"),
        (lambda word: word & ~(0xFFFFFFFFFFFF << 136), "BadFill"),
        (lambda word: word | 0xFFFF << 200, "BadFill"),
        (lambda word: word | 0xFFFF << 184, "BadFill"),
        (lambda word: word | 0xFF << 40, "UnknownTerms"),
        (lambda word: word & ~(0xFFFF << 40), "UnknownTerms"),
        (lambda word: word | 0xFFFFFFFFFF << 56, "FillFromTheFuture"),
        (lambda word: word & ~(0xFFFFFFFFFF << 56), "FillTooOld"),
    ],
    ids=["bits of the rest", "no lots", "no buy", "no sell", "terms never set", "terms 0", "future", "past"],
)
def test_a_fill_that_makes_no_sense(contracts, seller, buyer, fill, refused, spoil, error):
    batch = compose_batch([fill])
    packed = spoil(int.from_bytes(batch.packed_fills, "big")).to_bytes(32, "big")
    spoiled = replace(batch, packed_fills=packed, fills_hash=keccak256(packed))
    calldata = encode_settle(spoiled, contracts.signatures(spoiled, buyer, seller), contracts.attest(spoiled))
    with refused(error, fillIndex=0):
        contracts.submit(calldata)


def test_an_order_that_no_fill_uses(contracts, seller, buyer, fill, refused):
    batch = compose_batch([fill])
    idle = contracts.buy(buyer, nonce=(1 << 64) - 1)
    orders = [*batch.orders, idle]
    hashes = b"".join(contracts.struct_hash(order) for order in orders)
    padded = replace(batch, orders=orders, orders_hash=keccak256(hashes))
    calldata = encode_settle(padded, contracts.signatures(padded, buyer, seller), contracts.attest(padded))
    with refused("OrderUnused", orderIndex=2):
        contracts.submit(calldata)


@pytest.mark.parametrize(("field", "value"), [("side", 0), ("side", 3), ("kind", 2)])
def test_an_order_of_no_side_or_kind(contracts, seller, buyer, fill, refused, field, value):
    batch = compose_batch([fill])
    index = [order.side for order in batch.orders].index(1)
    orders = [
        replace(order, **{field: value}) if i == index else order for i, order in enumerate(batch.orders)
    ]
    hashes = b"".join(contracts.struct_hash(order) for order in orders)
    spoiled = replace(batch, orders=orders, orders_hash=keccak256(hashes))
    calldata = encode_settle(spoiled, contracts.signatures(spoiled, buyer, seller), contracts.attest(spoiled))
    with refused("BadOrder", orderIndex=index):
        contracts.submit(calldata)


def test_a_tranche_that_is_not_listed(contracts, seller, buyer, fill, refused):
    contracts.act(
        contracts.keys.administrator, contracts.venue.dvp, "listTranche", contracts.tranche.token, 0
    )
    with refused("TrancheNotListed", trancheToken=contracts.tranche.token):
        contracts.settle([fill], buyer, seller)
