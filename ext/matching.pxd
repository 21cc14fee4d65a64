# cython: language_level=3
"""Continuous matching: a taker against the other side's prices, best first.

Functions that answer with a number give -1 when there is no memory.
"""
from libc.stdint cimport UINT32_MAX, int64_t, uint8_t, uint16_t, uint32_t

from ext.book cimport (
    Book,
    book_append,
    book_drop_level,
    book_emit_cancelled,
    book_emit_order,
    book_extra,
    book_forget,
    book_note_change,
    book_note_trade,
    book_order,
    book_pop_first,
    book_refill,
    hidden_lots,
    price_key,
)
from ext.book_records cimport (
    ALLOCATION_PRO_RATA,
    CANCEL_IOC_REMAINDER,
    CANCEL_OUTSIDE_COLLAR,
    CANCEL_SELF_TRADE,
    KIND_ADDED,
    KIND_REFILLED,
    SELF_TRADE_CANCEL_OLDEST,
    SIDE_BUY,
    SIDE_SELL,
)
from ext.book_store cimport BookStore
from ext.collar cimport interrupt, interrupts, price_in_collar
from ext.fills cimport emit_fill
from ext.level_changes cimport level_changes_reserve
from ext.order_extra cimport NO_EXTRA
from ext.order_pool cimport NO_ORDER, ORDER_IMMEDIATE, Order
from ext.price_levels cimport (
    Level,
    LevelCursor,
    SidePrices,
    level_price_ticks,
    side_prices_best,
    side_prices_level,
    side_prices_to_worse,
)
from ext.pro_rata cimport fill_pro_rata, prevent_at_level
from ext.self_trade cimport MATCH_COLLAR, MATCH_ON, MATCH_SELF_TRADE, is_guarded, prevent


cdef inline uint8_t opposite(uint8_t side) noexcept nogil:
    return SIDE_BUY + SIDE_SELL - side


cdef inline bint would_trade(const Book* book, uint8_t side, int64_t price_ticks) noexcept nogil:
    """Whether an order would meet another at once."""
    cdef const SidePrices* makers = &book.prices[opposite(side) - 1]
    return makers.levels > 0 and makers.best_key >= price_key(opposite(side), price_ticks)


# -- what is there

cdef inline int64_t lots_before_own(
    const Book* book, const Level* level, const Order* taker, bint* stops
) noexcept nogil:
    """Return the lots of a level that a guarded taker can trade with; ``stops`` when it gets no farther."""
    cdef bint passes_own = taker.self_trade == SELF_TRADE_CANCEL_OLDEST
    cdef int64_t lots = 0
    cdef int64_t behind_lots = 0
    cdef const Order* order
    cdef uint32_t ref = level.first_order
    while ref != NO_ORDER:
        order = book_order(book, ref)
        if order.owner != taker.owner:
            lots += order.leaves_lots
            behind_lots += hidden_lots(book, order)
        elif not passes_own:
            stops[0] = True
            return 0 if book.rules.allocation == ALLOCATION_PRO_RATA else lots
        ref = order.next
    return lots + behind_lots


cdef inline int64_t reachable_lots(const Book* book, const Order* taker, int64_t enough_lots) noexcept nogil:
    """Return how many lots a taker can trade now, counted until they are enough. O(orders in reach)."""
    cdef uint8_t side = opposite(taker.side)
    cdef const SidePrices* makers = &book.prices[side - 1]
    cdef int64_t limit_key = price_key(side, price_in_collar(book, taker.side, taker.price_ticks))
    cdef LevelCursor cursor
    cdef const Level* level
    cdef int64_t lots = 0
    cdef bint stops = makers.levels == 0
    if not stops:
        cursor = side_prices_best(makers)
    while not stops and lots < enough_lots:
        level = &book.store.levels.levels[side_prices_level(makers, cursor)]
        if level.key < limit_key:
            break
        if is_guarded(taker):
            lots += lots_before_own(book, level, taker, &stops)
        else:
            lots += level.leaves_lots + level.hidden_lots
        stops = stops or not side_prices_to_worse(makers, &cursor)
    return lots


# -- one price

cdef inline int fill_in_time(
    Book* book, Order* taker, Level* level, bint guarded, uint32_t makers
) noexcept nogil:
    """Fill a taker from at most so many orders of a level, first come first; as :func:`prevent`."""
    cdef BookStore* store = book.store
    cdef Order* maker
    cdef uint32_t ref = level.first_order
    cdef int64_t last_lots
    cdef int outcome
    while ref != NO_ORDER and taker.leaves_lots > 0 and makers > 0:
        makers -= 1
        maker = &store.orders.orders[ref]
        if guarded and maker.owner == taker.owner:
            outcome = prevent(book, taker, level, ref)
            if outcome != MATCH_ON:
                return outcome
            ref = level.first_order
            continue
        last_lots = min(taker.leaves_lots, maker.leaves_lots)
        taker.leaves_lots -= last_lots
        maker.leaves_lots -= last_lots
        level.leaves_lots -= last_lots
        book.leaves_lots[maker.side - 1] -= last_lots
        if emit_fill(book, taker, maker, level_price_ticks(level), last_lots, 0) < 0:
            return -1
        if maker.leaves_lots > 0:
            break
        if hidden_lots(book, maker) > 0:
            book_refill(book, level, ref)
            ref = level.first_order
        else:
            ref = book_pop_first(book, level)
    return MATCH_ON


