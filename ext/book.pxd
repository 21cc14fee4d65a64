# cython: language_level=3
"""The state of one book, and the steps every change of it is made of.

Steps keep queues, levels, index, timers and totals together; which steps a command takes is
said in the modules above. A step's LEVEL events wait in ``store.changes`` until its other
events are written.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from ext.book_records cimport (
    KIND_CANCELLED,
    KIND_LEVEL,
    KIND_REFILLED,
    PHASE_CLOSED,
    SIDE_BUY,
    RulesTail,
)
from ext.book_store cimport BookStore
from ext.event_buffer cimport event_buffer_add, event_buffer_reserve
from ext.level_changes cimport LevelChange, LevelChanges
from ext.order_extra cimport (
    NO_EXTRA,
    OrderExtra,
    extra_pool_give_back,
    extra_pool_take,
)
from ext.order_index cimport order_index_add, order_index_remove
from ext.order_pool cimport (
    NO_ORDER,
    ORDER_STOP,
    Order,
    order_pool_give_back,
)
from ext.order_timers cimport OrderTimer, OrderTimers, order_timers_add, order_timers_remove
from ext.price_levels cimport (
    NO_LEVEL,
    Level,
    SidePrices,
    level_pool_give_back,
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
    SidePrices prices[2]       # buys, sells
    BookStore* store
    int64_t leaves_lots[2]     # of all orders of a side, hidden and stop orders included
    SidePrices* stops          # buys, sells, the first to trigger best; NULL before the first stop order
    uint32_t number            # in its set
    uint8_t phase
    bint has_collar
    int64_t reference_price_ticks
    int64_t last_price_ticks   # of the last trade, 0 before the first
    int64_t reached_high_ticks  # of trades for which stop orders were not looked through; 0: none
    int64_t reached_low_ticks
    int64_t now_ns             # of the last CLOCK
    int64_t call_end_ns        # 0: not before a command says so
    uint64_t random_state
    RulesTail rules
    Auction indicative
    OrderTimers timers


cdef inline int book_init(Book* book, BookStore* store, uint32_t number) noexcept nogil:
    """Make an empty book, closed; -1 when there is no memory."""
    memset(book, 0, sizeof(Book))
    book.store = store
    book.number = number
    book.phase = PHASE_CLOSED
    if side_prices_init(&book.prices[0], 4 * number) < 0:
        return -1
    return side_prices_init(&book.prices[1], 4 * number + 1)


cdef inline void book_free(Book* book) noexcept nogil:
    side_prices_free(&book.prices[0])
    side_prices_free(&book.prices[1])
    if book.stops != NULL:
        side_prices_free(&book.stops[0])
        side_prices_free(&book.stops[1])
    free(book.stops)
    free(book.timers.heap)


cdef inline int book_make_stops(Book* book) noexcept nogil:
    """Make the queues of stop orders if there are none yet; -1 when there is no memory."""
    if book.stops != NULL:
        return 0
    book.stops = <SidePrices*> calloc(2, sizeof(SidePrices))
    if book.stops == NULL or side_prices_init(&book.stops[0], 4 * book.number + 2) < 0:
        return -1
    return side_prices_init(&book.stops[1], 4 * book.number + 3)


cdef inline int64_t price_key(uint8_t side, int64_t price_ticks) noexcept nogil:
    """Return the price so that the larger is the better for the side."""
    return price_ticks if side == SIDE_BUY else -price_ticks


cdef inline bint book_is_crossed(const Book* book) noexcept nogil:
    cdef const SidePrices* buys = &book.prices[0]
    cdef const SidePrices* sells = &book.prices[1]
    return buys.levels > 0 and sells.levels > 0 and buys.best_key >= -sells.best_key


cdef inline bint is_price(int64_t price_ticks) noexcept nogil:
    return 0 < price_ticks <= <int64_t> 1 << 62


cdef inline Order* book_order(const Book* book, uint32_t ref) noexcept nogil:
    return &book.store.orders.orders[ref]


cdef inline OrderExtra* book_extra(const Book* book, const Order* order) noexcept nogil:
    """Return the order's extra; it has one."""
    return &book.store.extras.extras[order.extra]


cdef inline int64_t hidden_lots(const Book* book, const Order* order) noexcept nogil:
    return book_extra(book, order).hidden_lots if order.extra != NO_EXTRA else 0


# -- events

cdef inline void book_emit(
    Book* book, uint8_t kind, uint16_t reason, uint32_t flags, int64_t price_ticks, int64_t lots,
    int64_t leaves_lots, uint32_t orders
) noexcept nogil:
    """Write an event that is of no order."""
    event_buffer_add(
        &book.store.events,
        kind, 0, reason, flags, 0, 0, price_ticks, lots, leaves_lots, 0, orders, book.number,
    )


cdef inline void book_emit_order(
    Book* book, uint8_t kind, const Order* order, uint32_t flags
) noexcept nogil:
    """Say how an order is now: its quantity, all its leaves, and those that are visible."""
    cdef int64_t visible_lots = 0 if order.flags & ORDER_STOP else order.leaves_lots
    event_buffer_add(
        &book.store.events,
        kind, order.side, 0, flags, order.order_id, 0, order.price_ticks, order.quantity_lots,
        order.leaves_lots + hidden_lots(book, order), visible_lots, 0, book.number,
    )


