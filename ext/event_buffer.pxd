# cython: language_level=3
"""A run of events that grows by doubling.

Inline in a ``.pxd``, as everything the matching loop calls: a call into another
extension module goes through a pointer and can't be inlined.
"""
from libc.stdlib cimport realloc
from libc.string cimport memcpy

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


cdef inline void event_buffer_add(EventBuffer* buffer, BookEvent event) noexcept nogil:
    """Append an event; room was reserved."""
    buffer.events[buffer.used] = event
    buffer.used += 1


cdef inline int event_buffer_move(EventBuffer* target, EventBuffer* source) noexcept nogil:
    """Append all of ``source`` to ``target`` and empty it; -1 when there is no memory."""
    if event_buffer_reserve(target, source.used) < 0:
        return -1
    memcpy(&target.events[target.used], source.events, source.used * sizeof(BookEvent))
    target.used += source.used
    source.used = 0
    return 0
