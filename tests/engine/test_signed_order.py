"""The hand-made EIP-712 hashing and the signatures over it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields, replace

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from engine.signed_order import (
    KIND_STANDING,
    SIDE_BUY,
    Domain,
    SignatureError,
    SignedOrder,
    address_of,
    compact_signature,
    order_digest,
    recover_signer,
    sign_order,
)

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = bytes(range(1, 33))
DOMAIN = Domain(chain_id=31337, verifying_contract=b"\xd5" * 20)
ORDER = SignedOrder(
    account=b"\x01" * 20,
    tranche_token=b"\x02" * 20,
    cash_token=b"\x03" * 20,
    side=SIDE_BUY,
    kind=KIND_STANDING,
    quantity_lots=5_000,
    limit_price_ticks=9_875,
    cash_limit_per_lot=98_760,
    fee_limit=100,
    valid_until=1_900_000_000,
    nonce=7,
    version=0,
)
ORDER_FIELDS = [
    ("account", "address"),
    ("trancheToken", "address"),
    ("cashToken", "address"),
    ("side", "uint8"),
    ("kind", "uint8"),
    ("quantityLots", "uint64"),
    ("limitPriceTicks", "uint64"),
    ("cashLimitPerLot", "uint128"),
    ("feeLimit", "uint128"),
    ("validUntil", "uint64"),
    ("nonce", "uint64"),
    ("version", "uint32"),
]

addresses = st.binary(min_size=20, max_size=20)


def uints(bits: int) -> st.SearchStrategy[int]:
    """Integers of one Solidity width, its edges likely."""
    return st.one_of(st.just(0), st.just(2**bits - 1), st.integers(0, 2**bits - 1))


orders = st.builds(
    SignedOrder,
    account=addresses,
    tranche_token=addresses,
    cash_token=addresses,
    side=uints(8),
    kind=uints(8),
    quantity_lots=uints(64),
    limit_price_ticks=uints(64),
    cash_limit_per_lot=uints(128),
    fee_limit=uints(128),
    valid_until=uints(64),
    nonce=uints(64),
    version=uints(32),
)


def reference_digest(domain: Domain, order: SignedOrder) -> bytes:
    """The digest as eth_account's general encoder computes it."""
    values = [getattr(order, field.name) for field in fields(order)]
    message = encode_typed_data(
        {
            "name": "ABST DvP",
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": domain.verifying_contract,
        },
        {"Order": [{"name": name, "type": kind} for name, kind in ORDER_FIELDS]},
        {name: value for (name, _), value in zip(ORDER_FIELDS, values, strict=True)},
    )
    return keccak(b"\x19" + message.version + message.header + message.body)


def malleated(signature: bytes) -> bytes:
    """The other signature that the bare curve also accepts for the same digest."""
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes((55 - signature[64],))


@given(order=orders, chain_id=uints(64), contract=addresses)
def test_the_digest_is_the_one_of_the_general_encoder(order, chain_id, contract):
    domain = Domain(chain_id, contract)
    assert order_digest(domain, order) == reference_digest(domain, order)


@given(key=st.integers(1, CURVE_ORDER - 1), order=orders)
def test_whoever_signed_is_recovered_and_eth_account_agrees(key, order):
    private_key = key.to_bytes(32, "big")
    digest = order_digest(DOMAIN, order)
    signature = sign_order(digest, private_key)
    assert recover_signer(digest, signature) == address_of(private_key)
    assert bytes(Account.unsafe_sign_hash(digest, private_key).signature) == signature


@pytest.mark.parametrize("field", [field.name for field in fields(SignedOrder)])
def test_changing_any_field_changes_the_signer(field):
    digest = order_digest(DOMAIN, ORDER)
    signature = sign_order(digest, KEY)
    value = getattr(ORDER, field)
    changed = replace(ORDER, **{field: value + 1 if isinstance(value, int) else b"\x09" * 20})
    assert recover_signer(order_digest(DOMAIN, changed), signature) != address_of(KEY)


def test_a_signature_is_of_one_chain_and_one_contract():
    digests = {
        order_digest(domain, ORDER)
        for domain in (DOMAIN, replace(DOMAIN, chain_id=1), replace(DOMAIN, verifying_contract=b"\x07" * 20))
    }
    assert len(digests) == 3


def test_the_compact_form_recovers_the_same_signer():
    digest = order_digest(DOMAIN, ORDER)
    signature = sign_order(digest, KEY)
    compact = compact_signature(signature)
    assert len(compact) == 64
    assert compact_signature(compact) == compact
    assert recover_signer(digest, compact) == address_of(KEY)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda signature: bytes(65), id="all zeros"),
        pytest.param(lambda signature: bytes(64) + b"\x1b", id="zero r and s"),
        pytest.param(lambda signature: signature[:32] + bytes(32) + signature[64:], id="zero s"),
        pytest.param(lambda signature: b"\xff" * 32 + signature[32:], id="r beyond the curve"),
        pytest.param(malleated, id="the malleable half"),
        pytest.param(lambda signature: signature[:64] + b"\x00", id="v of 0"),
        pytest.param(lambda signature: signature[:64] + b"\x1d", id="v of 29"),
        pytest.param(lambda signature: signature[:63], id="63 bytes"),
        pytest.param(lambda signature: signature + b"\x00", id="66 bytes"),
        pytest.param(lambda signature: b"", id="nothing"),
    ],
)
def test_a_signature_that_proves_nothing_is_refused(spoil):
    digest = order_digest(DOMAIN, ORDER)
    with pytest.raises(SignatureError):
        recover_signer(digest, spoil(sign_order(digest, KEY)))


def test_an_r_that_is_no_point_is_refused():
    not_on_curve = (5).to_bytes(32, "big") + (1).to_bytes(32, "big") + b"\x1b"
    with pytest.raises(SignatureError):
        recover_signer(bytes(32), not_on_curve)


@given(digest=st.binary(min_size=32, max_size=32), signature=st.binary(min_size=60, max_size=66))
def test_any_bytes_are_a_signer_or_a_documented_error(digest, signature):
    with suppress(SignatureError):
        assert len(recover_signer(digest, signature)) == 20


@pytest.mark.parametrize(
    ("field", "value"), [("side", 256), ("quantity_lots", 2**64), ("version", -1), ("account", b"\x01" * 19)]
)
def test_a_field_that_does_not_fit_its_type_is_refused(field, value):
    with pytest.raises(ValueError, match=r"fit uint|20 bytes"):
        order_digest(DOMAIN, replace(ORDER, **{field: value}))
