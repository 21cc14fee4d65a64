"""DvP.settle: a signature is of its account, and there is one form of it."""

from __future__ import annotations

import pytest

from engine.settlement_batch import compose_batch
from engine.signed_order import address_of, keccak256, order_digest, sign_order
from settlement.dvp_calldata import encode_settle

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ATTACKER = keccak256(b"attacker")


def test_malleable_signature(contracts, seller, buyer, fill, refused):
    batch = compose_batch([fill])
    calldata = encode_settle(batch, contracts.signatures(batch, buyer, seller), contracts.attest(batch))
    compact = contracts.compact_signatures(batch, buyer, seller)[0]
    s = int.from_bytes(compact[32:], "big") & (1 << 255) - 1
    flipped = CURVE_ORDER - s
    malleated = compact[:32] + (flipped & (1 << 255) - 1 | (~compact[32] & 0x80) << 248).to_bytes(32, "big")
    with refused("BadSignature", orderIndex=0):
        contracts.submit(calldata.replace(compact, malleated))


@pytest.mark.parametrize(
    "forged", [bytes(64), b"\x00" * 32 + b"\x01" * 32, b"\xff" * 64], ids=["zero", "r", "ff"]
)
def test_signature_of_nobody(contracts, seller, buyer, fill, refused, forged):
    batch = compose_batch([fill])
    calldata = encode_settle(batch, contracts.signatures(batch, buyer, seller), contracts.attest(batch))
    real = contracts.compact_signatures(batch, buyer, seller)[1]
    with refused("BadSignature", orderIndex=1, signer=bytes(20)):
        contracts.submit(calldata.replace(real, forged))


def test_signature_of_somebody_else(contracts, seller, buyer, fill, refused):
    batch = compose_batch([fill])
    digests = [order_digest(contracts.venue.domain, order) for order in batch.orders]
    forged = [sign_order(digest, ATTACKER) for digest in digests]
    with refused("BadSignature", orderIndex=0, signer=address_of(ATTACKER)):
        contracts.submit(encode_settle(batch, forged, contracts.attest(batch)))
