# cython: language_level=3
"""Deadlines of resting orders, due by (deadline, order id).

A binary heap in which every order knows its place, so that one that ends takes its
deadline along and nothing is left behind.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport realloc

from ext.order_extra cimport OrderExtra

cdef struct OrderTimer:
    int64_t deadline_ns
    uint64_t order_id
    uint32_t ref
    uint32_t extra

cdef struct OrderTimers:
    OrderTimer* heap
    uint32_t used
    uint32_t capacity


cdef inline bint timer_is_before(const OrderTimer* left, const OrderTimer* right) noexcept nogil:
    if left.deadline_ns != right.deadline_ns:
        return left.deadline_ns < right.deadline_ns
    return left.order_id < right.order_id


cdef inline void order_timers_put(
    OrderTimers* timers, OrderExtra* extras, uint32_t at, OrderTimer timer
) noexcept nogil:
    timers.heap[at] = timer
    extras[timer.extra].timer = at + 1


cdef inline void order_timers_rise(
    OrderTimers* timers, OrderExtra* extras, uint32_t at, OrderTimer timer
) noexcept nogil:
    cdef uint32_t parent
    while at > 0:
        parent = (at - 1) >> 1
        if not timer_is_before(&timer, &timers.heap[parent]):
            break
        order_timers_put(timers, extras, at, timers.heap[parent])
        at = parent
    order_timers_put(timers, extras, at, timer)


cdef inline void order_timers_sink(
    OrderTimers* timers, OrderExtra* extras, uint32_t at, OrderTimer timer
) noexcept nogil:
    cdef uint32_t child
    while True:
        child = 2 * at + 1
        if child >= timers.used:
            break
        if child + 1 < timers.used and timer_is_before(&timers.heap[child + 1], &timers.heap[child]):
            child += 1
        if not timer_is_before(&timers.heap[child], &timer):
            break
        order_timers_put(timers, extras, at, timers.heap[child])
        at = child
    order_timers_put(timers, extras, at, timer)


cdef inline int order_timers_add(
    OrderTimers* timers, OrderExtra* extras, OrderTimer timer
) noexcept nogil:
    """Note a deadline; -1 when there is no memory."""
    cdef uint32_t capacity = 2 * timers.capacity if timers.capacity else 16
    cdef void* grown
    if timers.used == timers.capacity:
        grown = realloc(timers.heap, capacity * sizeof(OrderTimer))
        if grown == NULL:
            return -1
        timers.heap = <OrderTimer*> grown
        timers.capacity = capacity
    timers.used += 1
    order_timers_rise(timers, extras, timers.used - 1, timer)
    return 0


cdef inline void order_timers_remove(OrderTimers* timers, OrderExtra* extras, uint32_t extra) noexcept nogil:
    """Forget the deadline of the order with this extra, if it has one."""
    cdef uint32_t at = extras[extra].timer
    cdef OrderTimer moved
    if at == 0:
        return
    at -= 1
    extras[extra].timer = 0
    timers.used -= 1
    if at == timers.used:
        return
    moved = timers.heap[timers.used]
    if at > 0 and timer_is_before(&moved, &timers.heap[(at - 1) >> 1]):
        order_timers_rise(timers, extras, at, moved)
    else:
        order_timers_sink(timers, extras, at, moved)