cdef inline void book_emit_cancelled(Book* book, const Order* order, uint16_t reason) noexcept nogil:
    event_buffer_add(
        &book.store.events,
        KIND_CANCELLED, order.side, reason, 0, order.order_id, 0, order.price_ticks,
        order.leaves_lots + hidden_lots(book, order), 0, 0, 0, book.number,
    )


cdef inline void book_note_change(Book* book, uint8_t side, const Level* level) noexcept nogil:
    """Write down how a price stands now; room was reserved."""
    cdef LevelChanges* changes = &book.store.changes
    cdef LevelChange* change = &changes.changes[changes.used]
    change.price_ticks = level_price_ticks(level)
    change.leaves_lots = level.leaves_lots
    change.orders = level.orders
    change.side = side
    changes.used += 1


cdef inline int book_flush(Book* book) noexcept nogil:
    """End a step: its LEVEL events follow its others; -1 when there is no memory."""
    cdef LevelChanges* changes = &book.store.changes
    cdef const LevelChange* change
    cdef size_t at
    if event_buffer_reserve(&book.store.events, changes.used + 1) < 0:
        return -1
    for at in range(changes.used):
        change = &changes.changes[at]
        event_buffer_add(
            &book.store.events, KIND_LEVEL, change.side, 0, 0, 0, 0, change.price_ticks, change.leaves_lots,
            0, 0, change.orders, book.number,
        )
    changes.used = 0
    return 0


# -- trades

cdef inline void book_note_trade(Book* book, int64_t price_ticks) noexcept nogil:
    book.last_price_ticks = price_ticks
    book_note_reached(book, price_ticks)


cdef inline void book_note_reached(Book* book, int64_t price_ticks) noexcept nogil:
    """Note a price that stop orders have yet to be looked through for."""
    if price_ticks > book.reached_high_ticks:
        book.reached_high_ticks = price_ticks
    if book.reached_low_ticks == 0 or price_ticks < book.reached_low_ticks:
        book.reached_low_ticks = price_ticks


# -- queues

cdef inline Level* book_link(
    Book* book, SidePrices* prices, int64_t key, uint32_t ref
) noexcept nogil:
    """Put an order at the back of the queue of a key; NULL when there is no memory."""
    cdef BookStore* store = book.store
    cdef Order* order = &store.orders.orders[ref]
    cdef uint32_t number = side_prices_find(prices, store.levels.levels, key)
    cdef Level* level
    if number == NO_LEVEL:
        number = level_pool_take(&store.levels, key, prices.owner)
        if side_prices_insert(prices, key, number) < 0:
            return NULL
    level = &store.levels.levels[number]
    order.level = number
    level.orders += 1
    level_link_last(store, level, ref)
    return level


cdef inline void level_link_last(BookStore* store, Level* level, uint32_t ref) noexcept nogil:
    cdef Order* order = &store.orders.orders[ref]
    order.next = NO_ORDER
    order.previous = level.last_order
    if level.last_order != NO_ORDER:
        store.orders.orders[level.last_order].next = ref
    else:
        level.first_order = ref
    level.last_order = ref


cdef inline void level_unlink(BookStore* store, Level* level, const Order* order) noexcept nogil:
    """Take an order out of its queue; sums and number of orders stay as they were."""
    if order.previous != NO_ORDER:
        store.orders.orders[order.previous].next = order.next
    else:
        level.first_order = order.next
    if order.next != NO_ORDER:
        store.orders.orders[order.next].previous = order.previous
    else:
        level.last_order = order.previous


cdef inline void hide_rest(Order* order, OrderExtra* extra) noexcept nogil:
    """Divide leaves into what is visible and what is not."""
    cdef int64_t leaves_lots = order.leaves_lots + extra.hidden_lots
    if extra.peak_lots > 0:
        order.leaves_lots = min(extra.peak_lots, leaves_lots)
        extra.hidden_lots = leaves_lots - order.leaves_lots


cdef inline int book_append(Book* book, uint32_t ref) noexcept nogil:
    """Let an order rest at the back of the queue at its price; -1 when there is no memory."""
    cdef Order* order = book_order(book, ref)
    cdef Level* level
    cdef int64_t hidden = 0
    level = book_link(book, &book.prices[order.side - 1], price_key(order.side, order.price_ticks), ref)
    if level == NULL:
        return -1
    if order.extra != NO_EXTRA:
        hide_rest(order, book_extra(book, order))
        hidden = hidden_lots(book, order)
        level.hidden_lots += hidden
    level.leaves_lots += order.leaves_lots
    book.leaves_lots[order.side - 1] += order.leaves_lots + hidden
    book_note_change(book, order.side, level)
    return 0


