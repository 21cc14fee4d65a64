"""A shard's state as bytes and back, canonical: equal states give equal bytes, whatever book holds them.

Layout, little-endian: magic; length of the core part (u64); the core part; the closed orders; SHA-256 of
all before. The core part has everything in ascending order of its keys; of the closed orders it has the
number and the chained digest, so that :func:`digest` need not walk them.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Any, Final

from engine.account_state import AccountState
from engine.eligibility import Eligibility
from engine.holding import Holding
from engine.instrument import Instrument
from engine.ledger import CurrencyTotals, Purse
from engine.money import Terms
from engine.order_state import account_of, client_ids_of, order_from_bytes, order_id_of, record_bytes
from engine.shard_state import ShardState
from engine.tranche_state import BookFactory, TrancheState, UnsettledFill

MAGIC: Final = b"ABSTSC02"
RULES_VERSION: Final = 2
_HEAD: Final = struct.Struct("<8sQ")
_SHARD: Final = struct.Struct("<IIQQq")
_COUNT: Final = struct.Struct("<I")
_SOURCE: Final = struct.Struct("<IIQ")
_CURRENCY: Final = struct.Struct("<Iqq")
_ACCOUNT: Final = struct.Struct("<IIIQ")
_PURSE: Final = struct.Struct("<Iqqqq")
_INSTRUMENT: Final = struct.Struct("<IIBIIqqqqIQQQI")
_TERMS_AT: Final = 9
"""Terms are the last fields of an instrument."""
_TRANCHE: Final = struct.Struct("<BQQqqqQ32s")
_HOLDING: Final = struct.Struct("<IqqqqBHqQQ")
_FILL: Final = struct.Struct("<QQIIqqqq")


class SnapshotError(ValueError):
    """Bytes that are no snapshot of a shard, or a damaged one."""


def encode(state: ShardState) -> bytes:
    """The whole state as bytes; O(size of the state)."""
    core = _core(state)
    closed = [record for tranche in _tranches(state) for record in tranche.closed_orders]
    body = b"".join((_HEAD.pack(MAGIC, len(core)), core, *closed))
    return body + sha256(body).digest()


def digest(state: ShardState) -> bytes:
    """32 bytes over the whole state; O(size of the state, closed orders apart)."""
    return sha256(_core(state)).digest()


def decode(snapshot: bytes, new_book: BookFactory) -> ShardState:
    """Make a state of :func:`encode`'s bytes.

    Raises:
        SnapshotError: The bytes are no snapshot, or a damaged one.
    """
    body, checksum = snapshot[:-32], snapshot[-32:]
    if len(body) < _HEAD.size or sha256(body).digest() != checksum:
        raise SnapshotError("not a snapshot of a shard, or damaged")
    magic, core_bytes = _HEAD.unpack_from(body)
    if magic != MAGIC or core_bytes > len(body) - _HEAD.size:
        raise SnapshotError("not a snapshot of a shard that this version reads")
    reader = _Reader(body[_HEAD.size :])
    try:
        return _read_state(reader, new_book)
    except (AssertionError, LookupError, ValueError, struct.error) as error:
        raise SnapshotError("a snapshot that contradicts itself") from error


# -- writing


def _tranches(state: ShardState) -> list[TrancheState]:
    return [state.tranches[tranche] for tranche in sorted(state.tranches)]


def _core(state: ShardState) -> bytes:
    last_event = state.events.last_event
    parts = [_SHARD.pack(RULES_VERSION, state.shard, state.last_command, last_event, state.now_ns)]
    rows = state.sources.rows()
    parts += [_COUNT.pack(len(rows)), *(_SOURCE.pack(*row) for row in rows)]
    parts.append(_COUNT.pack(len(state.currencies)))
    for currency, totals in sorted(state.currencies.items()):
        parts.append(_CURRENCY.pack(currency, totals.held_minor, totals.fees_minor))
    parts.append(_COUNT.pack(len(state.accounts)))
    for _, account in sorted(state.accounts.items()):
        _write_account(parts, account)
    parts.append(_COUNT.pack(len(state.tranches)))
    for tranche in _tranches(state):
        _write_tranche(parts, tranche)
    return b"".join(parts)


def _write_account(parts: list[bytes], account: AccountState) -> None:
    parts.append(
        _ACCOUNT.pack(account.account, account.owner, account.session_epoch, account.stream_sequence)
    )
    parts.append(_COUNT.pack(len(account.purses)))
    for currency, purse in sorted(account.purses.items()):
        amounts = (purse.free, purse.earmarked, purse.in_settlement, purse.elsewhere_minor)
        parts.append(_PURSE.pack(currency, *amounts))


def _write_tranche(parts: list[bytes], tranche: TrancheState) -> None:
    parts.append(_packed_instrument(tranche.instrument))
    parts.append(
        _TRANCHE.pack(
            tranche.phase,
            tranche.book_sequence,
            tranche.fill_number,
            tranche.last_price_ticks,
            tranche.lots,
            tranche.owed_lots,
            len(tranche.closed_orders),
            tranche.closed_orders.digest,
        )
    )
    holdings = [tranche.holdings[account] for account in sorted(tranche.holdings)]
    parts.append(_COUNT.pack(len(holdings)))
    parts += map(_packed_holding, holdings)
    orders = {order_id: order for holding in holdings for order_id, order in holding.open_orders.items()}
    parts.append(_COUNT.pack(len(orders)))
    parts += (orders[order_id].to_bytes() for order_id in sorted(orders))
    parts.append(_COUNT.pack(len(tranche.fills)))
    parts += (_packed_fill(number, tranche.fills[number]) for number in sorted(tranche.fills))
    book = tranche.book.snapshot()
    parts += [_COUNT.pack(len(book)), book]


def _packed_instrument(instrument: Instrument) -> bytes:
    terms = instrument.terms
    return _INSTRUMENT.pack(
        instrument.tranche,
        instrument.currency,
        instrument.mode,
        instrument.maker_fee_e6,
        instrument.taker_fee_e6,
        instrument.price_min_ticks,
        instrument.price_max_ticks,
        instrument.quantity_max_lots,
        instrument.reference_price_ticks,
        terms.terms_id,
        terms.tick_value_e9,
        terms.factor_e9,
        terms.accrued_e9_per_lot,
        terms.value_date,
    )


def _packed_holding(holding: Holding) -> bytes:
    eligibility = holding.eligibility
    return _HOLDING.pack(
        holding.account.account,
        holding.free,
        holding.earmarked,
        holding.in_settlement,
        holding.owed,
        eligibility.eligible,
        eligibility.country,
        eligibility.until_ns,
        holding.last_nonce,
        holding.stream_sequence,
    )


def _packed_fill(number: int, fill: UnsettledFill) -> bytes:
    return _FILL.pack(
        number,
        fill.fill_id,
        fill.buyer.account.account,
        fill.seller.account.account,
        fill.quantity_lots,
        fill.amount_minor,
        fill.buyer_fee_minor,
        fill.seller_fee_minor,
    )


# -- reading


class _Reader:
    """Takes one thing after another off the front of a buffer."""

    def __init__(self, buffer: bytes) -> None:
        self._view = memoryview(buffer)
        self._at = 0

    def take(self, layout: struct.Struct) -> tuple[int, ...]:
        values = layout.unpack_from(self._view, self._at)
        self._at += layout.size
        return values

    def count(self) -> range:
        return range(self.take(_COUNT)[0])

    def raw(self, length: int) -> bytes:
        if length > len(self._view) - self._at:
            raise ValueError("the snapshot ends early")
        self._at += length
        return bytes(self._view[self._at - length : self._at])

    def order(self) -> bytes:
        return self.raw(record_bytes(self._view[self._at :]))

    def at_end(self) -> bool:
        return self._at == len(self._view)


def _read_state(reader: _Reader, new_book: BookFactory) -> ShardState:
    rules_version, shard, last_command, last_event, now_ns = reader.take(_SHARD)
    if rules_version != RULES_VERSION:
        raise ValueError(f"rules version {rules_version}")
    state = ShardState(shard, new_book)
    state.last_command, state.events.last_event, state.now_ns = last_command, last_event, now_ns
    for _ in reader.count():
        state.sources.load(*reader.take(_SOURCE))
    for _ in reader.count():
        currency, held_minor, fees_minor = reader.take(_CURRENCY)
        state.currencies[currency] = CurrencyTotals(held_minor, fees_minor)
    for _ in reader.count():
        _read_account(reader, state)
    closed = [_read_tranche(reader, state) for _ in reader.count()]
    for tranche, count, chained in closed:
        _read_closed(reader, tranche, count, chained)
    if not reader.at_end():
        raise ValueError("the snapshot goes on")
    state.deadlines.rebuild((order.deadline_ns, order.order_id) for order in state.open_orders.values())
    return state


def _read_account(reader: _Reader, state: ShardState) -> None:
    number, owner, session_epoch, stream_sequence = reader.take(_ACCOUNT)
    account = state.accounts[number] = AccountState(number, owner)
    account.session_epoch, account.stream_sequence = session_epoch, stream_sequence
    for _ in reader.count():
        currency, free, earmarked, in_settlement, elsewhere_minor = reader.take(_PURSE)
        purse = account.purses[currency] = Purse(account, currency)
        purse.free, purse.earmarked, purse.in_settlement = free, earmarked, in_settlement
        purse.elsewhere_minor = elsewhere_minor


def _read_tranche(reader: _Reader, state: ShardState) -> tuple[TrancheState, int, bytes]:
    rules = reader.take(_INSTRUMENT)
    values: list[Any] = [*rules[:_TERMS_AT], Terms(*rules[_TERMS_AT:])]
    instrument = Instrument(*values)
    tranche = state.tranches[instrument.tranche] = TrancheState(instrument, state.new_book())
    phase, book_sequence, fill_number, last_price, lots, owed_lots, closed, chained = _TRANCHE.unpack(
        reader.raw(_TRANCHE.size)
    )
    tranche.phase, tranche.book_sequence, tranche.fill_number = phase, book_sequence, fill_number
    tranche.last_price_ticks, tranche.lots, tranche.owed_lots = last_price, lots, owed_lots
    for _ in reader.count():
        _read_holding(reader, state, tranche)
    for _ in reader.count():
        _read_open_order(state, tranche, reader.order())
    for _ in reader.count():
        _read_fill(reader, tranche)
    tranche.book.restore(reader.raw(reader.take(_COUNT)[0]))
    return tranche, closed, chained


def _read_holding(reader: _Reader, state: ShardState, tranche: TrancheState) -> None:
    account, free, earmarked, in_settlement, owed, *eligibility, last_nonce, stream_sequence = reader.take(
        _HOLDING
    )
    holding = tranche.holding(state.accounts[account])
    holding.free, holding.earmarked, holding.in_settlement = free, earmarked, in_settlement
    holding.owed = owed
    eligible, country, until_ns = eligibility
    holding.eligibility = Eligibility(bool(eligible), country, until_ns)
    holding.last_nonce, holding.stream_sequence = last_nonce, stream_sequence


def _read_open_order(state: ShardState, tranche: TrancheState, record: bytes) -> None:
    holding = tranche.holdings[account_of(record)]
    order = order_from_bytes(record, holding)
    state.open_orders[order.order_id] = holding.open_orders[order.order_id] = order
    holding.client_orders.update(dict.fromkeys(order.client_ids, order.order_id))


def _read_fill(reader: _Reader, tranche: TrancheState) -> None:
    number, fill_id, buyer, seller, *amounts = reader.take(_FILL)
    lots, amount_minor, buyer_fee_minor, seller_fee_minor = amounts
    holdings = tranche.holdings
    tranche.fills[number] = UnsettledFill(
        fill_id, holdings[buyer], holdings[seller], lots, amount_minor, buyer_fee_minor, seller_fee_minor
    )


def _read_closed(reader: _Reader, tranche: TrancheState, count: int, chained: bytes) -> None:
    for _ in range(count):
        record = reader.order()
        order_id = order_id_of(record)
        tranche.closed_orders.load(order_id, record)
        client_orders = tranche.holdings[account_of(record)].client_orders
        client_orders.update(dict.fromkeys(client_ids_of(record), order_id))
    if tranche.closed_orders.digest != chained:
        raise ValueError("closed orders are not those of the digest")
