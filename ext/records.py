"""The venue's records: fixed little-endian layouts in 64-byte units.

A record is a common 64-byte :class:`Header` and a body whose layout its kind fixes. The same bytes travel
from the gateway to the shard, into the journal, and out to every consumer. Commands have kinds below 100,
events from 100 on.

The class of a record is its only definition: field order and the annotation of each field give the ``struct``
format (:func:`struct_format`) and the NumPy dtype (:data:`DTYPES`). Texts are NUL-padded bytes. Prices are
ticks, quantities lots, money minor units, times nanoseconds UTC; all of them int64 in the record and never
negative unless said.

What the core never reads (signatures, clients' text, admission documents) is *side data*: it travels and is
journalled beside the record, bound to it by ``side_digest`` (the first 16 bytes of its SHA-256; zero where
there is none).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Annotated, Any, NamedTuple, get_type_hints

import numpy as np

UNIT_BYTES = 64
RECORD_VERSION = 1
NO_SIDE_DATA = bytes(16)

U8 = Annotated[int, "B"]
U16 = Annotated[int, "H"]
U32 = Annotated[int, "I"]
U64 = Annotated[int, "Q"]
I64 = Annotated[int, "q"]
ClientId = Annotated[bytes, "36s"]
Digest16 = Annotated[bytes, "16s"]


class Kind(IntEnum):
    """Kind of a record. Numbers are part of the journal: never reuse one."""

    ORDER_PLACE = 1
    ORDER_CANCEL = 2
    ORDER_REPLACE = 3
    SESSION_OPEN = 10
    TRANCHE_LIST = 20
    TERMS_SET = 21
    PHASE_SET = 22
    ACCOUNT_OPEN = 23
    ELIGIBILITY_SET = 24
    CASH_ALLOT = 30
    CASH_RECALL = 31
    TOKENS_ADJUST = 32
    SETTLEMENT_FINAL = 34
    SETTLEMENT_FAILED = 35
    CLOCK = 40

    EXECUTION_REPORT = 101
    TRADE = 102
    BOOK_LEVEL = 103
    REFUSED = 104
    PHASE_CHANGED = 105
    AUCTION_INDICATIVE = 106
    BALANCE = 107
    SETTLEMENT_UPDATED = 108
    APPLIED = 109
    CASH_RETURNED = 110
    CASH_WANTED = 111


class Side(IntEnum):
    """FIX Side (tag 54)."""

    BUY = 1
    SELL = 2


class TimeInForce(IntEnum):
    """FIX TimeInForce (tag 59)."""

    GTC = 1
    IOC = 3


class OrderType(IntEnum):
    """FIX OrdType (tag 40)."""

    LIMIT = 2


class Phase(IntEnum):
    """Market phase of a tranche."""

    CLOSED = 0
    CALL = 1
    CONTINUOUS = 2
    HALTED = 3


class SettlementMode(IntEnum):
    """What keeps the seller's tokens in place between match and settlement (DESIGN D7)."""

    LOCKED = 1
    FROZEN = 2
    OPEN = 3


class ExecType(IntEnum):
    """FIX ExecType (tag 150), what happened, by the order of its characters in the standard."""

    NEW = 0
    CANCELED = 4
    REPLACED = 5
    EXPIRED = 12
    TRADE = 15
    DUPLICATE = 100
    """Not FIX: the command's client order id was used before; the report repeats the order as it is now."""


class OrderStatus(IntEnum):
    """FIX OrdStatus (tag 39), the state now."""

    NEW = 0
    PARTIALLY_FILLED = 1
    FILLED = 2
    CANCELED = 4
    EXPIRED = 12


class Liquidity(IntEnum):
    """FIX LastLiquidityInd (tag 851); 4 is 'auction'."""

    NONE = 0
    ADDED = 1
    REMOVED = 2
    AUCTION = 4


class OrderFlag(IntEnum):
    """Bits of ``flags`` in an order command."""

    STANDING = 1


class Header(NamedTuple):
    """First unit of every record.

    In a command ``sequence`` is the shard's command sequence and ``time_ns`` the shard's stamp, both zero
    until the shell stamps them. In an event ``sequence`` is the shard's event sequence, and ``source``,
    ``incarnation`` and ``number`` name the command that caused it (all zero where a timer did). ``tranche``
    is 0 where none is concerned, ``account`` likewise.
    """

    kind: U16
    version: U8
    units: U8
    source: U32
    incarnation: U32
    session_epoch: U32
    number: U64
    sequence: U64
    time_ns: I64
    account: U32
    tranche: U32
    side_digest: Digest16


