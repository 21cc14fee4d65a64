# cython: language_level=3
"""The layouts and numbers of ``book_records.py`` as C; a test keeps the two equal."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    RECORD_BYTES = 64

cdef enum:
    OP_ADD = 1
    OP_CANCEL = 2
    OP_REPLACE = 3
    OP_SET_PHASE = 4
    OP_UNCROSS = 5
    OP_CLOCK = 6
    OP_MASS_CANCEL = 7
    OP_SET_RULES = 8

cdef enum:
    SIDE_BUY = 1
    SIDE_SELL = 2

cdef enum:
    TYPE_MARKET = 1
    TYPE_LIMIT = 2
    TYPE_STOP = 3
    TYPE_STOP_LIMIT = 4

cdef enum:
    TIF_DAY = 0
    TIF_GTC = 1
    TIF_IOC = 3
    TIF_FOK = 4
    TIF_GTD = 6

cdef enum:
    SELF_TRADE_ALLOWED = 0
    SELF_TRADE_CANCEL_NEWEST = 1
    SELF_TRADE_CANCEL_OLDEST = 2
    SELF_TRADE_CANCEL_BOTH = 3
    SELF_TRADE_DECREMENT = 4

cdef enum:
    COMMAND_TAIL = 1
    COMMAND_POST_ONLY = 2
    COMMAND_REPRICE = 4

cdef enum:
    PHASE_CLOSED = 0
    PHASE_CALL = 1
    PHASE_CONTINUOUS = 2
    PHASE_HALTED = 3
    PHASE_PRE_OPEN = 4
    PHASE_POST_ONLY = 5
    PHASE_CANCEL_ONLY = 6

cdef enum:
    ALLOCATION_PRICE_TIME = 0
    ALLOCATION_PRO_RATA = 1

cdef enum:
    RULE_INTERRUPT = 1

cdef enum:
    KIND_ADDED = 1
    KIND_FILL = 2
    KIND_CANCELLED = 3
    KIND_REPLACED = 4
    KIND_REJECTED = 5
    KIND_LEVEL = 6
    KIND_UNCROSSED = 7
    KIND_INDICATIVE = 8
    KIND_PHASE = 9
    KIND_PREVENTED = 10
    KIND_REFILLED = 11
    KIND_TRIGGERED = 12
    KIND_MASS_CANCELLED = 13
    KIND_CLOCK = 14
    KIND_RULES = 15

cdef enum:
    REJECT_UNKNOWN_OP = 1
    REJECT_RESERVED_NOT_ZERO = 2
    REJECT_UNKNOWN_SIDE = 3
    REJECT_UNKNOWN_TIME_IN_FORCE = 4
    REJECT_UNKNOWN_PHASE = 5
    REJECT_WRONG_PHASE = 6
    REJECT_IOC_IN_CALL = 7
    REJECT_BAD_ORDER_ID = 8
    REJECT_DUPLICATE_ORDER_ID = 9
    REJECT_UNKNOWN_ORDER = 10
    REJECT_BAD_PRICE = 11
    REJECT_BAD_QUANTITY = 12
    REJECT_QUANTITY_OVERFLOW = 13
    REJECT_BOOK_CROSSED = 14
    REJECT_UNKNOWN_ORDER_TYPE = 15
    REJECT_UNKNOWN_SELF_TRADE = 16
    REJECT_BAD_COMBINATION = 17
    REJECT_BAD_STOP_PRICE = 18
    REJECT_BAD_PEAK = 19
    REJECT_BAD_MINIMUM = 20
    REJECT_BAD_EXPIRY = 21
    REJECT_BAD_TIME = 22
    REJECT_WOULD_TRADE = 23
    REJECT_MISSING_TAIL = 24
    REJECT_UNKNOWN_BOOK = 25
    REJECT_BAD_RULES = 26

cdef enum:
    CANCEL_BY_REQUEST = 1
    CANCEL_IOC_REMAINDER = 2
    CANCEL_QUANTITY_NOT_ABOVE_FILLED = 3
    CANCEL_FOK_NOT_FILLABLE = 4
    CANCEL_MINIMUM_NOT_MET = 5
    CANCEL_SELF_TRADE = 6
    CANCEL_EXPIRED = 7
    CANCEL_BY_MASS_CANCEL = 8
    CANCEL_OUTSIDE_COLLAR = 9

cdef enum:
    FLAG_LAST = 1
    FLAG_PRIORITY_KEPT = 2
    FLAG_AUCTION = 4
    FLAG_STOP = 8
    FLAG_REPRICED = 16
    FLAG_SAME_OWNER = 32
    FLAG_INTERRUPTION = 64

cdef struct BookCommand:
    uint8_t op
    uint8_t side
    uint8_t time_in_force
    uint8_t phase
    uint8_t order_type
    uint8_t self_trade
    uint16_t flags
    uint64_t order_id
    int64_t price_ticks
    int64_t quantity_lots
    int64_t reference_price_ticks
    uint32_t owner
    uint32_t group
    uint32_t book
    uint32_t reserved
    int64_t time_ns

cdef struct OrderTail:
    int64_t stop_price_ticks
    int64_t peak_lots
    int64_t minimum_lots
    int64_t expiry_ns
    uint64_t reserved[4]

cdef struct RulesTail:
    int64_t static_collar_ticks
    int64_t dynamic_collar_ticks
    int64_t interruption_ns
    int64_t random_end_ns
    int64_t minimum_allocation_lots
    uint64_t seed
    uint32_t allocation
    uint32_t flags
    uint64_t reserved

cdef struct BookEvent:
    uint8_t kind
    uint8_t side
    uint16_t reason
    uint32_t flags
    uint64_t order_id
    uint64_t other_order_id
    int64_t price_ticks
    int64_t quantity_lots
    int64_t leaves_lots
    int64_t other_leaves_lots
    uint32_t orders
    uint32_t book

cdef struct RestingOrderRecord:
    uint64_t order_id
    int64_t price_ticks
    int64_t leaves_lots
    int64_t cum_lots
    uint8_t side
    uint8_t order_type
    uint8_t time_in_force
    uint8_t self_trade
    uint32_t flags
    uint32_t owner
    uint32_t group
    int64_t visible_lots
    int64_t peak_lots
    int64_t expiry_ns
    int64_t stop_price_ticks
    uint64_t reserved[6]

cdef struct SnapshotHead:
    char magic[8]
    uint64_t phase
    int64_t reference_price_ticks
    uint64_t buys
    uint64_t sells
    uint64_t buy_stops
    uint64_t sell_stops
    int64_t last_price_ticks
    int64_t reached_high_ticks
    int64_t reached_low_ticks
    int64_t now_ns
    int64_t call_end_ns
    uint64_t random_state
    RulesTail rules
    uint64_t reserved[3]
