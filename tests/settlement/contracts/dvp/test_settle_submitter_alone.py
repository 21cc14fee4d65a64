"""DvP.settle: the submitter without the engine's key settles nothing that was not matched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.settlement_batch import compose_batch
from engine.signed_order import address_of, keccak256
from settlement.dvp_calldata import encode_settle

ATTACKER = keccak256(b"attacker")
OPERATOR = keccak256(b"key of operator")
ENGINE = keccak256(b"key of attestor")


def calldata_of(contracts, fills, *signers, attested=None):
    """A whole batch; ``attested`` is what the engine signed, where that is another."""
    batch = compose_batch(fills)
    return encode_settle(batch, contracts.signatures(batch, *signers), contracts.attest(attested or batch))


def test_submitter_invents_a_fill(contracts, seller, buyer, fill, refused):
    attested = compose_batch([replace(fill, lots=5)])
    invented = [replace(fill, lots=5), replace(fill, fill_number=2, lots=5)]
    with refused("AttestationRefused"):
        contracts.submit(calldata_of(contracts, invented, buyer, seller, attested=attested))


def test_submitter_changes_a_price_within_the_limits(contracts, seller, buyer, refused):
    fill = contracts.fill(1, contracts.buy(buyer), contracts.sell(seller), price_ticks=9_900)
    worse = replace(fill, price_ticks=9_901)
    with refused("AttestationRefused"):
        contracts.submit(calldata_of(contracts, [worse], buyer, seller, attested=compose_batch([fill])))


def test_submitter_drops_a_leg(contracts, seller, buyer, fill, refused):
    pair = [replace(fill, lots=5), replace(fill, fill_number=2, lots=5)]
    with refused("AttestationRefused"):
        contracts.submit(calldata_of(contracts, pair[:1], buyer, seller, attested=compose_batch(pair)))


def test_submitter_swaps_an_order_for_an_older_version(contracts, seller, buyer, fill, refused):
    newer = replace(fill.buy, version=2)
    attested = compose_batch([replace(fill, buy=newer)])
    with refused("AttestationRefused"):
        contracts.submit(calldata_of(contracts, [fill], buyer, seller, attested=attested))


def test_submitter_signs_the_attestation_itself(contracts, seller, buyer, fill, refused):
    batch = compose_batch([fill])
    own = contracts.attest(batch, OPERATOR)
    with refused("AttestationRefused", signer=address_of(OPERATOR)):
        contracts.submit(encode_settle(batch, contracts.signatures(batch, buyer, seller), own))


def test_submitter_sends_no_attestation(contracts, seller, buyer, fill, refused):
    batch = compose_batch([fill])
    for nothing in (b"", bytes(65)):
        attestation = replace(contracts.attest(batch), signature=nothing)
        with refused("AttestationRefused", signer=bytes(20)):
            contracts.submit(encode_settle(batch, contracts.signatures(batch, buyer, seller), attestation))


@pytest.mark.parametrize("field", ["shard", "journal_row", "row_hash"])
def test_submitter_tells_of_another_journal_row(contracts, seller, buyer, fill, refused, field):
    batch = compose_batch([fill])
    attestation = contracts.attest(batch)
    moved = replace(attestation, **{field: keccak256(b"x") if field == "row_hash" else 9})
    with refused("AttestationRefused"):
        contracts.submit(encode_settle(batch, contracts.signatures(batch, buyer, seller), moved))


def test_an_attested_batch_without_the_submitters_role(contracts, seller, buyer, fill, refused):
    calldata = calldata_of(contracts, [fill], buyer, seller)
    for key in (ATTACKER, ENGINE, seller):
        with refused("AccessControlUnauthorizedAccount", account=address_of(key)):
            contracts.submit(calldata, key)