class OrderPlace(NamedTuple):
    """NewOrderSingle (FIX D), and with ``ORDER_REPLACE`` as kind OrderCancelReplaceRequest (FIX G).

    ``quantity_lots`` is the total OrderQty, filled quantity included. ``nonce`` with the account is the
    order's key on chain; its upper 24 bits are the tranche. ``revision`` starts at 1, and every replacement
    raises it. ``cash_limit_minor`` bounds what one lot may cost all in; ``fee_limit_minor`` bounds the fees
    of the whole order. ``valid_until_ns`` is the end of the signature. ``order_id`` or
    ``original_client_order_id`` name the order to replace (the id first, if not 0). The fields from
    ``protection_price_ticks`` to ``expiry_ns``, ``rfq_id``, ``protection_group`` and ``self_trade_mode`` are
    0 today.
    """

    header: Header
    client_order_id: ClientId
    original_client_order_id: ClientId
    order_id: U64
    price_ticks: I64
    quantity_lots: I64
    protection_price_ticks: I64
    peak_lots: I64
    minimum_lots: I64
    expiry_ns: I64
    valid_until_ns: I64
    cash_limit_minor: I64
    fee_limit_minor: I64
    nonce: U64
    rfq_id: U64
    revision: U32
    owner: U32
    terms_id: U32
    protection_group: U32
    side: U8
    order_type: U8
    time_in_force: U8
    self_trade_mode: U8
    flags: U32


class OrderCancel(NamedTuple):
    """OrderCancelRequest (FIX F); ``order_id`` or ``original_client_order_id`` name the order."""

    header: Header
    client_order_id: ClientId
    original_client_order_id: ClientId
    order_id: U64
    reserved_0: U64
    reserved_1: U64
    reserved_2: U64
    reserved_3: U64
    reserved_4: U64
    reserved_5: U64


class SessionOpen(NamedTuple):
    """A participant logged on: commands for ``header.account`` under a lower ``header.session_epoch`` are
    refused from here on."""

    header: Header


class TrancheList(NamedTuple):
    """List a tranche, phase closed. Side data: its admission document (JSON), already through the admission
    gate."""

    header: Header
    currency: U32
    terms_id: U32
    value_date: U32
    maker_fee_e6: U32
    taker_fee_e6: U32
    mode: U8
    reserved_0: U8
    reserved_1: U16
    tick_value_e9: I64
    factor_e9: I64
    accrued_e9_per_lot: I64
    price_min_ticks: I64
    price_max_ticks: I64
    quantity_max_lots: I64
    reference_price_ticks: I64
    reserved_2: U64
    reserved_3: U64
    reserved_4: U64
    reserved_5: U64
    reserved_6: U64
    reserved_7: U64


class TermsSet(NamedTuple):
    """New numbered terms of a tranche, outside continuous trading only; resting orders of older terms are
    cancelled."""

    header: Header
    terms_id: U32
    value_date: U32
    tick_value_e9: I64
    factor_e9: I64
    accrued_e9_per_lot: I64
    reserved_0: U64
    reserved_1: U64
    reserved_2: U64
    reserved_3: U64


class PhaseSet(NamedTuple):
    """Change the phase of ``header.tranche``; from CALL to CONTINUOUS uncrosses first."""

    header: Header
    phase: U8
    reserved_0: U8
    reserved_1: U16
    reserved_2: U32
    reserved_3: U64
    reserved_4: U64
    reserved_5: U64
    reserved_6: U64
    reserved_7: U64
    reserved_8: U64
    reserved_9: U64


class AccountOpen(NamedTuple):
    """``header.account`` exists from here on, of beneficial owner ``owner``."""

    header: Header
    owner: U32
    reserved_0: U32
    reserved_1: U64
    reserved_2: U64
    reserved_3: U64
    reserved_4: U64
    reserved_5: U64
    reserved_6: U64
    reserved_7: U64


class EligibilitySet(NamedTuple):
    """Whether ``header.account`` may hold ``header.tranche``, until ``until_ns`` (0: no end); taking it away
    cancels open orders."""

    header: Header
    eligible: U8
    reserved_0: U8
    country: U16
    reserved_1: U32
    until_ns: I64
    reserved_2: U64
    reserved_3: U64
    reserved_4: U64
    reserved_5: U64
    reserved_6: U64
    reserved_7: U64


class CashMove(NamedTuple):
    """``CASH_ALLOT``: ``amount_minor`` of the account's cash is the shard's from here on. ``CASH_RECALL``:
    give back up to that much of what is not earmarked (a CASH_RETURNED event says how much).
    ``elsewhere_minor``: the account's cash outside this shard."""

    header: Header
    currency: U32
    reserved_0: U32
    transfer: U64
    amount_minor: I64
    elsewhere_minor: I64
    reserved_1: U64
    reserved_2: U64
    reserved_3: U64
    reserved_4: U64


