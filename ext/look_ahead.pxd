# cython: language_level=3
"""What commands that wait in the batch will need is asked of memory before their turn.

In three steps, each of which uses what the one before has brought: the index slot and the book;
the order, or where its price is noted; the price, or the order's neighbours. Nothing is changed,
and nothing depends on it but time.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from ext.book cimport Book, price_key
from ext.book_records cimport OP_ADD, SIDE_BUY, SIDE_SELL, BookCommand
from ext.book_store cimport BookStore
from ext.order_index cimport order_id_hash
from ext.order_pool cimport NO_ORDER, Order
from ext.price_levels cimport Level, SidePrices

cdef extern from *:
    """
    #if defined(__GNUC__)
    /* The empty asm keeps GCC from dropping calls of functions that do nothing but prefetch. */
    #define abst_prefetch(address) do { __builtin_prefetch(address); __asm__ __volatile__(""); } while (0)
    #else
    #define abst_prefetch(address) ((void)(address))
    #endif
    """
    void abst_prefetch(const void* address) noexcept nogil

cdef enum:
    AHEAD_FIRST = 12           # commands from now
    AHEAD_SECOND = 8
    AHEAD_THIRD = 4


cdef inline const SidePrices* prices_of(
    const Book* books, uint32_t count, const BookCommand* command
) noexcept nogil:
    """Return the side that an ADD is for; NULL for other commands."""
    if command.op != OP_ADD or command.book >= count or not SIDE_BUY <= command.side <= SIDE_SELL:
        return NULL
    return &books[command.book].prices[command.side - 1]


cdef inline uint32_t* hint_of(const SidePrices* prices, const BookCommand* command) noexcept nogil:
    cdef int64_t key = price_key(command.side, command.price_ticks)
    return &prices.hints[<uint32_t> key & prices.hint_mask]


cdef inline uint32_t likely_order(const BookStore* store, const BookCommand* command) noexcept nogil:
    """Return the order in the home slot of an id, most often the one meant."""
    return <uint32_t> store.index.slots[order_id_hash(command.order_id) >> store.index.shift]


cdef inline void look_first(
    const Book* books, uint32_t count, const BookStore* store, const BookCommand* command
) noexcept nogil:
    cdef const SidePrices* prices = prices_of(books, count, command)
    abst_prefetch(&store.index.slots[order_id_hash(command.order_id) >> store.index.shift])
    if prices != NULL:
        abst_prefetch(&books[command.book].prices[0])
        abst_prefetch(&books[command.book].prices[1])


cdef inline void look_second(
    const Book* books, uint32_t count, const BookStore* store, const BookCommand* command
) noexcept nogil:
    cdef const SidePrices* prices = prices_of(books, count, command)
    if prices != NULL:
        abst_prefetch(hint_of(prices, command))
    else:
        abst_prefetch(&store.orders.orders[likely_order(store, command)])


cdef inline void look_third(
    const Book* books, uint32_t count, const BookStore* store, const BookCommand* command
) noexcept nogil:
    cdef const SidePrices* prices = prices_of(books, count, command)
    cdef const Order* order
    if prices != NULL:
        abst_prefetch(&store.levels.levels[hint_of(prices, command)[0]])
        return
    order = &store.orders.orders[likely_order(store, command)]
    if likely_order(store, command) != NO_ORDER and order.order_id == command.order_id:
        abst_prefetch(&store.levels.levels[order.level])
        abst_prefetch(&store.orders.orders[order.next])
        abst_prefetch(&store.orders.orders[order.previous])


cdef inline void look_at_index(
    const BookStore* store, const BookCommand* command, size_t left
) noexcept nogil:
    """Prepare no more than index slots, for a set whose orders fit in the cache near the core."""
    if left > AHEAD_THIRD:
        command += AHEAD_THIRD
        abst_prefetch(&store.index.slots[order_id_hash(command.order_id) >> store.index.shift])
        abst_prefetch(command + AHEAD_FIRST)


cdef inline void look_ahead(
    const Book* books, uint32_t count, const BookStore* store, const BookCommand* command, size_t left
) noexcept nogil:
    """Prepare the commands behind one, ``left`` records of the batch from it on."""
    if left > AHEAD_FIRST:
        look_first(books, count, store, command + AHEAD_FIRST)
    if left > AHEAD_SECOND:
        look_second(books, count, store, command + AHEAD_SECOND)
    if left > AHEAD_THIRD:
        look_third(books, count, store, command + AHEAD_THIRD)
