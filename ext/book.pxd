# cython: language_level=3
"""The state of one book, and the steps every change of it is made of.

Steps keep queues, levels, index and totals together; which steps a command takes is said
in ``matching`` and ``call_auction``. A command's LEVEL events wait in ``changes`` until
its other events are written.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from ext.book_records cimport (
    KIND_CANCELLED,
    KIND_FILL,
    KIND_LEVEL,
    PHASE_CLOSED,
    SIDE_BUY,
    BookEvent,
)
from ext.event_buffer cimport EventBuffer, event_buffer_add, event_buffer_reserve
from ext.order_index cimport (
    OrderIndex,
    order_index_add,
    order_index_grow,
    order_index_remove,
    order_index_room,
)
from ext.order_pool cimport (
    NO_ORDER,
    Order,
    OrderPool,
    order_pool_give_back,
    order_pool_grow,
    order_pool_room,
    order_pool_take,
)
from ext.price_levels cimport (
    NO_LEVEL,
    Level,
    LevelPool,
    SidePrices,
    level_pool_give_back,
    level_pool_grow,
    level_pool_room,
    level_pool_take,
    level_price_ticks,
    side_prices_find,
    side_prices_free,
    side_prices_init,
    side_prices_insert,
    side_prices_remove,
)

cdef struct Auction:
    int64_t price_ticks        # 0: nothing crosses
    int64_t volume_lots
    int64_t surplus_lots       # positive when buyers remain

cdef struct Book:
    OrderPool orders
    OrderIndex index
    LevelPool levels
    SidePrices prices[2]       # buys, sells
    int64_t leaves_lots[2]
    EventBuffer events         # not the book's: set for the time of a batch
    EventBuffer changes
    uint32_t room              # orders and levels that certainly can be taken
    int64_t reference_price_ticks
    Auction indicative
    uint8_t phase


cdef inline int book_init(Book* book) noexcept nogil:
    """Make an empty book, closed; -1 when there is no memory."""
    memset(book, 0, sizeof(Book))
    book.phase = PHASE_CLOSED
    if side_prices_init(&book.prices[0]) < 0 or side_prices_init(&book.prices[1]) < 0:
        return -1
    return book_make_room(book)


cdef inline void book_free(Book* book) noexcept nogil:
    free(book.orders.orders)
    free(book.index.slots)
    free(book.levels.levels)
    side_prices_free(&book.prices[0])
    side_prices_free(&book.prices[1])
    free(book.changes.events)


cdef inline int book_make_room(Book* book) noexcept nogil:
    """Make room for at least one more order and level; -1 when there is no memory."""
    if order_pool_room(&book.orders) == 0 and order_pool_grow(&book.orders) < 0:
        return -1
    if order_index_room(&book.index) == 0 and order_index_grow(&book.index) < 0:
        return -1
    if level_pool_room(&book.levels) == 0 and level_pool_grow(&book.levels) < 0:
        return -1
    book.room = min(
        order_pool_room(&book.orders), min(order_index_room(&book.index), level_pool_room(&book.levels))
    )
    return 0


cdef inline int book_reserve(Book* book) noexcept nogil:
    """Make room for one more order and its price's change; -1 when there is no memory."""
    if book.room == 0 and book_make_room(book) < 0:
        return -1
    book.room -= 1
    return event_buffer_reserve(&book.changes, 4)


cdef inline int64_t price_key(uint8_t side, int64_t price_ticks) noexcept nogil:
    """Return the price so that the larger is the better for the side."""
    return price_ticks if side == SIDE_BUY else -price_ticks


cdef inline bint book_is_crossed(const Book* book) noexcept nogil:
    cdef const SidePrices* buys = &book.prices[0]
    cdef const SidePrices* sells = &book.prices[1]
    return buys.levels > 0 and sells.levels > 0 and buys.best_key >= -sells.best_key


# -- events

cdef inline BookEvent* book_emit_order(Book* book, uint8_t kind, const Order* order) noexcept nogil:
    cdef BookEvent* event = event_buffer_add(&book.events, kind)
    event.side = order.side
    event.order_id = order.order_id
    event.price_ticks = order.price_ticks
    event.quantity_lots = order.quantity_lots
    event.leaves_lots = order.leaves_lots
    return event


cdef inline void book_emit_cancelled(Book* book, const Order* order, uint16_t reason) noexcept nogil:
    cdef BookEvent* event = book_emit_order(book, KIND_CANCELLED, order)
    event.quantity_lots = order.leaves_lots
    event.leaves_lots = 0
    event.reason = reason


