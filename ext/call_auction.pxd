# cython: language_level=3
"""The call auction: one price at which most lots trade, and the fills at it.

Price by largest volume, then smallest surplus, then market pressure (buyers remain at all
such prices: the highest; sellers: the lowest), then the price closest to the reference
price. Every whole tick between the crossed best prices is a candidate. Allocation is by
price, then time, on both sides.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t

from ext.book cimport (
    Auction,
    Book,
    book_drop_level,
    book_emit,
    book_is_crossed,
    book_note_change,
    book_note_trade,
    book_order,
    book_settle,
)
from ext.book_records cimport FLAG_AUCTION, KIND_INDICATIVE, KIND_UNCROSSED, SIDE_BUY, SIDE_SELL
from ext.event_buffer cimport event_buffer_reserve
from ext.fills cimport emit_fill
from ext.level_changes cimport level_changes_reserve
from ext.order_pool cimport Order
from ext.price_levels cimport (
    Level,
    LevelCursor,
    SidePrices,
    level_price_ticks,
    side_prices_best,
    side_prices_level,
    side_prices_to_better,
    side_prices_to_worse,
)

cdef struct BestPrices:
    int64_t low_ticks          # the candidates are all prices from low to high
    int64_t high_ticks
    int64_t sellers_from_ticks  # from here on sellers remain
    int64_t volume_lots
    int64_t low_surplus_lots
    int64_t high_surplus_lots


# -- price

cdef inline void consider(
    BestPrices* best, int64_t low_ticks, int64_t high_ticks, int64_t demand_lots, int64_t supply_lots
) noexcept nogil:
    """Weigh a run of prices, above those weighed before, over which demand and supply are constant."""
    cdef int64_t volume_lots = min(demand_lots, supply_lots)
    cdef int64_t surplus_lots = demand_lots - supply_lots
    cdef int64_t size_lots = surplus_lots if surplus_lots >= 0 else -surplus_lots
    cdef int64_t best_size_lots = (
        best.low_surplus_lots if best.low_surplus_lots >= 0 else -best.low_surplus_lots
    )
    if volume_lots < best.volume_lots or (volume_lots == best.volume_lots and size_lots > best_size_lots):
        return
    if volume_lots > best.volume_lots or size_lots < best_size_lots:
        best.low_ticks = low_ticks
        best.sellers_from_ticks = INT64_MAX
        best.volume_lots = volume_lots
        best.low_surplus_lots = surplus_lots
    if surplus_lots < 0 and best.sellers_from_ticks == INT64_MAX:
        best.sellers_from_ticks = low_ticks
    best.high_ticks = high_ticks
    best.high_surplus_lots = surplus_lots


cdef inline Auction choose(const BestPrices* best, int64_t reference_price_ticks) noexcept nogil:
    cdef int64_t price_ticks = min(max(reference_price_ticks, best.low_ticks), best.high_ticks)
    if best.high_surplus_lots > 0:
        price_ticks = best.high_ticks
    elif best.low_surplus_lots < 0:
        price_ticks = best.low_ticks
    return Auction(
        price_ticks,
        best.volume_lots,
        best.low_surplus_lots if price_ticks < best.sellers_from_ticks else best.high_surplus_lots,
    )


cdef inline const Level* level_at(
    const Book* book, const SidePrices* side, LevelCursor cursor
) noexcept nogil:
    return &book.store.levels.levels[side_prices_level(side, cursor)]


cdef inline int64_t level_lots(const Level* level) noexcept nogil:
    """Return what of a level takes part in a call: hidden lots too."""
    return level.leaves_lots + level.hidden_lots


cdef inline int64_t walk_to_price(
    const Book* book, const SidePrices* buys, int64_t low_ticks, LevelCursor* cursor
) noexcept nogil:
    """Move the cursor to the worst buy price not under ``low_ticks``; return the lots down to it."""
    cdef LevelCursor ahead
    cdef int64_t lots = 0
    cursor[0] = side_prices_best(buys)
    ahead = cursor[0]
    while level_price_ticks(level_at(book, buys, ahead)) >= low_ticks:
        cursor[0] = ahead
        lots += level_lots(level_at(book, buys, ahead))
        if not side_prices_to_worse(buys, &ahead):
            break
    return lots


cdef inline Auction book_equilibrium(const Book* book, int64_t reference_price_ticks) noexcept nogil:
    """Return where the call would uncross now. O(prices in the crossed range)."""
    cdef const SidePrices* buys = &book.prices[0]
    cdef const SidePrices* sells = &book.prices[1]
    cdef BestPrices best = BestPrices(0, 0, INT64_MAX, 0, 0, 0)
    cdef LevelCursor buy, sell
    cdef bint more_sells = True
    cdef int64_t demand_lots, supply_lots = 0
    cdef int64_t low_ticks, next_ticks, high_ticks
    if not book_is_crossed(book):
        return Auction(0, 0, 0)
    low_ticks = -sells.best_key
    high_ticks = buys.best_key
    demand_lots = walk_to_price(book, buys, low_ticks, &buy)
    sell = side_prices_best(sells)
    while low_ticks <= high_ticks:
        while more_sells and level_price_ticks(level_at(book, sells, sell)) <= low_ticks:
            supply_lots += level_lots(level_at(book, sells, sell))
            more_sells = side_prices_to_worse(sells, &sell)
        while level_price_ticks(level_at(book, buys, buy)) < low_ticks:
            demand_lots -= level_lots(level_at(book, buys, buy))
            side_prices_to_better(buys, &buy)
        next_ticks = level_price_ticks(level_at(book, buys, buy)) + 1
        if more_sells:
            next_ticks = min(next_ticks, level_price_ticks(level_at(book, sells, sell)))
        consider(&best, low_ticks, next_ticks - 1, demand_lots, supply_lots)
        low_ticks = next_ticks
    return choose(&best, reference_price_ticks)


cdef inline int book_emit_indicative(Book* book) noexcept nogil:
    """Say where the call would uncross if that changed; -1 when there is no memory."""
    cdef Auction now = book_equilibrium(book, book.reference_price_ticks)
    if (
        now.price_ticks == book.indicative.price_ticks
        and now.volume_lots == book.indicative.volume_lots
        and now.surplus_lots == book.indicative.surplus_lots
    ):
        return 0
    book.indicative = now
    if event_buffer_reserve(&book.store.events, 1) < 0:
        return -1
    emit_auction(book, KIND_INDICATIVE, &now)
    return 0


# -- uncross

cdef inline void emit_auction(Book* book, uint8_t kind, const Auction* auction) noexcept nogil:
    book_emit(book, kind, 0, 0, auction.price_ticks, auction.volume_lots, auction.surplus_lots, 0)


cdef inline Level* best_level(Book* book, uint8_t side) noexcept nogil:
    return &book.store.levels.levels[book.prices[side - 1].best_level]


cdef inline int open_best_level(Book* book, uint8_t side) noexcept nogil:
    """Write down that the best price of a side changes; what it becomes is filled in when it is left."""
    if level_changes_reserve(&book.store.changes, 4) < 0:
        return -1
    book_note_change(book, side, best_level(book, side))
    return <int> (book.store.changes.used - 1)


cdef inline int settle_first(Book* book, uint8_t side, int change) noexcept nogil:
    """Bring the best level up to date after a fill of its first order.

    Returns the number of its change, or -2 when the level is used up.
    """
    cdef Level* level = best_level(book, side)
    if book_order(book, level.first_order).leaves_lots == 0:
        book_settle(book, level, level.first_order)
    book.store.changes.changes[change].leaves_lots = level.leaves_lots
    book.store.changes.changes[change].orders = level.orders
    if level.orders > 0:
        return change
    book_drop_level(book, &book.prices[side - 1], book.prices[side - 1].best_level)
    return -2


cdef inline Order* reduce_first(Book* book, uint8_t side, int64_t lots) noexcept nogil:
    """Take lots off the first order of a side and return it."""
    cdef Level* level = best_level(book, side)
    cdef Order* order = book_order(book, level.first_order)
    order.leaves_lots -= lots
    level.leaves_lots -= lots
    book.leaves_lots[side - 1] -= lots
    return order


cdef inline int64_t first_lots(Book* book, uint8_t side) noexcept nogil:
    return book_order(book, best_level(book, side).first_order).leaves_lots


cdef inline int64_t fill_first_pair(Book* book, const Auction* auction, int64_t volume_lots) noexcept nogil:
    """Fill the first orders of both sides from each other; return the lots, -1 when there is no memory."""
    cdef int64_t last_lots = min(volume_lots, min(first_lots(book, SIDE_BUY), first_lots(book, SIDE_SELL)))
    cdef Order* buy = reduce_first(book, SIDE_BUY, last_lots)
    cdef Order* sell = reduce_first(book, SIDE_SELL, last_lots)
    if emit_fill(book, buy, sell, auction.price_ticks, last_lots, FLAG_AUCTION) < 0:
        return -1
    return last_lots


cdef inline int fill_auction(Book* book, const Auction* auction) noexcept nogil:
    """Trade the auction's volume; -1 when there is no memory."""
    cdef int64_t volume_lots = auction.volume_lots
    cdef int64_t last_lots
    cdef int buy_change = -2
    cdef int sell_change = -2
    while volume_lots > 0:
        if buy_change == -2:
            buy_change = open_best_level(book, SIDE_BUY)
        if sell_change == -2:
            sell_change = open_best_level(book, SIDE_SELL)
        if buy_change == -1 or sell_change == -1:
            return -1
        last_lots = fill_first_pair(book, auction, volume_lots)
        if last_lots < 0:
            return -1
        volume_lots -= last_lots
        buy_change = settle_first(book, SIDE_BUY, buy_change)
        sell_change = settle_first(book, SIDE_SELL, sell_change)
    return 0


cdef inline Auction book_uncross(Book* book, int64_t reference_price_ticks) noexcept nogil:
    """Trade all that crosses at one price; the price is -1 when there is no memory."""
    cdef Auction auction = book_equilibrium(
        book, reference_price_ticks if reference_price_ticks != 0 else book.reference_price_ticks
    )
    emit_auction(book, KIND_UNCROSSED, &auction)
    if auction.volume_lots > 0:
        book_note_trade(book, auction.price_ticks)
        if fill_auction(book, &auction) < 0:
            auction.price_ticks = -1
    return auction
