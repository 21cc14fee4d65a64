"""A settlement batch as the chain reads it: packed fills, the orders they need, and the engine's attestation.

Pure. The attestor (engine side) and the settlement service both compose a batch from the same facts and must
come to the same bytes; the attestation binds the fills, the orders and the journal row they come from, so
that a submitter without the engine's key can settle nothing that was not matched (DESIGN D8).

A batch is of one tranche and one cash token. Errors: BatchError(ValueError).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from engine.signed_order import (
    KIND_ONCE,
    SIDE_BUY,
    SIDE_SELL,
    Domain,
    SignedOrder,
    address_word,
    keccak256,
    order_struct_hash,
    typed_digest,
    uint_word,
)

FILL_BYTES: Final = 32
FILL_LOTS_BITS: Final = 48
FILL_PRICE_BITS: Final = 40
NANOSECONDS_PER_SECOND: Final = 1_000_000_000
MAX_ORDERS: Final = 1 << 16

BATCH_TYPE: Final = (
    b"Batch(address trancheToken,address cashToken,uint16 shard,uint64 journalRow,bytes32 rowHash,"
    b"bytes32 fillsHash,bytes32 ordersHash)"
)
_BATCH_TYPE_HASH: Final = keccak256(BATCH_TYPE)


class BatchError(ValueError):
    """Facts that make no batch: the message names the fill."""


@dataclass(frozen=True, slots=True)
class FillFact:
    """One fill as matched. ``fill_number`` is dense per tranche; ``match_time_ns`` is UTC; ``lots`` > 0."""

    fill_number: int
    lots: int
    price_ticks: int
    match_time_ns: int
    terms_id: int
    buy: SignedOrder
    sell: SignedOrder


@dataclass(frozen=True, slots=True)
class ComposedBatch:
    """A batch ready to be attested and encoded.

    ``orders``: unique, in the order the fills need them (so that versions of one key ascend).
    ``packed_fills``: one 32-byte word per fill by ascending fill number. ``fills_hash``: keccak of
    ``packed_fills``. ``orders_hash``: keccak of the orders' struct hashes, concatenated.
    """

    tranche_token: bytes
    cash_token: bytes
    orders: list[SignedOrder]
    packed_fills: bytes
    fills_hash: bytes
    orders_hash: bytes
    first_fill: int
    last_fill: int

    @property
    def fill_count(self) -> int:
        """Number of fills in the batch."""
        return len(self.packed_fills) // FILL_BYTES


def compose_batch(fills: Iterable[FillFact]) -> ComposedBatch:
    """Compose the batch of these fills, given in any order; O(n log n).

    Raises BatchError for no fill, a number used twice, tranches or cash tokens that differ, a side that is
    not the order's, an order version below one already used, or a number that does not fit its field.
    """
    ordered = sorted(fills, key=lambda fill: fill.fill_number)
    if not ordered:
        raise BatchError("a batch needs at least one fill")
    _check_numbers_once(ordered)
    tranche_token, cash_token = _the_one_tranche(ordered)
    orders = sorted(_orders_needed(ordered), key=_order_key)
    index_of = {order: index for index, order in enumerate(orders)}
    packed = b"".join(pack_fill(fill, index_of[fill.buy], index_of[fill.sell]) for fill in ordered)
    return ComposedBatch(
        tranche_token=tranche_token,
        cash_token=cash_token,
        orders=orders,
        packed_fills=packed,
        fills_hash=keccak256(packed),
        orders_hash=keccak256(b"".join(map(order_struct_hash, orders))),
        first_fill=ordered[0].fill_number,
        last_fill=ordered[-1].fill_number,
    )


def pack_fill(fill: FillFact, buy_index: int, sell_index: int) -> bytes:
    """One fill as its 32-byte word, most significant bit first.

    fillNumber u40 | buyOrder u16 | sellOrder u16 | lots u48 | priceTicks u40 | matchTime u40 | termsId u16 |
    zero u40 Raises BatchError for a value that does not fit.
    """
    word = 0
    for value, bits in (
        (fill.fill_number, 40),
        (buy_index, 16),
        (sell_index, 16),
        (fill.lots, FILL_LOTS_BITS),
        (fill.price_ticks, FILL_PRICE_BITS),
        (fill.match_time_ns // NANOSECONDS_PER_SECOND, 40),
        (fill.terms_id, 16),
    ):
        if value < 0 or value >> bits:
            raise BatchError(f"fill {fill.fill_number}: {value} does not fit {bits} bits")
        word = word << bits | value
    if fill.lots == 0:
        raise BatchError(f"fill {fill.fill_number} has no lots")
    return (word << 40).to_bytes(FILL_BYTES, "big")


def attestation_digest(
    domain: Domain,
    shard: int,
    journal_row: int,
    row_hash: bytes,
    tranche: bytes,
    cash: bytes,
    batch: ComposedBatch,
) -> bytes:
    """The EIP-712 digest the engine's key signs for a batch; 32 bytes.

    ``journal_row`` and ``row_hash`` name the last row of the shard's journal that the batch's fills come
    from. Raises BatchError when tranche or cash are not the batch's, ValueError for a field out of range.
    """
    if tranche != batch.tranche_token or cash != batch.cash_token:
        raise BatchError("the attestation names another tranche or cash token than the batch")
    if len(row_hash) != 32:
        raise BatchError(f"a row hash has 32 bytes, not {len(row_hash)}")
    struct_hash = keccak256(
        _BATCH_TYPE_HASH
        + address_word(tranche)
        + address_word(cash)
        + uint_word(shard, 16)
        + uint_word(journal_row, 64)
        + row_hash
        + batch.fills_hash
        + batch.orders_hash
    )
    return typed_digest(domain, struct_hash)


def _check_numbers_once(ordered: list[FillFact]) -> None:
    """Refuse a fill number that appears twice."""
    for before, after in pairwise(ordered):
        if before.fill_number == after.fill_number:
            raise BatchError(f"fill {after.fill_number} appears twice")


def _the_one_tranche(ordered: list[FillFact]) -> tuple[bytes, bytes]:
    """Tranche and cash token that every order of every fill names, each on its own side."""
    tranche_token, cash_token = ordered[0].buy.tranche_token, ordered[0].buy.cash_token
    for fill in ordered:
        for order, side in ((fill.buy, SIDE_BUY), (fill.sell, SIDE_SELL)):
            if order.side != side:
                raise BatchError(f"fill {fill.fill_number} has an order on the wrong side")
            if order.tranche_token != tranche_token or order.cash_token != cash_token:
                raise BatchError(f"fill {fill.fill_number} is of another tranche or cash token")
    return tranche_token, cash_token


def _order_key(order: SignedOrder) -> tuple[bytes, int, int, int]:
    """What orders are sorted by in a batch."""
    return order.account, order.kind, order.nonce, order.version


def _orders_needed(ordered: list[FillFact]) -> set[SignedOrder]:
    """Each order once; along the fills the versions of one key must ascend."""
    needed: set[SignedOrder] = set()
    newest: dict[tuple[bytes, int, int], SignedOrder] = {}
    for fill in ordered:
        for order in (fill.buy, fill.sell):
            key = (order.account, order.kind, order.nonce)
            before = newest.get(key)
            if before is not None and order != before:
                _check_version(fill, before, order)
            newest[key] = order
            needed.add(order)
    if len(needed) > MAX_ORDERS:
        raise BatchError(f"a batch holds at most {MAX_ORDERS} orders, not {len(needed)}")
    return needed


def _check_version(fill: FillFact, before: SignedOrder, order: SignedOrder) -> None:
    """Refuse what the contract would refuse: a spent once-order, or a version not above the one before."""
    if order.kind == KIND_ONCE:
        raise BatchError(f"fill {fill.fill_number}: a once-order's nonce {order.nonce} is used by two orders")
    if order.version <= before.version:
        raise BatchError(f"fill {fill.fill_number}: version {order.version} comes after {before.version}")
