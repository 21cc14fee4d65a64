# cython: language_level=3
"""What a command does to a book: entry, cancel, replace, phase, and continuous matching.

Functions that answer with a number give 0 when done, a reject reason when the command is
refused (the book is unchanged), and -1 when there is no memory.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from ext.book cimport (
    Auction,
    Book,
    book_append,
    book_drop_level,
    book_emit_cancelled,
    book_emit_fill,
    book_emit_order,
    book_enter,
    book_forget,
    book_is_crossed,
    book_note_change,
    book_pop_first,
    book_reduce,
    book_reserve,
    book_unlink,
    price_key,
)
from ext.book_records cimport (
    CANCEL_BY_REQUEST,
    CANCEL_IOC_REMAINDER,
    CANCEL_QUANTITY_NOT_ABOVE_FILLED,
    FLAG_LAST,
    FLAG_PRIORITY_KEPT,
    KIND_ADDED,
    KIND_PHASE,
    KIND_REJECTED,
    KIND_REPLACED,
    OP_ADD,
    OP_CANCEL,
    OP_REPLACE,
    OP_SET_PHASE,
    OP_UNCROSS,
    PHASE_CALL,
    PHASE_CONTINUOUS,
    PHASE_HALTED,
    REJECT_BAD_ORDER_ID,
    REJECT_BAD_PRICE,
    REJECT_BAD_QUANTITY,
    REJECT_BOOK_CROSSED,
    REJECT_DUPLICATE_ORDER_ID,
    REJECT_IOC_IN_CALL,
    REJECT_QUANTITY_OVERFLOW,
    REJECT_RESERVED_NOT_ZERO,
    REJECT_UNKNOWN_OP,
    REJECT_UNKNOWN_ORDER,
    REJECT_UNKNOWN_PHASE,
    REJECT_UNKNOWN_SIDE,
    REJECT_UNKNOWN_TIME_IN_FORCE,
    REJECT_WRONG_PHASE,
    SIDE_BUY,
    SIDE_SELL,
    TIF_GTC,
    TIF_IOC,
    BookCommand,
    BookEvent,
)
from ext.call_auction cimport book_emit_indicative, book_uncross
from ext.event_buffer cimport event_buffer_add, event_buffer_move, event_buffer_reserve
from ext.order_index cimport order_index_find
from ext.order_pool cimport NO_ORDER, Order
from ext.price_levels cimport Level, SidePrices, level_price_ticks


cdef inline bint is_price(int64_t price_ticks) noexcept nogil:
    return 0 < price_ticks <= <int64_t> 1 << 62


# -- continuous matching

cdef inline int take_best_level(Book* book, Order* taker, uint8_t side) noexcept nogil:
    """Fill the taker from the best level of ``side``, first come first."""
    cdef uint32_t number = book.prices[side - 1].best_level
    cdef Level* level = &book.levels.levels[number]
    cdef uint32_t ref = level.first_order
    cdef Order* maker
    cdef int64_t last_lots
    cdef int64_t price_ticks = level_price_ticks(level)
    cdef int64_t leaves_before_lots = taker.leaves_lots
    if event_buffer_reserve(&book.changes, 4) < 0:
        return -1
    while ref != NO_ORDER and taker.leaves_lots > 0:
        maker = &book.orders.orders[ref]
        last_lots = min(taker.leaves_lots, maker.leaves_lots)
        taker.leaves_lots -= last_lots
        maker.leaves_lots -= last_lots
        if book_emit_fill(book, taker, maker, price_ticks, last_lots, 0) < 0:
            return -1
        if maker.leaves_lots > 0:
            break
        ref = book_pop_first(book, level)
    last_lots = leaves_before_lots - taker.leaves_lots
    level.leaves_lots -= last_lots
    book.leaves_lots[side - 1] -= last_lots
    book_note_change(book, side, level)
    if level.orders == 0:
        book_drop_level(book, side, number)
    return 0


cdef inline int match_order(Book* book, Order* taker) noexcept nogil:
    """Fill the taker as far as the other side's prices reach."""
    cdef uint8_t side = SIDE_BUY + SIDE_SELL - taker.side
    cdef int64_t limit_key = price_key(side, taker.price_ticks)
    cdef const SidePrices* makers = &book.prices[side - 1]
    while taker.leaves_lots > 0 and makers.levels > 0 and makers.best_key >= limit_key:
        if take_best_level(book, taker, side) < 0:
            return -1
    return 0