class TokensAdjust(NamedTuple):
    """The account's locked tokens of the tranche changed on chain by ``delta_lots`` (negative: unlocked or
    moved away). ``of_fill``: the last fill of ours that brought those lots unlocked, 0 where none did."""

    header: Header
    delta_lots: I64
    chain_block: U64
    chain_log: U64
    of_fill: U64
    reserved_0: U64
    reserved_1: U64
    reserved_2: U64
    reserved_3: U64


class SettlementOutcome(NamedTuple):
    """``SETTLEMENT_FINAL`` or ``SETTLEMENT_FAILED`` of one fill of the tranche."""

    header: Header
    fill_number: U64
    batch: U64
    reason: U16
    reserved_0: U16
    reserved_1: U32
    reserved_2: U64
    reserved_3: U64
    reserved_4: U64
    reserved_5: U64
    reserved_6: U64


class Clock(NamedTuple):
    """Time passed: due timers fire."""

    header: Header


class ExecutionReport(NamedTuple):
    """What happened to an order and how it stands (FIX 8); private to ``header.account``.

    ``client_order_id`` is the id of the command that this answers (of the order itself in a fill or an
    expiry), ``original_client_order_id`` the id the order was placed under. ``amount_minor`` is the cash of
    the fill without fees.
    """

    header: Header
    client_order_id: ClientId
    original_client_order_id: ClientId
    order_id: U64
    fill_id: U64
    fill_number: U64
    stream_sequence: U64
    price_ticks: I64
    quantity_lots: I64
    leaves_lots: I64
    cum_lots: I64
    last_lots: I64
    last_price_ticks: I64
    amount_minor: I64
    revision: U32
    terms_id: U32
    reason: U16
    exec_type: U8
    order_status: U8
    side: U8
    time_in_force: U8
    liquidity: U8
    mode: U8
    flags: U32
    reserved_0: U32
    nonce: U64


class Trade(NamedTuple):
    """One fill, for settlement and for everyone (public fields only leave the venue). ``header.time_ns`` is
    the match time.

    ``fill_number`` is dense per tranche from 1; ``aggressor`` is the side that took, 0 in an uncross.
    Revisions and nonces name the signed orders under which it matched.
    """

    header: Header
    fill_id: U64
    fill_number: U64
    book_sequence: U64
    price_ticks: I64
    quantity_lots: I64
    amount_minor: I64
    buy_order_id: U64
    sell_order_id: U64
    buy_account: U32
    sell_account: U32
    buy_owner: U32
    sell_owner: U32
    buy_nonce: U64
    sell_nonce: U64
    buy_revision: U32
    sell_revision: U32
    terms_id: U32
    aggressor: U8
    mode: U8
    cum_ex: U8
    reserved_0: U8
    buyer_fee_minor: I64
    seller_fee_minor: I64


class BookLevel(NamedTuple):
    """A price of the public book changed: all lots and orders that rest there now (0 lots: the level is
    gone).

    ``book_sequence`` is dense per tranche over BOOK_LEVEL, TRADE, PHASE_CHANGED and AUCTION_INDICATIVE;
    ``last`` ends the group of one command.
    """

    header: Header
    book_sequence: U64
    price_ticks: I64
    quantity_lots: I64
    orders: U32
    side: U8
    last: U8
    reserved_0: U16
    reserved_1: U64
    reserved_2: U64
    reserved_3: U64
    reserved_4: U64


class Refused(NamedTuple):
    """A command was refused and changed nothing. ``limit`` and ``actual`` say by how much, where the reason
    has an amount."""

    header: Header
    client_order_id: ClientId
    reason: U16
    command_kind: U16
    stream_sequence: U64
    limit: I64
    actual: I64


class PhaseChanged(NamedTuple):
    """The tranche entered ``phase``; after an uncross with the auction's price, volume and surplus (buy
    positive)."""

    header: Header
    book_sequence: U64
    price_ticks: I64
    quantity_lots: I64
    surplus_lots: I64
    phase: U8
    previous: U8
    reserved_0: U16
    reserved_1: U32
    reserved_2: U64
    reserved_3: U64
    reserved_4: U64


class AuctionIndicative(NamedTuple):
    """Where the call would uncross now: price (0: nowhere), volume and surplus (buy positive)."""

    header: Header
    book_sequence: U64
    price_ticks: I64
    quantity_lots: I64
    surplus_lots: I64
    reserved_0: U64
    reserved_1: U64
    reserved_2: U64
    reserved_3: U64


