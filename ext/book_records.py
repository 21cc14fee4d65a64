"""The order book's own records: 64 bytes each, little-endian, naturally aligned.

A book knows venue order ids, prices in ticks, quantities in lots and who must not trade with
whom, and nothing else: what an order is called outside, and what it costs, are the shard
core's. A batch of commands goes in as bytes, the events come out as bytes; the same
layouts are C structs in ``book_records.pxd`` and NumPy dtypes here.

A command is one record, or two when its flag TAIL is set: the second says what few commands
need. Order type, side, time in force and the words order, fill, leaves and cumulative quantity
are FIX's (tags 40, 54, 59, 151, 14).
"""

import struct
from enum import IntEnum, IntFlag

import numpy as np

RECORD_BYTES = 64
ORDER_ID_MAX = 2**63 - 1
PRICE_TICKS_MAX = 2**62
QUANTITY_LOTS_MAX = 2**63 - 1
TIME_NS_MAX = 2**62
COLLAR_TICKS_MAX = 2**61


class BookOp(IntEnum):
    """What a command asks of the book."""

    ADD = 1
    CANCEL = 2
    REPLACE = 3
    SET_PHASE = 4
    UNCROSS = 5
    CLOCK = 6
    MASS_CANCEL = 7
    SET_RULES = 8


class Side(IntEnum):
    """FIX Side (54)."""

    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    """FIX OrdType (40).

    A market order names a protection price, the worst at which it may trade, and never rests.
    A stop order waits until a trade reaches its stop price; then STOP is a market order and
    STOP_LIMIT a limit order.
    """

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4


class TimeInForce(IntEnum):
    """FIX TimeInForce (59). DAY and GTD name when they expire; the book knows no calendar."""

    DAY = 0
    GTC = 1
    IOC = 3
    FOK = 4
    GTD = 6


class SelfTrade(IntEnum):
    """What is done where an order would trade with one of the same owner; the taker's counts.

    DECREMENT takes the lots that would trade off both. An owner of 0 is nobody.
    """

    ALLOWED = 0
    CANCEL_NEWEST = 1
    CANCEL_OLDEST = 2
    CANCEL_BOTH = 3
    DECREMENT = 4


class CommandFlag(IntFlag):
    """Bits of a command's ``flags``.

    TAIL: a second record follows. POST_ONLY: refuse the order where it would trade at once, or, with
    REPRICE, move its price to one tick from the best of the other side.
    """

    TAIL = 1
    POST_ONLY = 2
    REPRICE = 4


class Phase(IntEnum):
    """Market phase of one book. A new book is CLOSED.

    CLOSED, HALTED and CANCEL_ONLY take cancels only; PRE_OPEN and CALL collect orders without
    matching, and CALL tells its indicative price; CONTINUOUS matches on entry; POST_ONLY takes
    what does not trade.
    """

    CLOSED = 0
    CALL = 1
    CONTINUOUS = 2
    HALTED = 3
    PRE_OPEN = 4
    POST_ONLY = 5
    CANCEL_ONLY = 6


class Allocation(IntEnum):
    """How an incoming order is divided among the orders at a price."""

    PRICE_TIME = 0
    PRO_RATA = 1


class RuleFlag(IntFlag):
    """Bits of ``flags`` of SET_RULES. INTERRUPT: a trade outside the collar turns trading to a call."""

    INTERRUPT = 1


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
    PREVENTED = 10
    REFILLED = 11
    TRIGGERED = 12
    MASS_CANCELLED = 13
    CLOCK = 14
    RULES = 15


class RejectReason(IntEnum):
    """Why a command was refused; ``reason`` of REJECTED. A refused command changes nothing."""

    UNKNOWN_OP = 1
    RESERVED_NOT_ZERO = 2
    UNKNOWN_SIDE = 3
    UNKNOWN_TIME_IN_FORCE = 4
    UNKNOWN_PHASE = 5
    WRONG_PHASE = 6
    IOC_IN_CALL = 7
    """IOC, FOK, market or minimum quantity outside continuous trading."""
    BAD_ORDER_ID = 8
    DUPLICATE_ORDER_ID = 9
    UNKNOWN_ORDER = 10
    BAD_PRICE = 11
    BAD_QUANTITY = 12
    QUANTITY_OVERFLOW = 13
    BOOK_CROSSED = 14
    UNKNOWN_ORDER_TYPE = 15
    UNKNOWN_SELF_TRADE = 16
    BAD_COMBINATION = 17
    BAD_STOP_PRICE = 18
    BAD_PEAK = 19
    BAD_MINIMUM = 20
    BAD_EXPIRY = 21
    BAD_TIME = 22
    WOULD_TRADE = 23
    MISSING_TAIL = 24
    UNKNOWN_BOOK = 25
    BAD_RULES = 26


