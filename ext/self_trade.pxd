# cython: language_level=3
"""Self-trade prevention: an order does not trade with one of the same beneficial owner.

The taker's mode decides. It acts only where the taker would truly trade next, in continuous
trading; in an auction nobody takes. Every prevention is an event.
"""
from libc.stdint cimport int64_t, uint32_t

from ext.book cimport (
    Book,
    book_detach,
    book_emit_cancelled,
    book_forget,
    book_order,
    book_settle,
    hidden_lots,
)
from ext.book_records cimport (
    CANCEL_SELF_TRADE,
    KIND_PREVENTED,
    SELF_TRADE_ALLOWED,
    SELF_TRADE_CANCEL_BOTH,
    SELF_TRADE_CANCEL_NEWEST,
    SELF_TRADE_CANCEL_OLDEST,
    SELF_TRADE_DECREMENT,
)
from ext.event_buffer cimport event_buffer_add, event_buffer_reserve
from ext.order_pool cimport Order
from ext.price_levels cimport Level, level_price_ticks

cdef enum:
    MATCH_ON = 0               # how a taker's matching ended, or goes on
    MATCH_SELF_TRADE = 1       # what is left of the taker is to be cancelled
    MATCH_COLLAR = 2           # the next price lies outside the collar


cdef inline bint is_guarded(const Order* taker) noexcept nogil:
    return taker.self_trade != SELF_TRADE_ALLOWED and taker.owner != 0


cdef inline int emit_prevented(
    Book* book, const Order* taker, const Order* maker, int64_t price_ticks, int64_t lots
) noexcept nogil:
    """Write a trade that was prevented; -1 when there is no memory."""
    if event_buffer_reserve(&book.store.events, 8) < 0:
        return -1
    event_buffer_add(
        &book.store.events,
        KIND_PREVENTED, taker.side, taker.self_trade, 0, taker.order_id, maker.order_id, price_ticks, lots,
        taker.leaves_lots, maker.leaves_lots + hidden_lots(book, maker), 0, book.number,
    )
    return 0


cdef inline int decrement(Book* book, Order* taker, Level* level, Order* maker, int64_t lots) noexcept nogil:
    """Take the lots off both orders without a trade; -1 when there is no memory."""
    taker.leaves_lots -= lots
    taker.quantity_lots -= lots
    maker.leaves_lots -= lots
    maker.quantity_lots -= lots
    level.leaves_lots -= lots
    book.leaves_lots[maker.side - 1] -= lots
    return emit_prevented(book, taker, maker, level_price_ticks(level), lots)


cdef inline int prevent(Book* book, Order* taker, Level* level, uint32_t ref) noexcept nogil:
    """Do as the taker's mode says with a maker of its owner, in a level that may be left empty.

    Returns MATCH_ON or MATCH_SELF_TRADE; -1 when there is no memory.
    """
    cdef Order* maker = book_order(book, ref)
    cdef int64_t lots = min(taker.leaves_lots, maker.leaves_lots)
    if taker.self_trade == SELF_TRADE_DECREMENT:
        if decrement(book, taker, level, maker, lots) < 0:
            return -1
        if maker.leaves_lots == 0:
            if hidden_lots(book, maker) == 0:
                book_emit_cancelled(book, maker, CANCEL_SELF_TRADE)
            book_settle(book, level, ref)
        return MATCH_SELF_TRADE if taker.leaves_lots == 0 else MATCH_ON
    if emit_prevented(book, taker, maker, level_price_ticks(level), lots) < 0:
        return -1
    if taker.self_trade == SELF_TRADE_CANCEL_NEWEST:
        return MATCH_SELF_TRADE
    book_emit_cancelled(book, maker, CANCEL_SELF_TRADE)
    book_detach(book, level, maker)
    book_forget(book, ref)
    return MATCH_SELF_TRADE if taker.self_trade == SELF_TRADE_CANCEL_BOTH else MATCH_ON