class Balance(NamedTuple):
    """How an account stands in this shard: in lots of ``header.tranche``, or, where that is 0, in minor units
    of ``currency``. ``elsewhere``: of cash, what the account has outside this shard; of lots, what it owes.
    """

    header: Header
    currency: U32
    cause: U32
    stream_sequence: U64
    free: I64
    earmarked: I64
    in_settlement: I64
    elsewhere: I64
    reserved_0: U64
    reserved_1: U64


class SettlementUpdated(NamedTuple):
    """A fill of ``header.account`` became final (``failed`` 0) or failed (1) and what was held for it is
    free."""

    header: Header
    fill_number: U64
    fill_id: U64
    stream_sequence: U64
    quantity_lots: I64
    amount_minor: I64
    batch: U64
    reason: U16
    failed: U8
    side: U8
    reserved_0: U32
    reserved_1: U64


class Applied(NamedTuple):
    """An administrative command (``command_kind``) took effect; ``reference`` is its transfer or fill number
    where it has one."""

    header: Header
    command_kind: U16
    reserved_0: U16
    reserved_1: U32
    reference: U64
    reserved_2: U64
    reserved_3: U64
    reserved_4: U64
    reserved_5: U64
    reserved_6: U64
    reserved_7: U64


class CashEvent(NamedTuple):
    """``CASH_RETURNED``: the shard gave ``amount_minor`` back to the keeper. ``CASH_WANTED``: an order was
    short of that much while the account has cash elsewhere."""

    header: Header
    currency: U32
    reserved_0: U32
    transfer: U64
    amount_minor: I64
    reserved_1: U64
    reserved_2: U64
    reserved_3: U64
    reserved_4: U64
    reserved_5: U64


Record = (
    OrderPlace
    | OrderCancel
    | SessionOpen
    | TrancheList
    | TermsSet
    | PhaseSet
    | AccountOpen
    | EligibilitySet
    | CashMove
    | TokensAdjust
    | SettlementOutcome
    | Clock
    | ExecutionReport
    | Trade
    | BookLevel
    | Refused
    | PhaseChanged
    | AuctionIndicative
    | Balance
    | SettlementUpdated
    | Applied
    | CashEvent
)

LAYOUTS: dict[Kind, type[Record]] = {
    Kind.ORDER_PLACE: OrderPlace,
    Kind.ORDER_CANCEL: OrderCancel,
    Kind.ORDER_REPLACE: OrderPlace,
    Kind.SESSION_OPEN: SessionOpen,
    Kind.TRANCHE_LIST: TrancheList,
    Kind.TERMS_SET: TermsSet,
    Kind.PHASE_SET: PhaseSet,
    Kind.ACCOUNT_OPEN: AccountOpen,
    Kind.ELIGIBILITY_SET: EligibilitySet,
    Kind.CASH_ALLOT: CashMove,
    Kind.CASH_RECALL: CashMove,
    Kind.TOKENS_ADJUST: TokensAdjust,
    Kind.SETTLEMENT_FINAL: SettlementOutcome,
    Kind.SETTLEMENT_FAILED: SettlementOutcome,
    Kind.CLOCK: Clock,
    Kind.EXECUTION_REPORT: ExecutionReport,
    Kind.TRADE: Trade,
    Kind.BOOK_LEVEL: BookLevel,
    Kind.REFUSED: Refused,
    Kind.PHASE_CHANGED: PhaseChanged,
    Kind.AUCTION_INDICATIVE: AuctionIndicative,
    Kind.BALANCE: Balance,
    Kind.SETTLEMENT_UPDATED: SettlementUpdated,
    Kind.APPLIED: Applied,
    Kind.CASH_RETURNED: CashEvent,
    Kind.CASH_WANTED: CashEvent,
}
"""The layout of each kind."""


class RecordError(ValueError):
    """Bytes that are no run of whole, known records."""


def struct_format(layout: type[Any]) -> str:
    """Return the little-endian ``struct`` format of a layout's own fields (its header apart)."""
    hints = get_type_hints(layout, include_extras=True)
    return "<" + "".join(hint.__metadata__[0] for name, hint in hints.items() if name != "header")


def _dtype(layout: type[Any]) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = []
    for part in (Header, layout):
        for name, hint in get_type_hints(part, include_extras=True).items():
            if name != "header":
                code = hint.__metadata__[0]
                fields.append((name, "S" + code[:-1] if code.endswith("s") else "<" + code))
    return np.dtype(fields)


