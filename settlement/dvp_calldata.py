"""The bytes between settlement and the DvP contract: the call that settles a batch, and what comes back.

Orders travel packed, 120 bytes each with a compact signature (``contracts/libraries/PackedOrders.sol``),
because at 1,000 orders the calldata floor of EIP-7623 would cost more than their execution.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from eth_abi.abi import decode

from engine.settlement_batch import BatchError, ComposedBatch
from engine.signed_order import SignedOrder, compact_signature
from settlement.contract_abi import ContractName, Signature, contract_abi, decode_event

ORDER_BYTES: Final = 120
MAX_CALLDATA_BYTES: Final = 120 * 1024
"""What node pools take of one transaction, envelope included (DESIGN D9)."""
_FIELDS: Final = struct.Struct(">HBBQIQQQQQ")


@dataclass(frozen=True, slots=True)
class Attestation:
    """What the engine attested of a batch: shard, journal row, its hash (32 bytes), signature (65 bytes)."""

    shard: int
    journal_row: int
    row_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class BatchSettled:
    """The event BatchSettled of the DvP contract."""

    tranche_token: bytes
    first_fill: int
    last_fill: int
    count: int
    shard: int
    journal_row: int
    row_hash: bytes
    fills_hash: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a batch reverted. ``error`` is the name of the contract's error, empty where the node gave no data.

    ``order_index``, ``fill_index``, ``account`` say who is to blame, as far as the error says it: indices
    into the batch's orders and fills, the account's 20 bytes.
    """

    error: str
    arguments: Mapping[str, Any]
    order_index: int | None = None
    fill_index: int | None = None
    account: bytes | None = None


def batch_accounts(batch: ComposedBatch) -> list[bytes]:
    """The participants of a batch as the contract wants them: each once, ascending."""
    return sorted({order.account for order in batch.orders})


def encode_settle(batch: ComposedBatch, signatures: Sequence[bytes], attestation: Attestation) -> bytes:
    """Data of the call ``settle`` for a batch; ``signatures`` are of ``batch.orders``, in their order.

    Raises BatchError when they are not as many, SignatureError for one that is malformed or malleable.
    """
    if len(signatures) != len(batch.orders):
        raise BatchError(f"{len(batch.orders)} orders need as many signatures, not {len(signatures)}")
    accounts = batch_accounts(batch)
    index_of = {account: index for index, account in enumerate(accounts)}
    packed = b"".join(
        pack_order(order, index_of[order.account], signature)
        for order, signature in zip(batch.orders, signatures, strict=True)
    )
    header = (
        batch.tranche_token,
        batch.cash_token,
        attestation.shard,
        attestation.journal_row,
        attestation.row_hash,
    )
    dvp = contract_abi(ContractName.DVP)
    return dvp.call("settle", header, accounts, packed, batch.packed_fills, attestation.signature)


def pack_order(order: SignedOrder, participant: int, signature: bytes) -> bytes:
    """One order as its 120 bytes. Raises BatchError for a field that does not fit, SignatureError."""
    try:
        fields = _FIELDS.pack(
            participant,
            order.side,
            order.kind,
            order.nonce,
            order.version,
            order.valid_until,
            order.quantity_lots,
            order.limit_price_ticks,
            order.cash_limit_per_lot,
            order.fee_limit,
        )
    except struct.error as error:
        raise BatchError(f"an order of nonce {order.nonce} does not fit its fields: {error}") from error
    return fields + compact_signature(signature)


def decode_refusal(data: bytes) -> Refusal:
    """What revert data says. Errors of the token, the vault and their libraries come through the DvP
    contract."""
    signature = _errors().get(data[:4])
    if signature is None:
        return Refusal(error="0x" + data[:4].hex() if data else "", arguments={})
    values = decode(signature.input_types, data[4:])
    arguments: dict[str, Any] = {
        name: bytes.fromhex(value[2:]) if kind == "address" else value
        for name, kind, value in zip(signature.input_names, signature.input_types, values, strict=True)
    }
    return Refusal(
        error=signature.name,
        arguments=arguments,
        order_index=arguments.get("orderIndex"),
        fill_index=arguments.get("fillIndex"),
        account=arguments.get("account"),
    )


def decode_batch_settled(topics: Sequence[bytes], data: bytes) -> BatchSettled | None:
    """The BatchSettled of a log of the DvP contract, or None for another event."""
    event = decode_event(contract_abi(ContractName.DVP), topics, data)
    if event is None or event.name != "BatchSettled":
        return None
    values = event.arguments
    return BatchSettled(
        tranche_token=values["trancheToken"],
        first_fill=values["firstFill"],
        last_fill=values["lastFill"],
        count=values["count"],
        shard=values["shard"],
        journal_row=values["journalRow"],
        row_hash=values["rowHash"],
        fills_hash=values["fillsHash"],
    )


@cache
def _errors() -> Mapping[bytes, Signature]:
    """Every error that a settlement can end with, by selector; the two that Solidity itself has, too."""
    known: dict[bytes, Signature] = {}
    for name, kind, argument in (("Error", "string", "message"), ("Panic", "uint256", "code")):
        builtin = Signature(name, f"{name}({kind})", (kind,), (argument,))
        known[builtin.selector] = builtin
    for contract in ContractName:
        known.update(contract_abi(contract).errors)
    return known
