"""DvP.settle: what settled settles never again, here or elsewhere."""

from __future__ import annotations

from dataclasses import replace

from engine.settlement_batch import attestation_digest, compose_batch
from engine.signed_order import Domain, address_of, keccak256, order_digest, sign_digest, sign_order
from settlement.dvp_calldata import encode_settle

ENGINE = keccak256(b"key of attestor")


def calldata_of(contracts, fills, *signers, attested=None):
    """A whole batch; ``attested`` is what the engine signed, where that is another."""
    batch = compose_batch(fills)
    return encode_settle(batch, contracts.signatures(batch, *signers), contracts.attest(attested or batch))


def test_replay_of_a_batch(contracts, seller, buyer, fill, refused):
    calldata = calldata_of(contracts, [fill], buyer, seller)
    contracts.submit(calldata)
    with refused("FillAlreadySettled", fillIndex=0, fillNumber=1):
        contracts.submit(calldata)


def test_replay_of_a_fill_in_a_second_batch(contracts, seller, buyer, fill, refused):
    small = replace(fill, lots=1)
    contracts.settle([small], buyer, seller)
    with refused("FillAlreadySettled", fillIndex=1, fillNumber=1):
        contracts.settle([replace(small, fill_number=0), small], buyer, seller)


def test_replay_of_a_fill_within_a_batch(contracts, seller, buyer, fill, refused):
    batch = compose_batch([replace(fill, lots=1)])
    twice = batch.packed_fills * 2
    doubled = replace(batch, packed_fills=twice, fills_hash=keccak256(twice))
    calldata = encode_settle(doubled, contracts.signatures(doubled, buyer, seller), contracts.attest(doubled))
    with refused("FillOutOfOrder", fillIndex=1, fillNumber=1):
        contracts.submit(calldata)


def test_replay_of_orders_and_attestation_from_another_chain(contracts, seller, buyer, fill, refused):
    elsewhere = Domain(1, contracts.venue.dvp)
    batch = compose_batch([fill])
    keys = {address_of(key): key for key in (buyer, seller)}
    foreign = [sign_order(order_digest(elsewhere, order), keys[order.account]) for order in batch.orders]
    with refused("BadSignature", orderIndex=0):
        contracts.submit(encode_settle(batch, foreign, contracts.attest(batch)))
    attestation = contracts.attest(batch)
    digest = attestation_digest(
        elsewhere, 3, 7, attestation.row_hash, batch.tranche_token, batch.cash_token, batch
    )
    foreign_attestation = replace(attestation, signature=sign_digest(digest, ENGINE))
    with refused("AttestationRefused"):
        contracts.submit(
            encode_settle(batch, contracts.signatures(batch, buyer, seller), foreign_attestation)
        )
