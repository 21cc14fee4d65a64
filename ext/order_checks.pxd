# cython: language_level=3
"""What an order must be like to be taken; a number is the reason for a refusal, 0 none."""
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t

from ext.book cimport Book, has_room, is_price
from ext.book_records cimport (
    COMMAND_POST_ONLY,
    COMMAND_REPRICE,
    PHASE_CALL,
    PHASE_CONTINUOUS,
    PHASE_POST_ONLY,
    PHASE_PRE_OPEN,
    REJECT_BAD_COMBINATION,
    REJECT_BAD_EXPIRY,
    REJECT_BAD_MINIMUM,
    REJECT_BAD_ORDER_ID,
    REJECT_BAD_PEAK,
    REJECT_BAD_PRICE,
    REJECT_BAD_QUANTITY,
    REJECT_BAD_STOP_PRICE,
    REJECT_DUPLICATE_ORDER_ID,
    REJECT_IOC_IN_CALL,
    REJECT_QUANTITY_OVERFLOW,
    REJECT_RESERVED_NOT_ZERO,
    REJECT_UNKNOWN_ORDER_TYPE,
    REJECT_UNKNOWN_SELF_TRADE,
    REJECT_UNKNOWN_SIDE,
    REJECT_UNKNOWN_TIME_IN_FORCE,
    REJECT_WRONG_PHASE,
    SELF_TRADE_DECREMENT,
    SIDE_BUY,
    SIDE_SELL,
    TIF_DAY,
    TIF_FOK,
    TIF_GTC,
    TIF_GTD,
    TIF_IOC,
    TYPE_LIMIT,
    TYPE_MARKET,
    TYPE_STOP,
    TYPE_STOP_LIMIT,
    BookCommand,
    OrderTail,
)
from ext.book_store cimport book_store_find
from ext.order_pool cimport NO_ORDER


cdef inline bint takes_orders(uint8_t phase) noexcept nogil:
    return (
        phase == PHASE_CONTINUOUS
        or phase == PHASE_CALL
        or phase == PHASE_PRE_OPEN
        or phase == PHASE_POST_ONLY
    )


cdef inline bint is_immediate(const BookCommand* command) noexcept nogil:
    return command.time_in_force == TIF_IOC or command.time_in_force == TIF_FOK


cdef inline bint is_stop(const BookCommand* command) noexcept nogil:
    return command.order_type == TYPE_STOP or command.order_type == TYPE_STOP_LIMIT


cdef inline int check_price_and_quantity(const BookCommand* command) noexcept nogil:
    if not is_price(command.price_ticks):
        return REJECT_BAD_PRICE
    if command.quantity_lots <= 0:
        return REJECT_BAD_QUANTITY
    return 0


cdef inline int check_kind(const Book* book, const BookCommand* command) noexcept nogil:
    cdef uint8_t tif = command.time_in_force
    if command.side != SIDE_BUY and command.side != SIDE_SELL:
        return REJECT_UNKNOWN_SIDE
    if not TYPE_MARKET <= command.order_type <= TYPE_STOP_LIMIT:
        return REJECT_UNKNOWN_ORDER_TYPE
    if tif != TIF_GTC and tif != TIF_IOC and tif != TIF_DAY and tif != TIF_FOK and tif != TIF_GTD:
        return REJECT_UNKNOWN_TIME_IN_FORCE
    if command.self_trade > SELF_TRADE_DECREMENT:
        return REJECT_UNKNOWN_SELF_TRADE
    if is_immediate(command) and book.phase != PHASE_CONTINUOUS:
        return REJECT_IOC_IN_CALL
    return 0


cdef inline int check_combination(const BookCommand* command, const OrderTail* tail) noexcept nogil:
    """Attributes that exclude each other."""
    cdef bint post_only = command.flags & COMMAND_POST_ONLY != 0
    if command.flags & COMMAND_REPRICE and not post_only:
        return REJECT_BAD_COMBINATION
    if command.order_type == TYPE_MARKET and not is_immediate(command):
        return REJECT_BAD_COMBINATION
    if is_stop(command) and (is_immediate(command) or post_only or tail.minimum_lots != 0):
        return REJECT_BAD_COMBINATION
    if post_only and (is_immediate(command) or tail.minimum_lots != 0):
        return REJECT_BAD_COMBINATION
    return 0


cdef inline int check_tail(
    const Book* book, const BookCommand* command, const OrderTail* tail
) noexcept nogil:
    cdef bint expires = command.time_in_force == TIF_DAY or command.time_in_force == TIF_GTD
    if tail.reserved[0] | tail.reserved[1] | tail.reserved[2] | tail.reserved[3]:
        return REJECT_RESERVED_NOT_ZERO
    if is_stop(command) != is_price(tail.stop_price_ticks) or (
        not is_stop(command) and tail.stop_price_ticks != 0
    ):
        return REJECT_BAD_STOP_PRICE
    if not 0 <= tail.peak_lots <= command.quantity_lots or (
        tail.peak_lots > 0 and (is_immediate(command) or command.order_type == TYPE_STOP)
    ):
        return REJECT_BAD_PEAK
    if not 0 <= tail.minimum_lots <= command.quantity_lots:
        return REJECT_BAD_MINIMUM
    if tail.minimum_lots > 0 and book.phase != PHASE_CONTINUOUS:
        return REJECT_IOC_IN_CALL
    if expires and tail.expiry_ns <= book.now_ns or not expires and tail.expiry_ns != 0:
        return REJECT_BAD_EXPIRY
    return 0


cdef inline bint is_plain(const BookCommand* command) noexcept nogil:
    """A limit order without any attribute."""
    return command.flags == 0 and command.order_type == TYPE_LIMIT and (
        command.time_in_force == TIF_GTC or command.time_in_force == TIF_IOC
    )


cdef inline int check_add(const Book* book, const BookCommand* command, const OrderTail* tail) noexcept nogil:
    cdef int reason
    if not takes_orders(book.phase):
        return REJECT_WRONG_PHASE
    reason = check_kind(book, command)
    if reason != 0:
        return reason
    if not 0 < command.order_id <= <uint64_t> INT64_MAX:
        return REJECT_BAD_ORDER_ID
    reason = check_price_and_quantity(command)
    if reason != 0:
        return reason
    if not is_plain(command):
        reason = check_combination(command, tail)
        if reason == 0:
            reason = check_tail(book, command, tail)
        if reason != 0:
            return reason
    if book_store_find(book.store, command.order_id) != NO_ORDER:
        return REJECT_DUPLICATE_ORDER_ID
    if not has_room(book, command.side, command.quantity_lots):
        return REJECT_QUANTITY_OVERFLOW
    return 0
