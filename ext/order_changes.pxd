# cython: language_level=3
"""Orders that rest: cancelled one by one or many at once, replaced, ended by their deadline."""
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint16_t, uint32_t

from ext.book cimport (
    Book,
    book_append,
    book_append_stop,
    book_emit,
    book_emit_order,
    book_end,
    book_extra,
    book_flush,
    book_note_change,
    book_order,
    book_unlink,
    has_room,
    hidden_lots,
)
from ext.book_records cimport (
    CANCEL_BY_MASS_CANCEL,
    CANCEL_BY_REQUEST,
    CANCEL_QUANTITY_NOT_ABOVE_FILLED,
    FLAG_PRIORITY_KEPT,
    FLAG_REPRICED,
    FLAG_STOP,
    KIND_MASS_CANCELLED,
    KIND_REPLACED,
    PHASE_CONTINUOUS,
    REJECT_QUANTITY_OVERFLOW,
    REJECT_UNKNOWN_ORDER,
    REJECT_UNKNOWN_SIDE,
    REJECT_WOULD_TRADE,
    REJECT_WRONG_PHASE,
    SIDE_BUY,
    SIDE_SELL,
    BookCommand,
)
from ext.book_store cimport book_store_find, book_store_reserve
from ext.matching cimport match_known, tell_peak
from ext.order_checks cimport check_price_and_quantity, takes_orders
from ext.order_entry cimport passive_price
from ext.order_pool cimport NO_ORDER, ORDER_STOP, Order
from ext.price_levels cimport LevelCursor, SidePrices, side_prices_below, side_prices_level


cdef inline uint32_t find_order(const Book* book, const BookCommand* command) noexcept nogil:
    """Return the number of the order a command names, NO_ORDER when it isn't in this book."""
    cdef uint32_t ref = book_store_find(book.store, command.order_id)
    return ref if ref == NO_ORDER or book_order(book, ref).book == book.number else <uint32_t> NO_ORDER


cdef inline int apply_cancel(Book* book, const BookCommand* command) noexcept nogil:
    cdef uint32_t ref = find_order(book, command)
    if ref == NO_ORDER:
        return REJECT_UNKNOWN_ORDER
    book_end(book, ref, CANCEL_BY_REQUEST)
    return 0


# -- mass cancel

cdef inline bint is_meant(const Order* order, const BookCommand* command) noexcept nogil:
    return (
        (command.owner == 0 or order.owner == command.owner)
        and (command.group == 0 or order.group == command.group)
    )


cdef inline int end_step(Book* book, uint32_t ref, uint16_t reason) noexcept nogil:
    """End an order as a step of its own; -1 when there is no memory."""
    if book_store_reserve(book.store) < 0:
        return -1
    book_end(book, ref, reason)
    return book_flush(book)


cdef inline int64_t cancel_level(
    Book* book, uint32_t number, const BookCommand* command
) noexcept nogil:
    """Cancel the orders of a level that are meant; return their number, -1 when there is no memory."""
    cdef uint32_t ref = book.store.levels.levels[number].first_order
    cdef uint32_t behind
    cdef int64_t ended = 0
    while ref != NO_ORDER:
        behind = book_order(book, ref).next
        if is_meant(book_order(book, ref), command):
            if end_step(book, ref, CANCEL_BY_MASS_CANCEL) < 0:
                return -1
            ended += 1
        ref = behind
    return ended


cdef inline int64_t cancel_side(Book* book, SidePrices* prices, const BookCommand* command) noexcept nogil:
    """Cancel the orders of a side that are meant, by priority; as :func:`cancel_level`."""
    cdef int64_t key = INT64_MAX
    cdef int64_t ended = 0
    cdef int64_t more
    cdef uint32_t number
    cdef LevelCursor cursor
    while key > INT64_MIN and side_prices_below(prices, key, &cursor):
        number = side_prices_level(prices, cursor)
        key = book.store.levels.levels[number].key
        more = cancel_level(book, number, command)
        if more < 0:
            return -1
        ended += more
    return ended