class CancelReason(IntEnum):
    """Why an order ended unfilled; ``reason`` of CANCELLED."""

    BY_REQUEST = 1
    IOC_REMAINDER = 2
    """What an IOC, a market order or a triggered stop order could not fill."""
    QUANTITY_NOT_ABOVE_FILLED = 3
    FOK_NOT_FILLABLE = 4
    MINIMUM_NOT_MET = 5
    SELF_TRADE = 6
    EXPIRED = 7
    BY_MASS_CANCEL = 8
    OUTSIDE_COLLAR = 9


class BookEventFlag(IntFlag):
    """Bits of an event's ``flags``."""

    LAST = 1
    PRIORITY_KEPT = 2
    AUCTION = 4
    STOP = 8
    REPRICED = 16
    SAME_OWNER = 32
    INTERRUPTION = 64


COMMAND_DTYPE = np.dtype(
    [
        ("op", "u1"),
        ("side", "u1"),
        ("time_in_force", "u1"),
        ("phase", "u1"),
        ("order_type", "u1"),
        ("self_trade", "u1"),
        ("flags", "<u2"),
        ("order_id", "<u8"),
        ("price_ticks", "<i8"),
        ("quantity_lots", "<i8"),
        ("reference_price_ticks", "<i8"),
        ("owner", "<u4"),
        ("group", "<u4"),
        ("book", "<u4"),
        ("reserved", "<u4"),
        ("time_ns", "<i8"),
    ]
)
"""A book command. ``reserved`` and unused flags are zero; another field the op does not use is not read.
``book`` is the number of the book in its set; only 0 in a set of one.

===========  ====================================================================
ADD          side, time_in_force, order_type, self_trade, flags, order_id, price_ticks
             (limit, or protection price), quantity_lots, owner, group; with a tail
             (``ORDER_TAIL_DTYPE``) stop price, peak, minimum, expiry
CANCEL       order_id
REPLACE      order_id, price_ticks, quantity_lots: the new FIX OrderQty (38), which
             includes what has filled
SET_PHASE    phase, reference_price_ticks (0: keep the one before); in phase CALL
             time_ns, when it ends by itself (0: never), to which a random wait is added
UNCROSS      reference_price_ticks (0: the one of SET_PHASE)
CLOCK        time_ns, not before the last one's
MASS_CANCEL  side, owner, group: of the orders to cancel, 0 for any
SET_RULES    the tail (``RULES_TAIL_DTYPE``)
===========  ====================================================================
"""

ORDER_TAIL_DTYPE = np.dtype(
    [
        ("stop_price_ticks", "<i8"),
        ("peak_lots", "<i8"),
        ("minimum_lots", "<i8"),
        ("expiry_ns", "<i8"),
        ("reserved", "<u8", (4,)),
    ]
)
"""Second record of an ADD; 0 where an order has none.

A stop price is what STOP and STOP_LIMIT wait for. A peak is what of the order is visible at once. A minimum
is what must fill at entry, or nothing does. An expiry ends a DAY or GTD order by the first CLOCK at or
after it. """

