# cython: language_level=3
"""What only some resting orders have: a hidden rest, a deadline, a stop price.

In a pool of its own, so that a plain order stays in one cache line. Number 0 is none.
"""
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport realloc

cdef enum:
    NO_EXTRA = 0

cdef struct OrderExtra:
    int64_t hidden_lots        # leaves that are not visible
    int64_t peak_lots          # most that is visible at once; 0: all
    int64_t expiry_ns          # 0: none
    int64_t stop_price_ticks   # 0: never was a stop order
    uint32_t timer             # place in the timers + 1, 0: none
    uint32_t next_free

cdef struct ExtraPool:
    OrderExtra* extras
    uint32_t capacity
    uint32_t used
    uint32_t first_free
    uint32_t live


cdef inline int extra_pool_grow(ExtraPool* pool) noexcept nogil:
    """Double the pool; -1 when there is no memory."""
    cdef uint32_t capacity = 2 * pool.capacity if pool.capacity else 16
    cdef void* grown
    if pool.capacity >= <uint32_t> 1 << 31:
        return -1
    grown = realloc(pool.extras, capacity * sizeof(OrderExtra))
    if grown == NULL:
        return -1
    pool.extras = <OrderExtra*> grown
    pool.capacity = capacity
    if pool.used == 0:
        pool.used = 1
        pool.extras[NO_EXTRA] = OrderExtra(0, 0, 0, 0, 0, 0)
    return 0


cdef inline uint32_t extra_pool_take(ExtraPool* pool) noexcept nogil:
    """Hand out a number; NO_EXTRA when there is no memory."""
    cdef uint32_t number = pool.first_free
    if number != NO_EXTRA:
        pool.first_free = pool.extras[number].next_free
    elif pool.used < pool.capacity or extra_pool_grow(pool) == 0:
        number = pool.used
        pool.used += 1
    else:
        return NO_EXTRA
    pool.live += 1
    return number


cdef inline void extra_pool_give_back(ExtraPool* pool, uint32_t number) noexcept nogil:
    pool.extras[number].next_free = pool.first_free
    pool.first_free = number
    pool.live -= 1