cdef inline int apply_mass_cancel(Book* book, const BookCommand* command) noexcept nogil:
    """Cancel by owner, group and side, 0 meaning any. Resting buys, sells, then stops. O(orders)."""
    cdef int64_t ended = 0
    cdef int64_t more
    cdef uint8_t side
    cdef int stops
    if command.side > SIDE_SELL:
        return REJECT_UNKNOWN_SIDE
    for stops in range(1 if book.stops == NULL else 2):
        for side in range(SIDE_BUY, SIDE_SELL + 1):
            if command.side != 0 and command.side != side:
                continue
            more = cancel_side(book, &(book.stops if stops else book.prices)[side - 1], command)
            if more < 0:
                return -1
            ended += more
    if book_store_reserve(book.store) < 0:
        return -1
    book_emit(book, KIND_MASS_CANCELLED, 0, 0, 0, 0, 0, <uint32_t> ended)
    return 0


# -- replace

cdef inline int requeue(
    Book* book, uint32_t ref, int64_t price_ticks, int64_t leaves_lots, uint32_t flags
) noexcept nogil:
    """Move an order to the back of the queue at its new price, matching on the way."""
    cdef Order* order = book_order(book, ref)
    cdef bint same_price = order.price_ticks == price_ticks
    cdef bint is_stop = order.flags & ORDER_STOP
    book_unlink(book, order)
    if same_price and not is_stop:
        book.store.changes.used -= 1
    order.price_ticks = price_ticks
    order.leaves_lots = leaves_lots
    book_emit_order(book, KIND_REPLACED, order, flags)
    if is_stop:
        return book_append_stop(book, ref)
    if book.phase == PHASE_CONTINUOUS:
        if match_known(book, ref, False) < 0:
            return -1
    elif book_append(book, ref) < 0:
        return -1
    else:
        tell_peak(book, order)
    return 0


cdef inline void reduce(Book* book, Order* order, int64_t lots) noexcept nogil:
    """Take lots off an order that keeps its place, off what is hidden first."""
    cdef int64_t from_hidden = min(lots, hidden_lots(book, order))
    order.quantity_lots -= lots
    order.leaves_lots -= lots - from_hidden
    book.store.levels.levels[order.level].leaves_lots -= lots - from_hidden
    if from_hidden > 0:
        book_extra(book, order).hidden_lots -= from_hidden
        book.store.levels.levels[order.level].hidden_lots -= from_hidden
    book.leaves_lots[order.side - 1] -= lots
    if order.flags & ORDER_STOP:
        book_emit_order(book, KIND_REPLACED, order, FLAG_PRIORITY_KEPT | FLAG_STOP)
        return
    book_emit_order(book, KIND_REPLACED, order, FLAG_PRIORITY_KEPT)
    if lots > from_hidden:
        book_note_change(book, order.side, &book.store.levels.levels[order.level])


cdef inline int replace_order(
    Book* book, uint32_t ref, const BookCommand* command, int64_t leaves_lots, int64_t price_ticks
) noexcept nogil:
    """Give an order its new price and quantity, checked; -1 when there is no memory."""
    cdef Order* order = book_order(book, ref)
    cdef int64_t more_lots = command.quantity_lots - order.quantity_lots
    cdef uint32_t flags = FLAG_STOP if order.flags & ORDER_STOP else 0
    if price_ticks == order.price_ticks and more_lots <= 0:
        reduce(book, order, -more_lots)
        return 0
    if price_ticks != command.price_ticks:
        flags |= FLAG_REPRICED
    order.quantity_lots = command.quantity_lots
    return requeue(book, ref, price_ticks, leaves_lots + more_lots, flags)


cdef inline int apply_replace(Book* book, const BookCommand* command) noexcept nogil:
    cdef uint32_t ref
    cdef Order* order
    cdef int64_t leaves_lots, more_lots, price_ticks
    cdef int reason
    if not takes_orders(book.phase):
        return REJECT_WRONG_PHASE
    reason = check_price_and_quantity(command)
    if reason != 0:
        return reason
    ref = find_order(book, command)
    if ref == NO_ORDER:
        return REJECT_UNKNOWN_ORDER
    order = book_order(book, ref)
    leaves_lots = order.leaves_lots + hidden_lots(book, order)
    more_lots = command.quantity_lots - order.quantity_lots
    if leaves_lots + more_lots <= 0:
        book_end(book, ref, CANCEL_QUANTITY_NOT_ABOVE_FILLED)
        return 0
    if not has_room(book, order.side, more_lots):
        return REJECT_QUANTITY_OVERFLOW
    price_ticks = command.price_ticks
    if not order.flags & ORDER_STOP:
        price_ticks = passive_price(book, order.side, price_ticks, order.flags)
        if price_ticks == 0:
            return REJECT_WOULD_TRADE
    return replace_order(book, ref, command, leaves_lots, price_ticks)