cdef inline int book_append_stop(Book* book, uint32_t ref) noexcept nogil:
    """Let an order wait for its stop price; -1 when there is no memory."""
    cdef Order* order = book_order(book, ref)
    cdef Level* level
    cdef int64_t key = -price_key(order.side, book_extra(book, order).stop_price_ticks)
    if book_make_stops(book) < 0:
        return -1
    level = book_link(book, &book.stops[order.side - 1], key, ref)
    if level == NULL:
        return -1
    level.leaves_lots += order.leaves_lots
    book.leaves_lots[order.side - 1] += order.leaves_lots
    return 0


cdef inline void book_drop_level(Book* book, SidePrices* prices, uint32_t number) noexcept nogil:
    """Forget a price at which nothing rests any more."""
    side_prices_remove(prices, book.store.levels.levels[number].key)
    level_pool_give_back(&book.store.levels, number)


cdef inline void book_detach(Book* book, Level* level, Order* order) noexcept nogil:
    """Take an order out of its level, which may be left empty. All its leaves are then in the order."""
    cdef int64_t hidden = 0
    level_unlink(book.store, level, order)
    level.orders -= 1
    level.leaves_lots -= order.leaves_lots
    if order.extra != NO_EXTRA:
        hidden = hidden_lots(book, order)
        level.hidden_lots -= hidden
        order.leaves_lots += hidden
        book_extra(book, order).hidden_lots = 0
    book.leaves_lots[order.side - 1] -= order.leaves_lots


cdef inline void book_unlink(Book* book, Order* order) noexcept nogil:
    """Take an order, resting or stop, out of its queue; it keeps its number and its place in the index."""
    cdef Level* level = &book.store.levels.levels[order.level]
    cdef SidePrices* prices = &book.prices[order.side - 1]
    book_detach(book, level, order)
    if order.flags & ORDER_STOP:
        prices = &book.stops[order.side - 1]
    else:
        book_note_change(book, order.side, level)
    if level.orders == 0:
        book_drop_level(book, prices, order.level)


cdef inline void book_forget(Book* book, uint32_t ref) noexcept nogil:
    """Give back an order that is in no queue."""
    cdef BookStore* store = book.store
    cdef Order* order = &store.orders.orders[ref]
    if order.extra != NO_EXTRA:
        order_timers_remove(&book.timers, store.extras.extras, order.extra)
        extra_pool_give_back(&store.extras, order.extra)
    order_index_remove(&store.index, order.order_id, ref)
    order_pool_give_back(&store.orders, ref)


cdef inline void book_end(Book* book, uint32_t ref, uint16_t reason) noexcept nogil:
    """Cancel an order, resting or stop."""
    book_emit_cancelled(book, book_order(book, ref), reason)
    book_unlink(book, book_order(book, ref))
    book_forget(book, ref)


cdef inline uint32_t book_pop_first(Book* book, Level* level) noexcept nogil:
    """Take the filled first order off its level and out of the book; return the one behind it."""
    cdef uint32_t ref = level.first_order
    cdef uint32_t behind = book_order(book, ref).next
    level.first_order = behind
    if behind != NO_ORDER:
        book_order(book, behind).previous = NO_ORDER
    else:
        level.last_order = NO_ORDER
    level.orders -= 1
    book_forget(book, ref)
    return behind


cdef inline void book_refill(Book* book, Level* level, uint32_t ref) noexcept nogil:
    """Show the next peak of an order of which nothing is visible, at the back of its queue."""
    cdef Order* order = book_order(book, ref)
    cdef OrderExtra* extra = book_extra(book, order)
    hide_rest(order, extra)
    level.leaves_lots += order.leaves_lots
    level.hidden_lots -= order.leaves_lots
    if level.last_order != ref:
        level_unlink(book.store, level, order)
        level_link_last(book.store, level, ref)
    book_emit_order(book, KIND_REFILLED, order, 0)


cdef inline void book_settle(Book* book, Level* level, uint32_t ref) noexcept nogil:
    """Refill or take out an order of which nothing is visible any more."""
    cdef Order* order = book_order(book, ref)
    if order.extra != NO_EXTRA and book_extra(book, order).hidden_lots > 0:
        book_refill(book, level, ref)
    else:
        level_unlink(book.store, level, order)
        level.orders -= 1
        book_forget(book, ref)


cdef inline void book_enter(Book* book, uint32_t ref) noexcept nogil:
    """Give an order its place in the index."""
    order_index_add(&book.store.index, book_order(book, ref).order_id, ref)


cdef inline int book_add_extra(Book* book, uint32_t ref, const OrderExtra* extra) noexcept nogil:
    """Give an order what only some have; -1 when there is no memory."""
    cdef BookStore* store = book.store
    cdef Order* order = book_order(book, ref)
    order.extra = extra_pool_take(&store.extras)
    if order.extra == NO_EXTRA:
        return -1
    store.extras.extras[order.extra] = extra[0]
    if extra.expiry_ns == 0:
        return 0
    return order_timers_add(
        &book.timers, store.extras.extras, OrderTimer(extra.expiry_ns, order.order_id, ref, order.extra)
    )


cdef inline bint has_room(const Book* book, uint8_t side, int64_t more_lots) noexcept nogil:
    """Whether a side can hold that many more lots."""
    return more_lots <= INT64_MAX - book.leaves_lots[side - 1]
