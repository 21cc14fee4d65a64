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

cdef enum:
    SIDE_BUY = 1
    SIDE_SELL = 2

cdef enum:
    TIF_GTC = 1
    TIF_IOC = 3

cdef enum:
    PHASE_CLOSED = 0
    PHASE_CALL = 1
    PHASE_CONTINUOUS = 2
    PHASE_HALTED = 3

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

cdef enum:
    CANCEL_BY_REQUEST = 1
    CANCEL_IOC_REMAINDER = 2
    CANCEL_QUANTITY_NOT_ABOVE_FILLED = 3

cdef enum:
    FLAG_LAST = 1
    FLAG_PRIORITY_KEPT = 2
    FLAG_AUCTION = 4

cdef struct BookCommand:
    uint8_t op
    uint8_t side
    uint8_t time_in_force
    uint8_t phase
    uint32_t flags
    uint64_t order_id
    int64_t price_ticks
    int64_t quantity_lots
    int64_t reference_price_ticks
    uint64_t reserved[3]

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
    uint32_t reserved

cdef struct RestingOrderRecord:
    uint64_t order_id
    int64_t price_ticks
    int64_t leaves_lots
    int64_t cum_lots
    uint8_t side
    uint8_t reserved[31]

cdef struct SnapshotHead:
    char magic[8]
    uint64_t phase
    int64_t reference_price_ticks
    uint64_t buys
    uint64_t sells
    uint64_t reserved[3]
