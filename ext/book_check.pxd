# cython: language_level=3
"""Every invariant of a set of books, walked. Functions raise AssertionError."""
from libc.stdint cimport INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t

from ext.book cimport (
    Auction,
    Book,
    book_extra,
    book_order,
    hidden_lots,
    price_key,
)
from ext.book_records cimport PHASE_CALL, PHASE_CANCEL_ONLY, SIDE_BUY, SIDE_SELL
from ext.book_snapshot cimport is_settled
from ext.book_store cimport BookStore, book_store_find
from ext.call_auction cimport book_equilibrium
from ext.order_extra cimport NO_EXTRA, ExtraPool
from ext.order_index cimport OrderIndex
from ext.order_pool cimport NO_ORDER, ORDER_STOP, Order, OrderPool
from ext.order_timers cimport OrderTimers, timer_is_before
from ext.price_levels cimport NO_LEVEL, RUN_KEYS, KeyRun, Level, LevelPool, SidePrices


# -- what books share

cdef inline int check_order_pool(const OrderPool* pool) except -1:
    """Every order number is either live or free once."""
    cdef uint32_t ref = pool.first_free
    cdef uint64_t free_orders = 0
    while ref != NO_ORDER:
        assert ref < pool.used <= pool.capacity
        free_orders += 1
        assert free_orders < pool.used
        ref = pool.orders[ref].next
    assert free_orders + pool.live + 1 == pool.used
    return 0


cdef inline int check_level_pool(const LevelPool* pool, uint64_t live) except -1:
    """Every level number is either live or free once, and only live ones have a key."""
    cdef uint32_t level = pool.first_free
    cdef uint64_t free_levels = 0
    while level != NO_LEVEL:
        assert level < pool.used <= pool.capacity
        assert pool.levels[level].key == 0
        free_levels += 1
        assert free_levels < pool.used
        level = pool.levels[level].first_order
    assert pool.levels[NO_LEVEL].key == 0
    assert free_levels + pool.live + 1 == pool.used
    assert pool.live == live
    return 0


cdef inline int check_extra_pool(const ExtraPool* pool) except -1:
    """Every extra is either live or free once."""
    cdef uint32_t number = pool.first_free
    cdef uint64_t free_extras = 0
    while number != NO_EXTRA:
        assert number < pool.used <= pool.capacity
        free_extras += 1
        assert free_extras < pool.used
        number = pool.extras[number].next_free
    assert free_extras + pool.live + (1 if pool.capacity else 0) == pool.used
    return 0


cdef inline int check_index(BookStore* store) except -1:
    """The index holds each live order once, where a lookup finds it, and is at most a quarter full."""
    cdef const OrderIndex* index = &store.index
    cdef uint64_t at
    cdef uint32_t found = 0
    cdef uint32_t ref
    for at in range(<uint64_t> index.mask + 1):
        ref = <uint32_t> index.slots[at]
        if ref == NO_ORDER:
            continue
        found += 1
        assert book_store_find(store, store.orders.orders[ref].order_id) == ref
    assert found == index.count == store.orders.live
    assert index.count <= (index.mask >> 2) + 1
    return 0


# -- one book

cdef inline int check_book(Book* book, uint64_t* orders, uint64_t* levels, uint64_t* extras) except -1:
    """Check one book and add up its orders, levels and extras."""
    cdef uint8_t side
    cdef int64_t leaves_lots
    for side in range(SIDE_BUY, SIDE_SELL + 1):
        leaves_lots = check_side(book, &book.prices[side - 1], side, False, orders, extras)
        levels[0] += book.prices[side - 1].levels
        if book.stops != NULL:
            leaves_lots += check_side(book, &book.stops[side - 1], side, True, orders, extras)
            levels[0] += book.stops[side - 1].levels
        assert book.leaves_lots[side - 1] == leaves_lots
    check_timers(book)
    check_indicative(book)
    assert book.phase <= PHASE_CANCEL_ONLY
    assert is_settled(book)
    return 0


