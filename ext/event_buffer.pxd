# cython: language_level=3
"""A run of events that grows by doubling.

Inline in a ``.pxd``, as everything the matching loop calls: a call into another
extension module goes through a pointer and can't be inlined.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc

from ext.book_records cimport BookEvent

cdef struct EventBuffer:
    BookEvent* events
    size_t used
    size_t capacity


cdef inline int event_buffer_grow(EventBuffer* buffer, size_t needed) noexcept nogil:
    cdef size_t capacity = buffer.capacity if buffer.capacity else 8
    cdef void* grown
    while capacity < needed:
        capacity *= 2
    grown = realloc(buffer.events, capacity * sizeof(BookEvent))
    if grown == NULL:
        return -1
    buffer.events = <BookEvent*> grown
    buffer.capacity = capacity
    return 0


cdef inline int event_buffer_reserve(EventBuffer* buffer, size_t more) noexcept nogil:
    """Make room for ``more`` events; -1 when there is no memory."""
    if buffer.used + more <= buffer.capacity:
        return 0
    return event_buffer_grow(buffer, buffer.used + more)


cdef inline void event_buffer_add(
    EventBuffer* buffer,
    uint8_t kind,
    uint8_t side,
    uint16_t reason,
    uint32_t flags,
    uint64_t order_id,
    uint64_t other_order_id,
    int64_t price_ticks,
    int64_t quantity_lots,
    int64_t leaves_lots,
    int64_t other_leaves_lots,
    uint32_t orders,
    uint32_t book,
) noexcept nogil:
    """Append an event; room was reserved.

    Written in whole words: what is stored piece by piece can't be read as a whole before it has left
    the processor, and every event soon is.
    """
    cdef uint64_t* words = <uint64_t*> &buffer.events[buffer.used]
    words[0] = kind | <uint64_t> side << 8 | <uint64_t> reason << 16 | <uint64_t> flags << 32
    words[1] = order_id
    words[2] = other_order_id
    words[3] = price_ticks
    words[4] = quantity_lots
    words[5] = leaves_lots
    words[6] = other_leaves_lots
    words[7] = orders | <uint64_t> book << 32
    buffer.used += 1
