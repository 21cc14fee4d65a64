# cython: language_level=3
"""Resting orders by number, one cache line each, in a pool that grows by doubling.

Number 0 is no order. A number is valid until the order is given back.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from ext.memory cimport memory_take

cdef enum:
    NO_ORDER = 0

cdef enum:
    ORDER_POST_ONLY = 2        # the command's numbers
    ORDER_REPRICE = 4
    ORDER_STOP = 8             # not triggered: waits in the stop queues
    ORDER_MARKET = 16          # ends when it has matched
    ORDER_IMMEDIATE = 32

cdef struct Order:
    uint64_t order_id
    int64_t price_ticks
    int64_t quantity_lots      # FIX OrderQty (38), what has filled included
    int64_t leaves_lots        # of a resting order: what is visible of them
    uint32_t next              # behind it in the queue of its price; next free one in the pool
    uint32_t previous
    uint32_t level
    uint32_t extra             # what few orders have: NO_EXTRA for most
    uint32_t book
    uint32_t owner
    uint32_t group
    uint8_t side
    uint8_t time_in_force
    uint8_t self_trade
    uint8_t flags

cdef struct OrderPool:
    Order* orders
    uint32_t capacity
    uint32_t used              # numbers below it have been handed out at least once
    uint32_t first_free
    uint32_t live


cdef inline uint32_t order_pool_room(const OrderPool* pool) noexcept nogil:
    """Return how many orders can be taken before the pool must grow."""
    return pool.capacity - 1 - pool.live if pool.capacity else 0


cdef inline int order_pool_grow(OrderPool* pool) noexcept nogil:
    """Double the pool; -1 when there is no memory."""
    cdef uint32_t capacity = 2 * pool.capacity if pool.capacity else 64
    cdef void* grown
    if pool.capacity >= <uint32_t> 1 << 31:
        return -1
    grown = memory_take(capacity * sizeof(Order))
    if grown == NULL:
        return -1
    if pool.orders != NULL:
        memcpy(grown, pool.orders, pool.used * sizeof(Order))
        free(pool.orders)
    else:
        pool.used = 1
    pool.orders = <Order*> grown
    pool.capacity = capacity
    return 0


cdef inline uint32_t order_pool_take(OrderPool* pool) noexcept nogil:
    """Hand out the number of a free order; room was reserved."""
    cdef uint32_t ref = pool.first_free
    if ref != NO_ORDER:
        pool.first_free = pool.orders[ref].next
    else:
        ref = pool.used
        pool.used += 1
    pool.live += 1
    return ref


cdef inline void order_pool_give_back(OrderPool* pool, uint32_t ref) noexcept nogil:
    pool.orders[ref].next = pool.first_free
    pool.first_free = ref
    pool.live -= 1