cdef inline int check_timers(const Book* book) except -1:
    """The heap is one, and every entry is of a live order that knows its place."""
    cdef const OrderTimers* timers = &book.timers
    cdef const Order* order
    cdef uint32_t at
    for at in range(timers.used):
        order = book_order(book, timers.heap[at].ref)
        assert order.order_id == timers.heap[at].order_id
        assert book_extra(book, order).timer == at + 1
        assert book_extra(book, order).expiry_ns == timers.heap[at].deadline_ns > book.now_ns
        assert at == 0 or timer_is_before(&timers.heap[(at - 1) >> 1], &timers.heap[at])
    return 0


cdef inline int check_indicative(const Book* book) except -1:
    """What was last told of the call's result is what it would be now."""
    cdef Auction now = Auction(0, 0, 0)
    if book.phase == PHASE_CALL:
        now = book_equilibrium(book, book.reference_price_ticks)
    assert book.indicative.price_ticks == now.price_ticks
    assert book.indicative.volume_lots == now.volume_lots
    assert book.indicative.surplus_lots == now.surplus_lots
    return 0


cdef inline int64_t check_side(
    const Book* book, const SidePrices* prices, uint8_t side, bint stops, uint64_t* orders, uint64_t* extras
) except -1:
    """Keys ascend, levels sum up, queues are linked both ways; returns all leaves."""
    cdef const KeyRun* run
    cdef int64_t before = INT64_MIN
    cdef int64_t leaves_lots = 0
    cdef uint32_t levels = 0
    cdef uint32_t entry, at
    cdef uint32_t best = NO_LEVEL
    for entry in range(prices.runs):
        run = &prices.pool[prices.directory[entry].run]
        assert 0 < run.count <= RUN_KEYS
        assert entry == 0 or before < prices.directory[entry].lowest_key <= run.keys[0]
        for at in range(run.count):
            assert before < run.keys[at]
            before = run.keys[at]
            best = run.levels[at]
            leaves_lots += check_level(book, side, before, best, stops, orders, extras)
            levels += 1
    assert prices.best_key == before
    assert prices.best_level == best
    assert prices.levels == levels
    assert 2 * levels <= prices.hint_mask + 3
    for at in range(prices.hint_mask + 1):
        assert prices.hints[at] < book.store.levels.used
    return leaves_lots


cdef inline int64_t check_level(
    const Book* book,
    uint8_t side,
    int64_t key,
    uint32_t number,
    bint stops,
    uint64_t* orders,
    uint64_t* extras,
) except -1:
    cdef const Level* level = &book.store.levels.levels[number]
    cdef const Order* order
    cdef uint32_t ref = level.first_order
    cdef uint32_t before = NO_ORDER
    cdef uint32_t found = 0
    cdef int64_t leaves_lots = 0
    cdef int64_t hidden = 0
    assert level.key == key
    assert level.owner == 4 * book.number + side - 1 + (2 if stops else 0)
    while ref != NO_ORDER:
        order = book_order(book, ref)
        assert (order.side, order.level, order.book) == (side, number, book.number)
        assert bool(order.flags & ORDER_STOP) == stops
        assert order.previous == before
        assert 0 < order.leaves_lots
        assert 0 <= hidden_lots(book, order) <= order.quantity_lots - order.leaves_lots
        check_order(book, order, key, stops)
        leaves_lots += order.leaves_lots
        hidden += hidden_lots(book, order)
        extras[0] += order.extra != NO_EXTRA
        found += 1
        before = ref
        ref = order.next
    assert level.last_order == before
    assert 0 < found == level.orders
    assert (level.leaves_lots, level.hidden_lots) == (leaves_lots, hidden)
    orders[0] += found
    return leaves_lots + hidden


cdef inline int check_order(const Book* book, const Order* order, int64_t key, bint stops) except -1:
    """Its key, its index entry, and what is visible of it."""
    assert book_store_find(book.store, order.order_id) != NO_ORDER
    if stops:
        assert -price_key(order.side, book_extra(book, order).stop_price_ticks) == key
    else:
        assert price_key(order.side, order.price_ticks) == key
    if order.extra != NO_EXTRA:
        assert (book_extra(book, order).expiry_ns > 0) == (book_extra(book, order).timer > 0)
        assert hidden_lots(book, order) == 0 or order.leaves_lots <= book_extra(book, order).peak_lots
    return 0
