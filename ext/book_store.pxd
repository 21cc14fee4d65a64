# cython: language_level=3
"""What all books of a set share: orders, the index over their ids, price levels, events.

Pooled so that thousands of small books take the memory of their orders, not of their number.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free

from ext.event_buffer cimport EventBuffer, event_buffer_reserve
from ext.level_changes cimport LevelChanges, level_changes_reserve
from ext.order_extra cimport ExtraPool
from ext.order_index cimport OrderIndex, order_index_find, order_index_grow, order_index_room
from ext.order_pool cimport OrderPool, order_pool_grow, order_pool_room
from ext.price_levels cimport LevelPool, level_pool_grow, level_pool_room

cdef struct BookStore:
    OrderPool orders
    OrderIndex index
    LevelPool levels
    ExtraPool extras
    EventBuffer events         # of the batch; not the store's own but for its time
    LevelChanges changes       # of the step under way
    uint32_t room              # orders and levels that certainly can be taken


cdef inline int book_store_make_room(BookStore* store) noexcept nogil:
    """Make room for at least one more order and level; -1 when there is no memory."""
    if order_pool_room(&store.orders) == 0 and order_pool_grow(&store.orders) < 0:
        return -1
    if order_index_room(&store.index) == 0 and order_index_grow(&store.index) < 0:
        return -1
    if level_pool_room(&store.levels) == 0 and level_pool_grow(&store.levels) < 0:
        return -1
    store.room = min(
        order_pool_room(&store.orders), min(order_index_room(&store.index), level_pool_room(&store.levels))
    )
    return 0


cdef inline int book_store_reserve(BookStore* store) noexcept nogil:
    """Make room for what a step may need: an order, a level, events. -1 when there is no memory.

    No order or level moves in memory until the next call.
    """
    if store.room == 0 and book_store_make_room(store) < 0:
        return -1
    store.room -= 1
    if level_changes_reserve(&store.changes, 8) < 0:
        return -1
    return event_buffer_reserve(&store.events, 16)


cdef inline uint32_t book_store_find(BookStore* store, uint64_t order_id) noexcept nogil:
    """Return the number of the order with this id, or NO_ORDER."""
    return order_index_find(&store.index, store.orders.orders, order_id)


cdef inline void book_store_free(BookStore* store) noexcept nogil:
    free(store.orders.orders)
    free(store.index.slots)
    free(store.levels.levels)
    free(store.extras.extras)
    free(store.changes.changes)