RULES_TAIL_DTYPE = np.dtype(
    [
        ("static_collar_ticks", "<i8"),
        ("dynamic_collar_ticks", "<i8"),
        ("interruption_ns", "<i8"),
        ("random_end_ns", "<i8"),
        ("minimum_allocation_lots", "<i8"),
        ("seed", "<u8"),
        ("allocation", "<u4"),
        ("flags", "<u4"),
        ("reserved", "<u8"),
    ]
)
"""Second record of SET_RULES: the rules that hold from now on.

No trade is farther than the static collar from the reference price, or than the dynamic one from the last
trade before the order (0: no collar); ``interruption_ns`` is how long a volatility interruption lasts (0:
until SET_PHASE), ``random_end_ns`` the longest random wait that is added to a timed call, drawn from
``seed``. """

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
        ("book", "<u4"),
    ]
)
"""A book event. What a kind does not name is zero; flag LAST marks the last event of a command.

==============  =================================================================
ADDED           the order rests: side, order_id, price_ticks, quantity_lots as
                entered, leaves_lots; other_leaves_lots: what of them is visible;
                flag REPRICED. With flag STOP it waits for its stop price
FILL            order_id took from other_order_id at the latter's price_ticks: side of
                order_id, quantity_lots (FIX LastQty), leaves_lots, other_leaves_lots;
                flag SAME_OWNER. With flag AUCTION: order_id buys, other_order_id
                sells, price is the auction's, side is BUY
CANCELLED       side, order_id, price_ticks, quantity_lots that no longer can fill,
                reason (``CancelReason``)
REPLACED        side, order_id, price_ticks and quantity_lots now (total), leaves_lots
                before any fill the replace causes, other_leaves_lots: visible; flags
                PRIORITY_KEPT, REPRICED, STOP
REJECTED        order_id of the command, reason (``RejectReason``)
LEVEL           side, price_ticks, quantity_lots and orders visible there now (0: gone)
UNCROSSED       price_ticks, quantity_lots (volume), leaves_lots: surplus, positive when
                buyers remain; all 0 when nothing crosses
INDICATIVE      the same, as an uncross now would give it; only in phase CALL
PHASE           reason: the phase; price_ticks: the reference price; flag INTERRUPTION
PREVENTED       order_id did not take quantity_lots from other_order_id at price_ticks:
                side of order_id, reason (``SelfTrade``), leaves of both after it
REFILLED        an iceberg shows other_leaves_lots now, behind all others at its price;
                otherwise as ADDED
TRIGGERED       a stop order's price was reached: as ADDED
MASS_CANCELLED  orders: how many were cancelled
CLOCK           orders: how many expired
RULES           reason: the allocation
==============  =================================================================

A command's events come in steps. The first is the command's own: REPLACED, PHASE, RULES, UNCROSSED or
REJECTED; its FILLs, PREVENTED and REFILLED as they happened, a prevented maker's CANCELLED after its
PREVENTED; PHASE of an interruption; ADDED, or CANCELLED of what is left; then one LEVEL for each price that
changed, in the order in which matching came to them (a replaced order's old price first). Each order that a
MASS_CANCEL or a CLOCK ends is a step, the end of a call is two (UNCROSSED and fills; PHASE), and so is each
stop order that trades, after the step whose trades reached it: TRIGGERED, then as above. MASS_CANCELLED and
CLOCK come after their steps, INDICATIVE last.

The events tell the book order by order: ADDED (without STOP) joins the queue at its price with what is
visible, FILL and PREVENTED reduce it, REFILLED rejoins it, REPLACED without PRIORITY_KEPT leaves it and
joins it anew, CANCELLED leaves it.
"""

ORDER_DTYPE = np.dtype(
    [
        ("order_id", "<u8"),
        ("price_ticks", "<i8"),
        ("leaves_lots", "<i8"),
        ("cum_lots", "<i8"),
        ("side", "u1"),
        ("order_type", "u1"),
        ("time_in_force", "u1"),
        ("self_trade", "u1"),
        ("flags", "<u4"),
        ("owner", "<u4"),
        ("group", "<u4"),
        ("visible_lots", "<i8"),
        ("peak_lots", "<i8"),
        ("expiry_ns", "<i8"),
        ("stop_price_ticks", "<i8"),
        ("reserved", "<u8", (6,)),
    ]
)
"""An order of a book, as ``orders()`` and ``snapshot()`` give it. What rests is of type LIMIT; of a stop
order, which waits, nothing is visible."""

COMMAND_STRUCT = struct.Struct("<BBBBBBHQqqqIIIIq")
ORDER_TAIL_STRUCT = struct.Struct("<qqqqQQQQ")
RULES_TAIL_STRUCT = struct.Struct("<qqqqqQIIQ")
EVENT_STRUCT = struct.Struct("<BBHIQQqqqqII")
ORDER_STRUCT = struct.Struct("<QqqqBBBBIIIqqqq48s")
SNAPSHOT_STRUCT = struct.Struct("<8sQqQQQQqqqqqQ64s24s")
"""Head of a book in a snapshot: magic, phase, reference price, number of resting buys, resting sells,
stop buys, stop sells; last trade's price, highest and lowest price stop orders are still to be looked
through for;
time, end of the call, state of the random numbers, rules, reserved. The orders follow, by priority."""

