# cython: language_level=3
"""Stop orders: they wait until a trade reaches their stop price, then match like any other.

Every trade of a command counts, not only its last. Elected orders trade one after the other:
buys before sells, the nearest stop price first, then first come, looked through anew after
each, until none is reached any more. Each is a step of its own: TRIGGERED, its fills, what
became of it, changed prices. Only in continuous trading; an interruption ends it, and what was
reached waits for trading to go on.
"""
from libc.stdint cimport uint32_t

from ext.book cimport (
    Book,
    book_emit_order,
    book_flush,
    book_order,
    book_unlink,
)
from ext.book_records cimport KIND_TRIGGERED, PHASE_CONTINUOUS
from ext.book_store cimport book_store_reserve
from ext.matching cimport match_known
from ext.order_pool cimport NO_ORDER, ORDER_IMMEDIATE, ORDER_MARKET, ORDER_STOP, Order
from ext.price_levels cimport SidePrices


cdef inline uint32_t next_elected(const Book* book) noexcept nogil:
    """Return the stop order that trades next, or NO_ORDER."""
    cdef const SidePrices* buys = &book.stops[0]
    cdef const SidePrices* sells = &book.stops[1]
    if buys.levels > 0 and -buys.best_key <= book.reached_high_ticks:
        return book.store.levels.levels[buys.best_level].first_order
    if sells.levels > 0 and 0 < book.reached_low_ticks <= sells.best_key:
        return book.store.levels.levels[sells.best_level].first_order
    return NO_ORDER


cdef inline int trigger(Book* book, uint32_t ref) noexcept nogil:
    """Let a stop order trade; -1 when there is no memory."""
    cdef Order* order = book_order(book, ref)
    book_unlink(book, order)
    order.flags &= 0xFF - ORDER_STOP
    if order.flags & ORDER_MARKET:
        order.flags |= ORDER_IMMEDIATE
    book_emit_order(book, KIND_TRIGGERED, order, 0)
    if match_known(book, ref, True) < 0:
        return -1
    return book_flush(book)


cdef inline int elect_stops(Book* book) noexcept nogil:
    """Let all stop orders trade that trades have reached; -1 when there is no memory."""
    cdef uint32_t ref
    while book.phase == PHASE_CONTINUOUS:
        ref = next_elected(book) if book.stops != NULL else <uint32_t> NO_ORDER
        if ref == NO_ORDER:
            book.reached_high_ticks = 0
            book.reached_low_ticks = 0
            return 0
        if book_store_reserve(book.store) < 0 or trigger(book, ref) < 0:
            return -1
    return 0
