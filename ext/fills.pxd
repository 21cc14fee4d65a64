# cython: language_level=3
"""One fill: both orders reduced, and its event."""
from libc.stdint cimport int64_t, uint32_t

from ext.book cimport Book, book_order, hidden_lots
from ext.book_records cimport FLAG_AUCTION, FLAG_SAME_OWNER, KIND_FILL
from ext.event_buffer cimport event_buffer_add, event_buffer_reserve
from ext.order_pool cimport Order
from ext.price_levels cimport Level, level_price_ticks


cdef inline int emit_fill(
    Book* book, const Order* order, const Order* other, int64_t price_ticks, int64_t last_lots, uint32_t flags
) noexcept nogil:
    """Write a fill, both orders already reduced by it; -1 when there is no memory."""
    if event_buffer_reserve(&book.store.events, 16) < 0:
        return -1
    if order.owner == other.owner and order.owner != 0:
        flags |= FLAG_SAME_OWNER
    event_buffer_add(
        &book.store.events,
        KIND_FILL, order.side, 0, flags, order.order_id, other.order_id, price_ticks, last_lots,
        order.leaves_lots + hidden_lots(book, order) if flags & FLAG_AUCTION else order.leaves_lots,
        other.leaves_lots + hidden_lots(book, other), 0, book.number,
    )
    return 0


cdef inline int fill_maker(
    Book* book, Order* taker, Level* level, uint32_t ref, int64_t last_lots
) noexcept nogil:
    """Fill a taker from an order of a level, which stays linked; -1 when there is no memory."""
    cdef Order* maker = book_order(book, ref)
    taker.leaves_lots -= last_lots
    maker.leaves_lots -= last_lots
    level.leaves_lots -= last_lots
    book.leaves_lots[maker.side - 1] -= last_lots
    return emit_fill(book, taker, maker, level_price_ticks(level), last_lots, 0)