HEADER_STRUCT = struct.Struct(struct_format(Header))
_BODY_STRUCTS = {kind: struct.Struct(struct_format(layout)) for kind, layout in LAYOUTS.items()}
UNITS = {kind: 1 + body.size // UNIT_BYTES for kind, body in _BODY_STRUCTS.items()}
"""Length of each kind in 64-byte units, header included."""
DTYPES = {kind: _dtype(layout) for kind, layout in LAYOUTS.items()}
"""NumPy dtype of each kind, header fields first, then the body's."""

assert HEADER_STRUCT.size == UNIT_BYTES
assert all(body.size % UNIT_BYTES == 0 for body in _BODY_STRUCTS.values())


class Sourced(NamedTuple):
    """A command together with its side data, as it travels."""

    record: bytes
    side: bytes = b""


def header(
    kind: Kind,
    *,
    account: int = 0,
    tranche: int = 0,
    session_epoch: int = 0,
    source: int = 0,
    incarnation: int = 0,
    number: int = 0,
    sequence: int = 0,
    time_ns: int = 0,
    side: bytes = b"",
) -> Header:
    """Make the header of a record of ``kind``; ``side`` is its side data, if it has any."""
    return Header(
        kind,
        RECORD_VERSION,
        UNITS[kind],
        source,
        incarnation,
        session_epoch,
        number,
        sequence,
        time_ns,
        account,
        tranche,
        side_digest(side),
    )


def side_digest(side: bytes) -> bytes:
    """Return the 16 bytes that bind side data to its record; zeros for none."""
    return hashlib.sha256(side).digest()[:16] if side else NO_SIDE_DATA


def encode(record: Record) -> bytes:
    """Return the record's bytes.

    Raises:
        struct.error: A field is out of the range of its type.
    """
    return HEADER_STRUCT.pack(*record[0]) + _BODY_STRUCTS[Kind(record[0].kind)].pack(*record[1:])


def decode_header(buffer: bytes | memoryview, offset: int = 0) -> Header:
    """Read the header at ``offset``; see :func:`split` for checking a buffer first."""
    return Header._make(HEADER_STRUCT.unpack_from(buffer, offset))


def decode(buffer: bytes | memoryview, offset: int = 0) -> Record:
    """Read the record at ``offset``.

    Raises:
        RecordError: The kind, version or length is not one that this version knows, or the buffer ends within
        the record.
    """
    if len(buffer) - offset < UNIT_BYTES:
        raise RecordError(f"record at byte {offset} is cut short")
    head = decode_header(buffer, offset)
    layout = LAYOUTS.get(head.kind)  # type: ignore[call-overload]
    if layout is None or head.version != RECORD_VERSION or head.units != UNITS[Kind(head.kind)]:
        raise RecordError(
            f"no record of kind {head.kind}, version {head.version}, {head.units} units (byte {offset})"
        )
    if len(buffer) - offset < head.units * UNIT_BYTES:
        raise RecordError(f"record at byte {offset} is cut short")
    body = _BODY_STRUCTS[Kind(head.kind)].unpack_from(buffer, offset + UNIT_BYTES)
    return layout(head, *body)  # type: ignore[no-any-return]


def decode_all(buffer: bytes | memoryview) -> Iterator[Record]:
    """Read a run of records one after another; raises :class:`RecordError` at the first that is none."""
    offset = 0
    while offset < len(buffer):
        record = decode(buffer, offset)
        yield record
        offset += record.header.units * UNIT_BYTES


def split(buffer: bytes | memoryview) -> Iterator[memoryview]:
    """Cut a run of records into one view each, by length alone.

    Raises:
        RecordError: A length is 0 or runs past the end.
    """
    view = memoryview(buffer)
    offset = 0
    while offset < len(view):
        end = offset + view[offset + 3] * UNIT_BYTES if offset + UNIT_BYTES <= len(view) else 0
        if end <= offset or end > len(view):
            raise RecordError(f"record at byte {offset} is cut short")
        yield view[offset:end]
        offset = end


def client_id(text: str) -> bytes:
    """Return a client order id as it stands in records.

    Raises:
        ValueError: It is empty, longer than 36 bytes, or not printable ASCII.
    """
    raw = text.encode("ascii", "strict") if text.isascii() and text.isprintable() else b""
    if not 0 < len(raw) <= 36:
        raise ValueError("a client order id is 1 to 36 printable ASCII characters")
    return raw.ljust(36, b"\0")


def client_text(raw: bytes) -> str:
    """Return a client order id from a record as text."""
    return raw.rstrip(b"\0").decode("ascii", "replace")


def encode_all(records: Iterable[Record]) -> bytes:
    """Return the bytes of a run of records."""
    return b"".join(map(encode, records))
