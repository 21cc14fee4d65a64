"""The order book's own records: 64 bytes each, little-endian, naturally aligned.

A book knows venue order ids, prices in ticks and quantities in lots, and nothing
else: who owns an order, what it is called outside, and what it costs are the shard
core's. A batch of commands goes in as bytes, the events come out as bytes; the same
layouts are C structs in ``book_records.pxd`` and NumPy dtypes here.

Side, time in force and the words order, fill, leaves and cumulative quantity are
FIX's (tags 54, 59, 151, 14).
"""

import struct
from enum import IntEnum, IntFlag

import numpy as np

RECORD_BYTES = 64
ORDER_ID_MAX = 2**63 - 1
PRICE_TICKS_MAX = 2**62
QUANTITY_LOTS_MAX = 2**63 - 1


class BookOp(IntEnum):
    """What a command asks of the book."""

    ADD = 1
    CANCEL = 2
    REPLACE = 3
    SET_PHASE = 4
    UNCROSS = 5


class Side(IntEnum):
    """FIX Side (54)."""

    BUY = 1
    SELL = 2


class TimeInForce(IntEnum):
    """FIX TimeInForce (59), the values the book knows."""

    GTC = 1
    IOC = 3


class Phase(IntEnum):
    """Market phase of one book.

    CLOSED and HALTED take cancels only; CALL collects orders without matching;
    CONTINUOUS matches on entry. A new book is CLOSED.
    """

    CLOSED = 0
    CALL = 1
    CONTINUOUS = 2
    HALTED = 3


class BookEventKind(IntEnum):
    """What happened. Which fields of the event each kind fills is said at ``EVENT_DTYPE``."""

    ADDED = 1
    FILL = 2
    CANCELLED = 3
    REPLACED = 4
    REJECTED = 5
    LEVEL = 6
    UNCROSSED = 7
    INDICATIVE = 8
    PHASE = 9


class RejectReason(IntEnum):
    """Why a command was refused; ``reason`` of REJECTED. A refused command changes nothing."""

    UNKNOWN_OP = 1
    RESERVED_NOT_ZERO = 2
    UNKNOWN_SIDE = 3
    UNKNOWN_TIME_IN_FORCE = 4
    UNKNOWN_PHASE = 5
    WRONG_PHASE = 6
    IOC_IN_CALL = 7
    BAD_ORDER_ID = 8
    DUPLICATE_ORDER_ID = 9
    UNKNOWN_ORDER = 10
    BAD_PRICE = 11
    BAD_QUANTITY = 12
    QUANTITY_OVERFLOW = 13
    BOOK_CROSSED = 14


class CancelReason(IntEnum):
    """Why an order ended unfilled; ``reason`` of CANCELLED."""

    BY_REQUEST = 1
    IOC_REMAINDER = 2
    QUANTITY_NOT_ABOVE_FILLED = 3


class BookEventFlag(IntFlag):
    """Bits of an event's ``flags``."""

    LAST = 1
    PRIORITY_KEPT = 2
    AUCTION = 4


COMMAND_DTYPE = np.dtype(
    [
        ("op", "u1"),
        ("side", "u1"),
        ("time_in_force", "u1"),
        ("phase", "u1"),
        ("flags", "<u4"),
        ("order_id", "<u8"),
        ("price_ticks", "<i8"),
        ("quantity_lots", "<i8"),
        ("reference_price_ticks", "<i8"),
        ("reserved", "<u8", (3,)),
    ]
)
"""A book command. ``flags`` and ``reserved`` are zero; a field the op does not use is not read.

===========  ====================================================================
ADD          side, time_in_force, order_id, price_ticks, quantity_lots
CANCEL       order_id
REPLACE      order_id, price_ticks, quantity_lots: the new FIX OrderQty (38), which
             includes what has filled
SET_PHASE    phase, reference_price_ticks (0: keep the one before)
UNCROSS      reference_price_ticks (0: the one of SET_PHASE)
===========  ====================================================================
"""

