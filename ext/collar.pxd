# cython: language_level=3
"""Price collars: how far from the reference and from the last trade a trade may be.

The static collar lies around the reference price, the dynamic one around the last trade before
the order (the reference price before the first). A book without a price to start from has none.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t

from ext.book cimport Auction, Book, book_emit
from ext.book_records cimport (
    FLAG_INTERRUPTION,
    KIND_PHASE,
    PHASE_CALL,
    RULE_INTERRUPT,
    SIDE_BUY,
)


cdef inline int64_t collar_bound(const Book* book, uint8_t side) noexcept nogil:
    """Return the worst price at which an order of the side may trade now."""
    cdef int64_t way = 1 if side == SIDE_BUY else -1
    cdef int64_t bound = INT64_MAX
    cdef int64_t start_ticks = book.reference_price_ticks
    if book.rules.static_collar_ticks > 0 and start_ticks > 0:
        bound = way * start_ticks + book.rules.static_collar_ticks
    if book.last_price_ticks > 0:
        start_ticks = book.last_price_ticks
    if book.rules.dynamic_collar_ticks > 0 and start_ticks > 0:
        bound = min(bound, way * start_ticks + book.rules.dynamic_collar_ticks)
    return bound if way > 0 else -bound


cdef inline int64_t price_in_collar(const Book* book, uint8_t side, int64_t price_ticks) noexcept nogil:
    """Return an order's limit, or the collar's bound where that is nearer."""
    cdef int64_t bound_ticks
    if not book.has_collar:
        return price_ticks
    bound_ticks = collar_bound(book, side)
    return min(price_ticks, bound_ticks) if side == SIDE_BUY else max(price_ticks, bound_ticks)


cdef inline int64_t random_wait_ns(Book* book) noexcept nogil:
    """Draw how much longer than its time a call lasts (splitmix64, seeded by SET_RULES)."""
    cdef uint64_t mixed
    if book.rules.random_end_ns == 0:
        return 0
    book.random_state += <uint64_t> 0x9E3779B97F4A7C15
    mixed = book.random_state
    mixed = (mixed ^ (mixed >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    mixed = (mixed ^ (mixed >> 27)) * <uint64_t> 0x94D049BB133111EB
    mixed = mixed ^ (mixed >> 31)
    return <int64_t> (mixed % (<uint64_t> book.rules.random_end_ns + 1))


cdef inline bint interrupts(const Book* book) noexcept nogil:
    return book.rules.flags & RULE_INTERRUPT != 0


cdef inline void interrupt(Book* book) noexcept nogil:
    """Turn continuous trading to a call, because the next trade would lie outside the collar."""
    book.phase = PHASE_CALL
    book.call_end_ns = 0
    if book.rules.interruption_ns > 0:
        book.call_end_ns = book.now_ns + book.rules.interruption_ns + random_wait_ns(book)
    book.indicative = Auction(0, 0, 0)
    book_emit(book, KIND_PHASE, PHASE_CALL, FLAG_INTERRUPTION, book.reference_price_ticks, 0, 0, 0)
