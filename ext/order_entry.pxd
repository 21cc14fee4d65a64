# cython: language_level=3
"""New orders: checked, matched, and let rest.

Functions that answer with a number give 0 when done, a reject reason when the command is
refused (the book is unchanged), and -1 when there is no memory.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from ext.book cimport (
    Book,
    book_add_extra,
    book_append,
    book_append_stop,
    book_emit_cancelled,
    book_emit_order,
    book_enter,
    book_note_reached,
    book_order,
    is_price,
)
from ext.book_records cimport (
    CANCEL_FOK_NOT_FILLABLE,
    CANCEL_MINIMUM_NOT_MET,
    COMMAND_POST_ONLY,
    COMMAND_REPRICE,
    FLAG_REPRICED,
    FLAG_STOP,
    KIND_ADDED,
    PHASE_CONTINUOUS,
    PHASE_POST_ONLY,
    REJECT_WOULD_TRADE,
    SIDE_BUY,
    TIF_FOK,
    TYPE_MARKET,
    TYPE_STOP,
    BookCommand,
    OrderTail,
)
from ext.matching cimport cancel_reason, match_order, opposite, reachable_lots, would_trade
from ext.order_checks cimport check_add, is_immediate, is_stop
from ext.order_extra cimport NO_EXTRA, OrderExtra
from ext.order_pool cimport (
    ORDER_IMMEDIATE,
    ORDER_MARKET,
    ORDER_POST_ONLY,
    ORDER_REPRICE,
    ORDER_STOP,
    Order,
    order_pool_give_back,
    order_pool_take,
)


cdef inline uint8_t order_flags(const BookCommand* command) noexcept nogil:
    cdef uint8_t flags = command.flags & (COMMAND_POST_ONLY | COMMAND_REPRICE)
    if is_immediate(command):
        flags |= ORDER_IMMEDIATE
    if is_stop(command):
        flags |= ORDER_STOP
    if command.order_type == TYPE_MARKET or command.order_type == TYPE_STOP:
        flags |= ORDER_MARKET
    return flags


cdef inline uint32_t new_order(Book* book, const BookCommand* command) noexcept nogil:
    """Return the number of an order made of a command, in no queue and not in the index."""
    cdef uint32_t ref = order_pool_take(&book.store.orders)
    cdef Order* order = book_order(book, ref)
    order.order_id = command.order_id
    order.price_ticks = command.price_ticks
    order.quantity_lots = command.quantity_lots
    order.leaves_lots = command.quantity_lots
    order.extra = NO_EXTRA
    order.book = book.number
    order.owner = command.owner
    order.group = command.group
    order.side = command.side
    order.time_in_force = command.time_in_force
    order.self_trade = command.self_trade
    order.flags = order_flags(command)
    return ref


cdef inline int64_t passive_price(
    const Book* book, uint8_t side, int64_t price_ticks, uint8_t flags
) noexcept nogil:
    """Return the price at which an order may come to rest; 0 when it would trade and must not."""
    cdef int64_t nearest_ticks
    if not would_trade(book, side, price_ticks) or not (
        book.phase == PHASE_POST_ONLY or (book.phase == PHASE_CONTINUOUS and flags & ORDER_POST_ONLY)
    ):
        return price_ticks
    if not flags & ORDER_REPRICE:
        return 0
    if side == SIDE_BUY:
        nearest_ticks = -book.prices[opposite(side) - 1].best_key - 1
    else:
        nearest_ticks = book.prices[opposite(side) - 1].best_key + 1
    return nearest_ticks if is_price(nearest_ticks) else 0


cdef inline uint16_t entry_condition(
    const Book* book, const Order* order, const OrderTail* tail
) noexcept nogil:
    """Return why an order is cancelled before it trades: what it can trade is less than it must. Else 0."""
    if order.time_in_force == TIF_FOK and reachable_lots(book, order, order.leaves_lots) < order.leaves_lots:
        return CANCEL_FOK_NOT_FILLABLE
    if tail.minimum_lots > 0 and reachable_lots(book, order, tail.minimum_lots) < tail.minimum_lots:
        return CANCEL_MINIMUM_NOT_MET
    return 0


cdef inline int rest(Book* book, uint32_t ref, const OrderTail* tail, uint32_t flags) noexcept nogil:
    """Let a new order rest, or wait for its stop price; -1 when there is no memory."""
    cdef Order* order = book_order(book, ref)
    cdef OrderExtra extra
    book_enter(book, ref)
    if tail.peak_lots | tail.expiry_ns | tail.stop_price_ticks:
        extra = OrderExtra(0, tail.peak_lots, tail.expiry_ns, tail.stop_price_ticks, 0, 0)
        if book_add_extra(book, ref, &extra) < 0:
            return -1
    if order.flags & ORDER_STOP:
        if book_append_stop(book, ref) < 0:
            return -1
        flags |= FLAG_STOP
        if book.last_price_ticks > 0:
            book_note_reached(book, book.last_price_ticks)
    elif book_append(book, ref) < 0:
        return -1
    book_emit_order(book, KIND_ADDED, order, flags)
    return 0


cdef inline int drop(Book* book, uint32_t ref, uint16_t reason) noexcept nogil:
    """End a new order that does not rest; a reason says that some of it is cancelled."""
    if reason != 0:
        book_emit_cancelled(book, book_order(book, ref), reason)
    order_pool_give_back(&book.store.orders, ref)
    return 0


cdef inline int match_and_rest(
    Book* book, uint32_t ref, const OrderTail* tail, uint32_t flags
) noexcept nogil:
    """Match a new order and let rest what may; -1 when there is no memory."""
    cdef Order* order = book_order(book, ref)
    cdef int outcome = match_order(book, order)
    cdef uint16_t reason
    if outcome < 0:
        return -1
    reason = cancel_reason(book, order, outcome)
    if reason == 0 and order.leaves_lots > 0:
        return rest(book, ref, tail, flags)
    return drop(book, ref, reason)


cdef inline int enter_order(
    Book* book, const BookCommand* command, const OrderTail* tail, int64_t price_ticks
) noexcept nogil:
    """Take a new order, checked, at the price it may have; -1 when there is no memory."""
    cdef uint32_t ref = new_order(book, command)
    cdef Order* order = book_order(book, ref)
    cdef uint32_t flags = FLAG_REPRICED if price_ticks != command.price_ticks else 0
    cdef uint16_t condition
    order.price_ticks = price_ticks
    if book.phase != PHASE_CONTINUOUS or order.flags & ORDER_STOP:
        return rest(book, ref, tail, flags)
    if order.time_in_force == TIF_FOK or tail.minimum_lots > 0:
        condition = entry_condition(book, order, tail)
        if condition != 0:
            return drop(book, ref, condition)
    return match_and_rest(book, ref, tail, flags)


cdef inline int apply_add(Book* book, const BookCommand* command, const OrderTail* tail) noexcept nogil:
    cdef int64_t price_ticks = command.price_ticks
    cdef int reason = check_add(book, command, tail)
    if reason != 0:
        return reason
    if (book.phase == PHASE_POST_ONLY or command.flags & COMMAND_POST_ONLY) and not is_stop(command):
        price_ticks = passive_price(book, command.side, price_ticks, order_flags(command))
        if price_ticks == 0:
            return REJECT_WOULD_TRADE
    return enter_order(book, command, tail, price_ticks)
