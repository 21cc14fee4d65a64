# cython: language_level=3
"""The prices that a step has changed, and how they stand; told when the step ends."""
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport realloc

cdef struct LevelChange:
    int64_t price_ticks
    int64_t leaves_lots
    uint32_t orders
    uint32_t side

cdef struct LevelChanges:
    LevelChange* changes
    size_t used
    size_t capacity


cdef inline int level_changes_reserve(LevelChanges* buffer, size_t more) noexcept nogil:
    """Make room for ``more`` changes; -1 when there is no memory."""
    cdef size_t capacity = 2 * buffer.capacity if buffer.capacity else 16
    cdef void* grown
    if buffer.used + more <= buffer.capacity:
        return 0
    while capacity < buffer.used + more:
        capacity *= 2
    grown = realloc(buffer.changes, capacity * sizeof(LevelChange))
    if grown == NULL:
        return -1
    buffer.changes = <LevelChange*> grown
    buffer.capacity = capacity
    return 0