cdef inline int book_emit_fill(
    Book* book, const Order* order, const Order* other, int64_t price_ticks, int64_t last_lots, uint32_t flags
) noexcept nogil:
    """Write a fill, both orders already reduced by it; -1 when there is no memory."""
    cdef BookEvent* event
    if event_buffer_reserve(&book.events, 8) < 0:
        return -1
    event = event_buffer_add(&book.events, KIND_FILL)
    event.side = order.side
    event.flags = flags
    event.order_id = order.order_id
    event.other_order_id = other.order_id
    event.price_ticks = price_ticks
    event.quantity_lots = last_lots
    event.leaves_lots = order.leaves_lots
    event.other_leaves_lots = other.leaves_lots
    return 0


cdef inline void book_note_change(Book* book, uint8_t side, const Level* level) noexcept nogil:
    """Write down how a price stands now; room was reserved."""
    cdef BookEvent* event = event_buffer_add(&book.changes, KIND_LEVEL)
    event.side = side
    event.price_ticks = level_price_ticks(level)
    event.quantity_lots = level.leaves_lots
    event.orders = level.orders


# -- queues

cdef inline int book_append(Book* book, uint32_t ref) noexcept nogil:
    """Put an order at the back of the queue at its price; -1 when there is no memory."""
    cdef Order* order = &book.orders.orders[ref]
    cdef SidePrices* prices = &book.prices[order.side - 1]
    cdef int64_t key = price_key(order.side, order.price_ticks)
    cdef uint32_t number = side_prices_find(prices, book.levels.levels, key)
    cdef Level* level
    if number == NO_LEVEL:
        number = level_pool_take(&book.levels, key)
        if side_prices_insert(prices, key, number) < 0:
            return -1
    level = &book.levels.levels[number]
    order.level = number
    order.next = NO_ORDER
    order.previous = level.last_order
    if level.last_order != NO_ORDER:
        book.orders.orders[level.last_order].next = ref
    else:
        level.first_order = ref
    level.last_order = ref
    level.orders += 1
    level.leaves_lots += order.leaves_lots
    book.leaves_lots[order.side - 1] += order.leaves_lots
    book_note_change(book, order.side, level)
    return 0


cdef inline void book_drop_level(Book* book, uint8_t side, uint32_t number) noexcept nogil:
    """Forget a price at which nothing rests any more."""
    side_prices_remove(&book.prices[side - 1], book.levels.levels[number].key)
    level_pool_give_back(&book.levels, number)


cdef inline void book_unlink(Book* book, const Order* order) noexcept nogil:
    """Take an order out of the queue at its price; it keeps its number and its place in the index."""
    cdef Level* level = &book.levels.levels[order.level]
    if order.previous != NO_ORDER:
        book.orders.orders[order.previous].next = order.next
    else:
        level.first_order = order.next
    if order.next != NO_ORDER:
        book.orders.orders[order.next].previous = order.previous
    else:
        level.last_order = order.previous
    level.orders -= 1
    level.leaves_lots -= order.leaves_lots
    book.leaves_lots[order.side - 1] -= order.leaves_lots
    book_note_change(book, order.side, level)
    if level.orders == 0:
        book_drop_level(book, order.side, order.level)


cdef inline void book_reduce(Book* book, Order* order, int64_t lots) noexcept nogil:
    """Take ``lots`` off a resting order that stays where it is."""
    cdef Level* level = &book.levels.levels[order.level]
    order.leaves_lots -= lots
    level.leaves_lots -= lots
    book.leaves_lots[order.side - 1] -= lots


cdef inline uint32_t book_pop_first(Book* book, Level* level) noexcept nogil:
    """Take the filled first order off its level and out of the book; return the one behind it."""
    cdef uint32_t ref = level.first_order
    cdef Order* order = &book.orders.orders[ref]
    cdef uint32_t behind = order.next
    level.first_order = behind
    if behind != NO_ORDER:
        book.orders.orders[behind].previous = NO_ORDER
    else:
        level.last_order = NO_ORDER
    level.orders -= 1
    book_forget(book, ref)
    return behind


cdef inline void book_forget(Book* book, uint32_t ref) noexcept nogil:
    """Give back an order that is in no queue."""
    order_index_remove(&book.index, book.orders.orders[ref].order_id, ref)
    order_pool_give_back(&book.orders, ref)


cdef inline int book_enter(Book* book, const Order* order) noexcept nogil:
    """Give an order a number and a place in the index and let it rest; -1 when there is no memory."""
    cdef uint32_t ref = order_pool_take(&book.orders)
    book.orders.orders[ref] = order[0]
    order_index_add(&book.index, order.order_id, ref)
    return book_append(book, ref)