EVENT_DTYPE = np.dtype(
    [
        ("kind", "u1"),
        ("side", "u1"),
        ("reason", "<u2"),
        ("flags", "<u4"),
        ("order_id", "<u8"),
        ("other_order_id", "<u8"),
        ("price_ticks", "<i8"),
        ("quantity_lots", "<i8"),
        ("leaves_lots", "<i8"),
        ("other_leaves_lots", "<i8"),
        ("orders", "<u4"),
        ("reserved", "<u4"),
    ]
)
"""A book event. What a kind does not name is zero; flag LAST marks the last event of a command.

==========  ====================================================================
ADDED       the order rests: side, order_id, price_ticks, quantity_lots as entered,
            leaves_lots
FILL        order_id took from other_order_id at the latter's price_ticks: side of
            order_id, quantity_lots (FIX LastQty), leaves_lots, other_leaves_lots.
            With flag AUCTION: order_id buys, other_order_id sells, price is the
            auction's, side is BUY
CANCELLED   side, order_id, price_ticks, quantity_lots that no longer can fill,
            reason (``CancelReason``)
REPLACED    side, order_id, price_ticks and quantity_lots now (total), leaves_lots
            before any fill the replace causes; flag PRIORITY_KEPT
REJECTED    order_id of the command, reason (``RejectReason``)
LEVEL       side, price_ticks, quantity_lots and orders resting there now (0: gone)
UNCROSSED   price_ticks, quantity_lots (volume), leaves_lots: surplus, positive when
            buyers remain; all 0 when nothing crosses
INDICATIVE  the same, as an uncross now would give it; only in phase CALL
PHASE       reason: the phase; price_ticks: the reference price
==========  ====================================================================

Order of a command's events: REPLACED, CANCELLED, PHASE, UNCROSSED or REJECTED first; its FILLs;
ADDED or the CANCELLED of an IOC's remainder; one LEVEL for each price that changed,
in the order in which matching came to them (a replaced order's old price first);
INDICATIVE.
"""

ORDER_DTYPE = np.dtype(
    [
        ("order_id", "<u8"),
        ("price_ticks", "<i8"),
        ("leaves_lots", "<i8"),
        ("cum_lots", "<i8"),
        ("side", "u1"),
        ("reserved", "u1", (31,)),
    ]
)
"""A resting order, as ``orders()`` and ``snapshot()`` give it."""

COMMAND_STRUCT = struct.Struct("<BBBBIQqqqQQQ")
EVENT_STRUCT = struct.Struct("<BBHIQQqqqqII")
ORDER_STRUCT = struct.Struct("<QqqqB31s")
SNAPSHOT_STRUCT = struct.Struct("<8sQqQQ24s")
"""Head of a snapshot: magic, phase, reference price in ticks, number of buy orders,
number of sell orders, reserved. The orders follow, buys then sells, each by priority."""

SNAPSHOT_MAGIC = b"ABSTBK01"


def pack_add(
    order_id: int, side: int, price_ticks: int, quantity_lots: int, time_in_force: int = TimeInForce.GTC
) -> bytes:
    """Return the ADD command of a limit order."""
    return COMMAND_STRUCT.pack(
        BookOp.ADD, side, time_in_force, 0, 0, order_id, price_ticks, quantity_lots, 0, 0, 0, 0
    )


def pack_cancel(order_id: int) -> bytes:
    """Return the CANCEL command of an order."""
    return COMMAND_STRUCT.pack(BookOp.CANCEL, 0, 0, 0, 0, order_id, 0, 0, 0, 0, 0, 0)


def pack_replace(order_id: int, price_ticks: int, quantity_lots: int) -> bytes:
    """Return the REPLACE command; ``quantity_lots`` includes what has filled (FIX OrderQty, 38)."""
    return COMMAND_STRUCT.pack(BookOp.REPLACE, 0, 0, 0, 0, order_id, price_ticks, quantity_lots, 0, 0, 0, 0)


def pack_set_phase(phase: int, reference_price_ticks: int = 0) -> bytes:
    """Return the SET_PHASE command; a reference price of 0 keeps the one before."""
    return COMMAND_STRUCT.pack(BookOp.SET_PHASE, 0, 0, phase, 0, 0, 0, 0, reference_price_ticks, 0, 0, 0)


def pack_uncross(reference_price_ticks: int = 0) -> bytes:
    """Return the UNCROSS command; a reference price of 0 means the one of SET_PHASE."""
    return COMMAND_STRUCT.pack(BookOp.UNCROSS, 0, 0, 0, 0, 0, 0, 0, reference_price_ticks, 0, 0, 0)