# -- commands

cdef inline int check_price_and_quantity(const BookCommand* command) noexcept nogil:
    if not is_price(command.price_ticks):
        return REJECT_BAD_PRICE
    if command.quantity_lots <= 0:
        return REJECT_BAD_QUANTITY
    return 0


cdef inline int check_room(const Book* book, uint8_t side, int64_t more_lots) noexcept nogil:
    return REJECT_QUANTITY_OVERFLOW if more_lots > INT64_MAX - book.leaves_lots[side - 1] else 0


cdef inline int check_add(const Book* book, const BookCommand* command) noexcept nogil:
    cdef int reason
    if book.phase != PHASE_CALL and book.phase != PHASE_CONTINUOUS:
        return REJECT_WRONG_PHASE
    if command.side != SIDE_BUY and command.side != SIDE_SELL:
        return REJECT_UNKNOWN_SIDE
    if command.time_in_force != TIF_GTC and command.time_in_force != TIF_IOC:
        return REJECT_UNKNOWN_TIME_IN_FORCE
    if command.time_in_force == TIF_IOC and book.phase == PHASE_CALL:
        return REJECT_IOC_IN_CALL
    if not 0 < command.order_id <= <uint64_t> INT64_MAX:
        return REJECT_BAD_ORDER_ID
    reason = check_price_and_quantity(command)
    if reason != 0:
        return reason
    if order_index_find(&book.index, book.orders.orders, command.order_id) != NO_ORDER:
        return REJECT_DUPLICATE_ORDER_ID
    return check_room(book, command.side, command.quantity_lots)


cdef inline int apply_add(Book* book, const BookCommand* command) noexcept nogil:
    cdef Order order
    cdef int reason = check_add(book, command)
    if reason != 0:
        return reason
    memset(&order, 0, sizeof(Order))
    order.order_id = command.order_id
    order.side = command.side
    order.price_ticks = command.price_ticks
    order.quantity_lots = command.quantity_lots
    order.leaves_lots = command.quantity_lots
    if book.phase == PHASE_CONTINUOUS and match_order(book, &order) < 0:
        return -1
    if order.leaves_lots == 0:
        return 0
    if command.time_in_force == TIF_IOC:
        book_emit_cancelled(book, &order, CANCEL_IOC_REMAINDER)
    else:
        book_emit_order(book, KIND_ADDED, &order)
        return book_enter(book, &order)
    return 0


cdef inline void end_order(Book* book, uint32_t ref, uint16_t reason) noexcept nogil:
    """Cancel what an order's leaves are."""
    cdef Order* order = &book.orders.orders[ref]
    book_emit_cancelled(book, order, reason)
    book_unlink(book, order)
    book_forget(book, ref)


cdef inline int apply_cancel(Book* book, const BookCommand* command) noexcept nogil:
    cdef uint32_t ref = order_index_find(&book.index, book.orders.orders, command.order_id)
    if ref == NO_ORDER:
        return REJECT_UNKNOWN_ORDER
    end_order(book, ref, CANCEL_BY_REQUEST)
    return 0


cdef inline int requeue(Book* book, uint32_t ref, int64_t price_ticks, int64_t leaves_lots) noexcept nogil:
    """Move an order to the back of the queue at its new price, matching on the way."""
    cdef Order* order = &book.orders.orders[ref]
    cdef bint same_price = order.price_ticks == price_ticks
    book_unlink(book, order)
    if same_price:
        book.changes.used -= 1
    order.price_ticks = price_ticks
    order.leaves_lots = leaves_lots
    book_emit_order(book, KIND_REPLACED, order)
    if book.phase == PHASE_CONTINUOUS and match_order(book, order) < 0:
        return -1
    if order.leaves_lots > 0:
        return book_append(book, ref)
    book_forget(book, ref)
    return 0


