"""The bytes between settlement and the DvP contract."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import encode

from engine.settlement_batch import BatchError, FillFact, compose_batch
from engine.signed_order import SIDE_BUY, SIDE_SELL, SignatureError, SignedOrder, sign_digest
from settlement.contract_abi import ContractName, contract_abi
from settlement.dvp_calldata import (
    MAX_CALLDATA_BYTES,
    ORDER_BYTES,
    Attestation,
    BatchSettled,
    decode_batch_settled,
    decode_refusal,
    encode_settle,
    pack_order,
)

pytestmark = pytest.mark.usefixtures("compiled")
SIGNATURE = sign_digest(bytes(32), bytes(range(1, 33)))
ATTESTATION = Attestation(1, 2, bytes(32), SIGNATURE)
BUY = SignedOrder(b"\x01" * 20, b"\x02" * 20, b"\x03" * 20, SIDE_BUY, 1, 10, 5, 6, 0, 2**40, 1, 1)
SELL = replace(BUY, account=b"\x04" * 20, side=SIDE_SELL)


def batch_of(fills):
    """A batch of that many fills between two orders."""
    return compose_batch([FillFact(i, 1, 5, 10**18, 1, BUY, SELL) for i in range(fills)])


def test_an_order_travels_in_its_fixed_width():
    assert len(pack_order(BUY, 0, SIGNATURE)) == ORDER_BYTES


def test_three_thousand_fills_of_standing_orders_fit_one_transaction():
    calldata = encode_settle(batch_of(3_000), [SIGNATURE] * 2, ATTESTATION)
    assert len(calldata) < MAX_CALLDATA_BYTES


def test_every_order_needs_its_signature():
    with pytest.raises(BatchError, match="2 orders need as many signatures"):
        encode_settle(batch_of(1), [SIGNATURE], ATTESTATION)


def test_a_malformed_signature_is_refused_before_anything_is_sent():
    with pytest.raises(SignatureError):
        encode_settle(batch_of(1), [SIGNATURE, bytes(65)], ATTESTATION)


def test_a_limit_beyond_its_field_is_refused():
    with pytest.raises(BatchError, match="does not fit"):
        pack_order(replace(BUY, cash_limit_per_lot=2**64), 0, SIGNATURE)


@pytest.mark.parametrize(
    ("contract", "error", "values", "blamed"),
    [
        (ContractName.DVP, "PriceBeyondLimit", (3, 7), {"fill_index": 3, "order_index": 7}),
        (
            ContractName.DVP,
            "BadSignature",
            (4, b"\x05" * 20, bytes(20)),
            {"order_index": 4, "account": b"\x05" * 20},
        ),
        (ContractName.TRANCHE_TOKEN, "HolderFrozen", (b"\x06" * 20,), {"account": b"\x06" * 20}),
        (ContractName.VAULT, "InsufficientCash", (b"\x07" * 20, 1, 2), {"account": b"\x07" * 20}),
    ],
)
def test_a_refusal_names_whom_it_blames(contract, error, values, blamed):
    signature = next(each for each in contract_abi(contract).errors.values() if each.name == error)
    refusal = decode_refusal(signature.selector + encode(signature.input_types, values))
    expected = {"order_index": None, "fill_index": None, "account": None, **blamed}
    assert refusal.error == error
    assert {name: getattr(refusal, name) for name in expected} == expected


def test_what_solidity_itself_says_is_understood_too():
    panic = decode_refusal(bytes.fromhex("4e487b71") + encode(["uint256"], [0x11]))
    assert (panic.error, dict(panic.arguments)) == ("Panic", {"code": 0x11})
    assert decode_refusal(b"").error == ""
    assert decode_refusal(b"\xde\xad\xbe\xef").error == "0xdeadbeef"


def test_the_event_of_a_settled_batch_is_typed(contracts):
    seller, buyer = contracts.investor("seller", lots=5), contracts.investor("buyer", cash=10**9)
    batch = compose_batch([contracts.fill(8, contracts.buy(buyer), contracts.sell(seller))])
    attestation = contracts.attest(batch)
    contracts.submit(encode_settle(batch, contracts.signatures(batch, buyer, seller), attestation))
    query = {"address": "0x" + contracts.venue.dvp.hex(), "fromBlock": hex(contracts.node.head)}
    (log,) = contracts.node.rpc("eth_getLogs", query)
    settled = decode_batch_settled(
        [bytes.fromhex(topic[2:]) for topic in log["topics"]], bytes.fromhex(log["data"][2:])
    )
    assert settled == BatchSettled(
        tranche_token=contracts.tranche.token,
        first_fill=8,
        last_fill=8,
        count=1,
        shard=attestation.shard,
        journal_row=attestation.journal_row,
        row_hash=attestation.row_hash,
        fills_hash=batch.fills_hash,
    )


def test_another_event_is_none(contracts):
    event = contract_abi(ContractName.DVP).event("CancelRequested")
    assert decode_batch_settled([event.topic, bytes(32), bytes(32)], bytes(32)) is None
    assert decode_batch_settled([b"\x01" * 32], b"") is None
