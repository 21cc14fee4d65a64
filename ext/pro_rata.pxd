# cython: language_level=3
"""Allocation in proportion: an incoming order smaller than a price is divided by size.

Each order gets its share of the incoming lots, rounded down, and nothing when that is under
the minimum; what this leaves over goes by time. Orders of the taker's owner are dealt with
first, so that nobody's share depends on them.
"""
from libc.stdint cimport int64_t, uint32_t

from ext.book cimport Book, book_order, book_settle
from ext.fills cimport fill_maker
from ext.order_pool cimport NO_ORDER, Order
from ext.price_levels cimport Level
from ext.self_trade cimport MATCH_ON, prevent

cdef extern from *:
    """typedef __int128 abst_int128;"""
    ctypedef long long int128_t "abst_int128"


cdef inline int64_t share_lots(
    int64_t lots, int64_t part, int64_t whole, int64_t minimum_lots
) noexcept nogil:
    """Return lots * part / whole rounded down, or 0 when that is under the minimum."""
    cdef int64_t share = <int64_t> (<int128_t> lots * part / whole)
    return share if share >= minimum_lots else 0


cdef inline int prevent_at_level(Book* book, Order* taker, Level* level) noexcept nogil:
    """Deal with all orders of the taker's owner, refilled ones again; as :func:`prevent`."""
    cdef uint32_t ref = level.first_order
    cdef uint32_t behind
    cdef int outcome
    while ref != NO_ORDER:
        behind = book_order(book, ref).next
        if book_order(book, ref).owner == taker.owner:
            outcome = prevent(book, taker, level, ref)
            if outcome != MATCH_ON:
                return outcome
            if behind == NO_ORDER:
                behind = level.last_order
                if behind != NO_ORDER and book_order(book, behind).owner != taker.owner:
                    break
        ref = behind
    return MATCH_ON


cdef inline int64_t lots_left_over(const Book* book, const Level* level, int64_t lots) noexcept nogil:
    """Return what no share takes of ``lots``."""
    cdef int64_t over = lots
    cdef uint32_t ref = level.first_order
    while ref != NO_ORDER:
        over -= share_lots(
            lots, book_order(book, ref).leaves_lots, level.leaves_lots, book.rules.minimum_allocation_lots
        )
        ref = book_order(book, ref).next
    return over


cdef inline int fill_pro_rata(Book* book, Order* taker, Level* level) noexcept nogil:
    """Divide a taker smaller than the level among its orders; -1 when there is no memory."""
    cdef int64_t lots = taker.leaves_lots
    cdef int64_t whole = level.leaves_lots
    cdef int64_t over = lots_left_over(book, level, lots)
    cdef int64_t share, more
    cdef uint32_t left = level.orders
    cdef uint32_t ref = level.first_order
    cdef uint32_t behind
    while left > 0 and taker.leaves_lots > 0:
        behind = book_order(book, ref).next
        share = share_lots(
            lots, book_order(book, ref).leaves_lots, whole, book.rules.minimum_allocation_lots
        )
        more = min(over, book_order(book, ref).leaves_lots - share)
        over -= more
        if share + more > 0:
            if fill_maker(book, taker, level, ref, share + more) < 0:
                return -1
            if book_order(book, ref).leaves_lots == 0:
                book_settle(book, level, ref)
        ref = behind
        left -= 1
    return 0