cdef inline int apply_replace(Book* book, const BookCommand* command) noexcept nogil:
    cdef uint32_t ref
    cdef Order* order
    cdef int64_t more_lots
    cdef int reason
    if book.phase != PHASE_CALL and book.phase != PHASE_CONTINUOUS:
        return REJECT_WRONG_PHASE
    reason = check_price_and_quantity(command)
    if reason != 0:
        return reason
    ref = order_index_find(&book.index, book.orders.orders, command.order_id)
    if ref == NO_ORDER:
        return REJECT_UNKNOWN_ORDER
    order = &book.orders.orders[ref]
    more_lots = command.quantity_lots - order.quantity_lots
    if order.leaves_lots + more_lots <= 0:
        end_order(book, ref, CANCEL_QUANTITY_NOT_ABOVE_FILLED)
        return 0
    reason = check_room(book, order.side, more_lots)
    if reason != 0:
        return reason
    order.quantity_lots = command.quantity_lots
    if command.price_ticks != order.price_ticks or more_lots > 0:
        return requeue(book, ref, command.price_ticks, order.leaves_lots + more_lots)
    book_reduce(book, order, -more_lots)
    book_emit_order(book, KIND_REPLACED, order).flags = FLAG_PRIORITY_KEPT
    if more_lots != 0:
        book_note_change(book, order.side, &book.levels.levels[order.level])
    return 0


cdef inline int apply_set_phase(Book* book, const BookCommand* command) noexcept nogil:
    cdef BookEvent* event
    if command.phase > PHASE_HALTED:
        return REJECT_UNKNOWN_PHASE
    if command.reference_price_ticks != 0 and not is_price(command.reference_price_ticks):
        return REJECT_BAD_PRICE
    if command.phase == PHASE_CONTINUOUS and book_is_crossed(book):
        return REJECT_BOOK_CROSSED
    book.phase = command.phase
    if book.phase != PHASE_CALL:
        book.indicative = Auction(0, 0, 0)
    if command.reference_price_ticks != 0:
        book.reference_price_ticks = command.reference_price_ticks
    event = event_buffer_add(&book.events, KIND_PHASE)
    event.reason = book.phase
    event.price_ticks = book.reference_price_ticks
    return 0


cdef inline int apply_uncross(Book* book, const BookCommand* command) noexcept nogil:
    if book.phase != PHASE_CALL:
        return REJECT_WRONG_PHASE
    if command.reference_price_ticks != 0 and not is_price(command.reference_price_ticks):
        return REJECT_BAD_PRICE
    return book_uncross(book, command.reference_price_ticks)


cdef inline int dispatch(Book* book, const BookCommand* command) noexcept nogil:
    if not OP_ADD <= command.op <= OP_UNCROSS:
        return REJECT_UNKNOWN_OP
    if command.flags != 0 or command.reserved[0] | command.reserved[1] | command.reserved[2]:
        return REJECT_RESERVED_NOT_ZERO
    if command.op == OP_ADD:
        return apply_add(book, command)
    if command.op == OP_CANCEL:
        return apply_cancel(book, command)
    if command.op == OP_REPLACE:
        return apply_replace(book, command)
    if command.op == OP_SET_PHASE:
        return apply_set_phase(book, command)
    return apply_uncross(book, command)


cdef inline int book_apply(Book* book, const BookCommand* command) noexcept nogil:
    """Apply one command and write its events; -1, the book no longer usable, when there is no memory."""
    cdef BookEvent* event
    cdef int outcome
    if book_reserve(book) < 0 or event_buffer_reserve(&book.events, 8) < 0:
        return -1
    outcome = dispatch(book, command)
    if outcome < 0:
        return -1
    if outcome > 0:
        event = event_buffer_add(&book.events, KIND_REJECTED)
        event.order_id = command.order_id
        event.reason = outcome
    if event_buffer_move(&book.events, &book.changes) < 0:
        return -1
    if book.phase == PHASE_CALL and book_emit_indicative(book) < 0:
        return -1
    book.events.events[book.events.used - 1].flags |= FLAG_LAST
    return 0
