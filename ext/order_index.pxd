# cython: language_level=3
"""From venue order id to the order's number in the pool.

Open addressing with linear probing, never more than a quarter full. Removal shifts back
what follows, so there are no tombstones and a lookup stays as fast after any number of
removals as in a fresh table. A slot is ``hash << 32 | number``, 0 when empty.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free

from ext.memory cimport memory_take
from ext.order_pool cimport NO_ORDER, Order

cdef struct OrderIndex:
    uint64_t* slots
    uint32_t mask
    uint32_t shift             # of a hash, to its home slot
    uint32_t count
    uint32_t sought            # hash of the last id looked for; what was found there, or would go there,
    uint32_t sought_at         # is at this slot until another is removed


cdef inline uint32_t order_id_hash(uint64_t order_id) noexcept nogil:
    """Fibonacci hashing: consecutive ids spread over the whole table."""
    return <uint32_t> ((order_id * <uint64_t> 0x9E3779B97F4A7C15) >> 32)


cdef inline uint32_t order_index_slot(
    const OrderIndex* index, const Order* orders, uint64_t order_id
) noexcept nogil:
    """Return the slot of the order with this id, or the empty one where it would go."""
    cdef uint32_t hashed = order_id_hash(order_id)
    cdef uint32_t at = hashed >> index.shift
    cdef uint64_t slot
    while True:
        slot = index.slots[at]
        if slot == 0 or (slot >> 32 == hashed and orders[<uint32_t> slot].order_id == order_id):
            return at
        at = (at + 1) & index.mask


cdef inline uint32_t order_index_find(
    OrderIndex* index, const Order* orders, uint64_t order_id
) noexcept nogil:
    """Return the number of the order with this id, or NO_ORDER."""
    cdef uint32_t at = order_index_slot(index, orders, order_id)
    index.sought = order_id_hash(order_id)
    index.sought_at = at
    return <uint32_t> index.slots[at]


cdef inline void order_index_put(OrderIndex* index, uint64_t slot) noexcept nogil:
    cdef uint32_t at = (<uint32_t> (slot >> 32)) >> index.shift
    while index.slots[at] != 0:
        at = (at + 1) & index.mask
    index.slots[at] = slot
    index.count += 1


cdef inline void order_index_add(OrderIndex* index, uint64_t order_id, uint32_t ref) noexcept nogil:
    """Add an order that is not there; room was reserved."""
    cdef uint32_t hashed = order_id_hash(order_id)
    if index.sought == hashed and index.slots[index.sought_at] == 0:
        index.slots[index.sought_at] = <uint64_t> hashed << 32 | ref
        index.count += 1
        return
    order_index_put(index, <uint64_t> hashed << 32 | ref)


cdef inline void order_index_remove(OrderIndex* index, uint64_t order_id, uint32_t ref) noexcept nogil:
    """Remove an order that is there."""
    cdef uint32_t at = index.sought_at
    if <uint32_t> index.slots[at] != ref:
        at = order_id_hash(order_id) >> index.shift
        while <uint32_t> index.slots[at] != ref:
            at = (at + 1) & index.mask
    order_index_clear(index, at)
    index.sought = 0
    index.sought_at = 0


cdef inline void order_index_clear(OrderIndex* index, uint32_t hole) noexcept nogil:
    """Empty a slot and shift back what it displaced."""
    cdef uint32_t at = hole
    cdef uint32_t home
    while True:
        at = (at + 1) & index.mask
        if index.slots[at] == 0:
            break
        home = (<uint32_t> (index.slots[at] >> 32)) >> index.shift
        if ((at - home) & index.mask) >= ((at - hole) & index.mask):
            index.slots[hole] = index.slots[at]
            hole = at
    index.slots[hole] = 0
    index.count -= 1


cdef inline int order_index_resize(OrderIndex* index, uint32_t bits) noexcept nogil:
    """Move to a table of ``1 << bits`` slots; -1 when there is no memory."""
    cdef OrderIndex grown
    cdef uint64_t at
    grown.slots = <uint64_t*> memory_take(sizeof(uint64_t) << bits)
    if grown.slots == NULL:
        return -1
    grown.mask = <uint32_t> ((<uint64_t> 1 << bits) - 1)
    grown.shift = 32 - bits
    grown.count = 0
    grown.sought = 0
    grown.sought_at = 0
    if index.slots != NULL:
        for at in range(<uint64_t> index.mask + 1):
            if index.slots[at] != 0:
                order_index_put(&grown, index.slots[at])
        free(index.slots)
    index[0] = grown
    return 0


cdef inline uint32_t order_index_room(const OrderIndex* index) noexcept nogil:
    """Return how many orders can be added before the table must grow."""
    return (index.mask >> 2) + 1 - index.count if index.slots != NULL else 0


cdef inline int order_index_grow(OrderIndex* index) noexcept nogil:
    """Double the table; -1 when there is no memory."""
    return order_index_resize(index, 33 - index.shift if index.slots != NULL else 7)