SNAPSHOT_MAGIC = b"ABSTBK02"


def pack_add(
    order_id: int,
    side: int,
    price_ticks: int,
    quantity_lots: int,
    time_in_force: int = TimeInForce.GTC,
    order_type: int = OrderType.LIMIT,
    *,
    stop_price_ticks: int = 0,
    peak_lots: int = 0,
    minimum_lots: int = 0,
    expiry_ns: int = 0,
    owner: int = 0,
    self_trade: int = SelfTrade.ALLOWED,
    group: int = 0,
    flags: int = 0,
    book: int = 0,
) -> bytes:
    """Return the ADD command of an order, with a tail where it needs one."""
    extras = (stop_price_ticks, peak_lots, minimum_lots, expiry_ns)
    tail = ORDER_TAIL_STRUCT.pack(*extras, 0, 0, 0, 0) if any(extras) else b""
    flags |= CommandFlag.TAIL if tail else 0
    kinds = (BookOp.ADD, side, time_in_force, 0, order_type, self_trade, flags)
    numbers = (order_id, price_ticks, quantity_lots, 0, owner, group, book, 0, 0)
    return COMMAND_STRUCT.pack(*kinds, *numbers) + tail


def pack_cancel(order_id: int, book: int = 0) -> bytes:
    """Return the CANCEL command of an order."""
    return COMMAND_STRUCT.pack(BookOp.CANCEL, 0, 0, 0, 0, 0, 0, order_id, 0, 0, 0, 0, 0, book, 0, 0)


def pack_replace(order_id: int, price_ticks: int, quantity_lots: int, book: int = 0) -> bytes:
    """Return the REPLACE command; ``quantity_lots`` includes what has filled (FIX OrderQty, 38)."""
    numbers = (order_id, price_ticks, quantity_lots, 0, 0, 0, book, 0, 0)
    return COMMAND_STRUCT.pack(BookOp.REPLACE, 0, 0, 0, 0, 0, 0, *numbers)


def pack_set_phase(phase: int, reference_price_ticks: int = 0, end_ns: int = 0, book: int = 0) -> bytes:
    """Return the SET_PHASE command; a reference price of 0 keeps the one before."""
    numbers = (0, 0, 0, reference_price_ticks, 0, 0, book, 0, end_ns)
    return COMMAND_STRUCT.pack(BookOp.SET_PHASE, 0, 0, phase, 0, 0, 0, *numbers)


def pack_uncross(reference_price_ticks: int = 0, book: int = 0) -> bytes:
    """Return the UNCROSS command; a reference price of 0 means the one of SET_PHASE."""
    numbers = (0, 0, 0, reference_price_ticks, 0, 0, book, 0, 0)
    return COMMAND_STRUCT.pack(BookOp.UNCROSS, 0, 0, 0, 0, 0, 0, *numbers)


def pack_clock(time_ns: int, book: int = 0) -> bytes:
    """Return the CLOCK command."""
    return COMMAND_STRUCT.pack(BookOp.CLOCK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, book, 0, time_ns)


def pack_mass_cancel(owner: int = 0, side: int = 0, group: int = 0, book: int = 0) -> bytes:
    """Return the MASS_CANCEL command; 0 means any."""
    return COMMAND_STRUCT.pack(BookOp.MASS_CANCEL, side, 0, 0, 0, 0, 0, 0, 0, 0, 0, owner, group, book, 0, 0)


def pack_set_rules(
    *,
    static_collar_ticks: int = 0,
    dynamic_collar_ticks: int = 0,
    interruption_ns: int = 0,
    random_end_ns: int = 0,
    minimum_allocation_lots: int = 0,
    seed: int = 0,
    allocation: int = Allocation.PRICE_TIME,
    flags: int = 0,
    book: int = 0,
) -> bytes:
    """Return the SET_RULES command."""
    head = COMMAND_STRUCT.pack(
        BookOp.SET_RULES, 0, 0, 0, 0, 0, CommandFlag.TAIL, 0, 0, 0, 0, 0, 0, book, 0, 0
    )
    waits = (static_collar_ticks, dynamic_collar_ticks, interruption_ns, random_end_ns)
    return head + RULES_TAIL_STRUCT.pack(*waits, minimum_allocation_lots, seed, allocation, flags, 0)