cdef inline int fill_in_proportion(Book* book, Order* taker, Level* level) noexcept nogil:
    """Fill a taker from a level by size, round by round as icebergs are refilled; as :func:`prevent`."""
    cdef int outcome = MATCH_ON
    while outcome == MATCH_ON and taker.leaves_lots > 0 and level.orders > 0:
        if is_guarded(taker):
            outcome = prevent_at_level(book, taker, level)
            if outcome != MATCH_ON:
                return outcome
        if taker.leaves_lots < level.leaves_lots:
            outcome = fill_pro_rata(book, taker, level)
        else:
            outcome = fill_in_time(book, taker, level, False, level.orders)
    return outcome


cdef inline int fill_at_level(Book* book, Order* taker, Level* level) noexcept nogil:
    """Fill a taker from a level by the book's allocation; as :func:`prevent`."""
    if book.rules.allocation == ALLOCATION_PRO_RATA:
        return fill_in_proportion(book, taker, level)
    return fill_in_time(book, taker, level, is_guarded(taker), UINT32_MAX)


cdef inline int take_best_level(Book* book, Order* taker, uint8_t side) noexcept nogil:
    """Match a taker with the best level of ``side``; as :func:`prevent`."""
    cdef SidePrices* prices = &book.prices[side - 1]
    cdef uint32_t number = prices.best_level
    cdef Level* level = &book.store.levels.levels[number]
    cdef int64_t before_lots = book.leaves_lots[side - 1]
    cdef uint32_t before_orders = level.orders
    cdef int64_t last_before = taker.quantity_lots - taker.leaves_lots
    cdef int outcome
    if level_changes_reserve(&book.store.changes, 8) < 0:
        return -1
    outcome = fill_at_level(book, taker, level)
    if outcome < 0:
        return -1
    if taker.quantity_lots - taker.leaves_lots != last_before:
        book_note_trade(book, level_price_ticks(level))
    if book.leaves_lots[side - 1] != before_lots or level.orders != before_orders:
        book_note_change(book, side, level)
        if level.orders == 0:
            book_drop_level(book, prices, number)
    return outcome


cdef inline int match_order(Book* book, Order* taker) noexcept nogil:
    """Fill the taker as far as prices and collar reach; MATCH_ON, MATCH_SELF_TRADE or MATCH_COLLAR."""
    cdef uint8_t side = opposite(taker.side)
    cdef int64_t limit_key = price_key(side, price_in_collar(book, taker.side, taker.price_ticks))
    cdef const SidePrices* makers = &book.prices[side - 1]
    cdef int outcome
    while taker.leaves_lots > 0 and makers.levels > 0 and makers.best_key >= limit_key:
        outcome = take_best_level(book, taker, side)
        if outcome != MATCH_ON:
            return outcome
    if book.has_collar and taker.leaves_lots > 0 and would_trade(book, taker.side, taker.price_ticks):
        return MATCH_COLLAR
    return MATCH_ON


# -- what is left

cdef inline uint16_t cancel_reason(Book* book, const Order* taker, int outcome) noexcept nogil:
    """Return why what is left of a matched order is cancelled, 0 when not; interrupts trading if due."""
    if outcome == MATCH_COLLAR and interrupts(book):
        interrupt(book)
    elif outcome == MATCH_COLLAR:
        return CANCEL_OUTSIDE_COLLAR
    if outcome == MATCH_SELF_TRADE:
        return CANCEL_SELF_TRADE
    if taker.leaves_lots > 0 and taker.flags & ORDER_IMMEDIATE:
        return CANCEL_IOC_REMAINDER
    return 0


cdef inline void tell_peak(Book* book, const Order* order) noexcept nogil:
    """Say what of an iceberg is visible now."""
    if order.extra != NO_EXTRA and book_extra(book, order).peak_lots > 0:
        book_emit_order(book, KIND_REFILLED, order, 0)


cdef inline int match_known(Book* book, uint32_t ref, bint tells) noexcept nogil:
    """Match an order that is in no queue but has a number; what is left of it rests or ends.

    ``tells``: whether an ADDED says that it rests.
    """
    cdef Order* order = book_order(book, ref)
    cdef int outcome = match_order(book, order)
    cdef uint16_t reason
    if outcome < 0:
        return -1
    reason = cancel_reason(book, order, outcome)
    if reason != 0:
        book_emit_cancelled(book, order, reason)
    elif order.leaves_lots > 0:
        if book_append(book, ref) < 0:
            return -1
        if tells:
            book_emit_order(book, KIND_ADDED, order, 0)
        else:
            tell_peak(book, order)
        return 0
    book_forget(book, ref)
    return 0
