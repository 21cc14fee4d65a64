# cython: language_level=3
"""A book as bytes and back: a head, resting buys and sells by priority, stop buys and sells by theirs.

Equal states give equal bytes. Reading takes only what commands could have led to; the caller
compares what it would write with what it read.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from ext.book cimport (
    Book,
    book_add_extra,
    book_append,
    book_append_stop,
    book_enter,
    book_extra,
    book_is_crossed,
    book_order,
    has_room,
    hidden_lots,
    is_price,
)
from ext.book_records cimport (
    COMMAND_POST_ONLY,
    COMMAND_REPRICE,
    PHASE_CALL,
    PHASE_CANCEL_ONLY,
    PHASE_CONTINUOUS,
    PHASE_POST_ONLY,
    SELF_TRADE_DECREMENT,
    SIDE_BUY,
    SIDE_SELL,
    TIF_DAY,
    TIF_GTC,
    TIF_GTD,
    TYPE_LIMIT,
    TYPE_STOP,
    TYPE_STOP_LIMIT,
    RestingOrderRecord,
    SnapshotHead,
)
from ext.book_store cimport book_store_find, book_store_reserve
from ext.call_auction cimport book_equilibrium
from ext.market_phase cimport TIME_BITS, apply_set_rules, is_within
from ext.order_extra cimport NO_EXTRA, OrderExtra
from ext.order_pool cimport (
    NO_ORDER,
    ORDER_MARKET,
    ORDER_POST_ONLY,
    ORDER_REPRICE,
    ORDER_STOP,
    Order,
    order_pool_take,
)
from ext.price_levels cimport (
    Level,
    LevelCursor,
    SidePrices,
    side_prices_best,
    side_prices_level,
    side_prices_to_worse,
)
from ext.stop_orders cimport next_elected


cdef inline const Level* level_of(
    const Book* book, const SidePrices* side, LevelCursor cursor
) noexcept nogil:
    return &book.store.levels.levels[side_prices_level(side, cursor)]


cdef inline uint64_t count_orders(const Book* book, const SidePrices* side) noexcept nogil:
    cdef uint64_t orders = 0
    cdef LevelCursor cursor
    cdef bint more = side != NULL and side.levels > 0
    if more:
        cursor = side_prices_best(side)
    while more:
        orders += level_of(book, side, cursor).orders
        more = side_prices_to_worse(side, &cursor)
    return orders


# -- writing

cdef inline void write_order(const Book* book, const Order* order, RestingOrderRecord* record) noexcept nogil:
    memset(record, 0, sizeof(RestingOrderRecord))
    record.order_id = order.order_id
    record.price_ticks = order.price_ticks
    record.leaves_lots = order.leaves_lots + hidden_lots(book, order)
    record.cum_lots = order.quantity_lots - record.leaves_lots
    record.side = order.side
    record.order_type = TYPE_LIMIT
    record.time_in_force = order.time_in_force
    record.self_trade = order.self_trade
    record.flags = order.flags & (ORDER_POST_ONLY | ORDER_REPRICE)
    record.owner = order.owner
    record.group = order.group
    record.visible_lots = order.leaves_lots
    if order.extra != NO_EXTRA:
        record.peak_lots = book_extra(book, order).peak_lots
        record.expiry_ns = book_extra(book, order).expiry_ns
    if order.flags & ORDER_STOP:
        record.order_type = TYPE_STOP if order.flags & ORDER_MARKET else TYPE_STOP_LIMIT
        record.visible_lots = 0
        record.stop_price_ticks = book_extra(book, order).stop_price_ticks


cdef inline RestingOrderRecord* write_side(
    const Book* book, const SidePrices* side, RestingOrderRecord* record
) noexcept nogil:
    """Write the orders of a side by priority and return where the next would go."""
    cdef LevelCursor cursor
    cdef uint32_t ref
    cdef bint more = side != NULL and side.levels > 0
    if more:
        cursor = side_prices_best(side)
    while more:
        ref = level_of(book, side, cursor).first_order
        while ref != NO_ORDER:
            write_order(book, book_order(book, ref), record)
            record += 1
            ref = book_order(book, ref).next
        more = side_prices_to_worse(side, &cursor)
    return record


cdef inline SnapshotHead snapshot_head(const Book* book) noexcept nogil:
    cdef SnapshotHead head
    memset(&head, 0, sizeof(SnapshotHead))
    memcpy(head.magic, b"ABSTBK02", 8)
    head.phase = book.phase
    head.reference_price_ticks = book.reference_price_ticks
    head.buys = count_orders(book, &book.prices[0])
    head.sells = count_orders(book, &book.prices[1])
    if book.stops != NULL:
        head.buy_stops = count_orders(book, &book.stops[0])
        head.sell_stops = count_orders(book, &book.stops[1])
    head.last_price_ticks = book.last_price_ticks
    head.reached_high_ticks = book.reached_high_ticks
    head.reached_low_ticks = book.reached_low_ticks
    head.now_ns = book.now_ns
    head.call_end_ns = book.call_end_ns
    head.random_state = book.random_state
    head.rules = book.rules
    return head


cdef inline void write_orders(const Book* book, RestingOrderRecord* record) noexcept nogil:
    record = write_side(book, &book.prices[0], record)
    record = write_side(book, &book.prices[1], record)
    if book.stops != NULL:
        record = write_side(book, &book.stops[0], record)
        write_side(book, &book.stops[1], record)


# -- reading

cdef inline bint is_stop_record(const RestingOrderRecord* record) noexcept nogil:
    return record.order_type != TYPE_LIMIT


cdef inline bint may_show(const RestingOrderRecord* record) noexcept nogil:
    """Whether peak, visible lots and stop price fit each other."""
    if not 0 <= record.peak_lots or not TYPE_LIMIT <= record.order_type <= TYPE_STOP_LIMIT:
        return False
    if record.order_type == TYPE_STOP and record.peak_lots > 0:
        return False
    if is_stop_record(record):
        return is_price(record.stop_price_ticks) and record.visible_lots == 0
    if record.peak_lots == 0:
        return record.visible_lots == record.leaves_lots
    return 0 < record.visible_lots <= min(record.peak_lots, record.leaves_lots)


cdef inline bint may_expire(const Book* book, const RestingOrderRecord* record) noexcept nogil:
    if record.time_in_force == TIF_DAY or record.time_in_force == TIF_GTD:
        return record.expiry_ns > book.now_ns
    return record.time_in_force == TIF_GTC and record.expiry_ns == 0


cdef inline bint may_rest(const Book* book, const RestingOrderRecord* record) noexcept nogil:
    """Whether an order of a snapshot could have come to rest in the book by commands."""
    return (
        (record.side == SIDE_BUY or record.side == SIDE_SELL)
        and 0 < record.order_id <= <uint64_t> INT64_MAX
        and is_price(record.price_ticks)
        and record.leaves_lots > 0
        and 0 <= record.cum_lots <= INT64_MAX - record.leaves_lots
        and has_room(book, record.side, record.leaves_lots)
        and record.self_trade <= SELF_TRADE_DECREMENT
        and record.flags & ~(<uint32_t> (COMMAND_POST_ONLY | COMMAND_REPRICE)) == 0
        and record.flags != COMMAND_REPRICE
        and not (is_stop_record(record) and record.flags != 0)
        and may_show(record)
        and may_expire(book, record)
        and book_store_find(book.store, record.order_id) == NO_ORDER
    )


cdef inline uint32_t make_order(Book* book, const RestingOrderRecord* record) noexcept nogil:
    """Return the number of an order of a snapshot, in no queue."""
    cdef uint32_t ref = order_pool_take(&book.store.orders)
    cdef Order* order = book_order(book, ref)
    memset(order, 0, sizeof(Order))
    order.order_id = record.order_id
    order.price_ticks = record.price_ticks
    order.quantity_lots = record.leaves_lots + record.cum_lots
    order.leaves_lots = record.leaves_lots if is_stop_record(record) else record.visible_lots
    order.book = book.number
    order.owner = record.owner
    order.group = record.group
    order.side = record.side
    order.time_in_force = record.time_in_force
    order.self_trade = record.self_trade
    order.flags = record.flags
    if is_stop_record(record):
        order.flags |= ORDER_STOP
    if record.order_type == TYPE_STOP:
        order.flags |= ORDER_MARKET
    book_enter(book, ref)
    return ref


cdef inline int read_order(Book* book, const RestingOrderRecord* record) noexcept nogil:
    """Let an order of a snapshot rest; 1 when it cannot, -1 when there is no memory."""
    cdef int64_t hidden = 0 if is_stop_record(record) else record.leaves_lots - record.visible_lots
    cdef OrderExtra extra = OrderExtra(
        hidden, record.peak_lots, record.expiry_ns, record.stop_price_ticks, 0, 0
    )
    cdef uint32_t ref
    if not may_rest(book, record):
        return 1
    ref = make_order(book, record)
    if extra.peak_lots | extra.expiry_ns | extra.stop_price_ticks and book_add_extra(book, ref, &extra) < 0:
        return -1
    return book_append_stop(book, ref) if is_stop_record(record) else restore_in_queue(book, ref)


cdef inline int restore_in_queue(Book* book, uint32_t ref) noexcept nogil:
    """Let an order rest with what of it was visible, which need not be a whole peak."""
    cdef Order* order = book_order(book, ref)
    cdef int64_t peak_lots
    if order.extra == NO_EXTRA:
        return book_append(book, ref)
    peak_lots = book_extra(book, order).peak_lots
    if peak_lots > 0:
        book_extra(book, order).peak_lots = order.leaves_lots
    if book_append(book, ref) < 0:
        return -1
    book_extra(book, order).peak_lots = peak_lots
    return 0


cdef inline int read_head(Book* book, const SnapshotHead* head) noexcept nogil:
    """Take the state that the head holds; 1 when it is none."""
    if (
        head.phase > PHASE_CANCEL_ONLY
        or not (head.reference_price_ticks == 0 or is_price(head.reference_price_ticks))
        or not (head.last_price_ticks == 0 or is_price(head.last_price_ticks))
        or not (head.reached_low_ticks == 0 or is_price(head.reached_low_ticks))
        or not (head.reached_high_ticks == 0 or is_price(head.reached_high_ticks))
        or head.reached_low_ticks > head.reached_high_ticks
        or (head.reached_low_ticks == 0) != (head.reached_high_ticks == 0)
        or (head.phase == PHASE_CONTINUOUS and head.reached_high_ticks != 0)
        or not 0 <= head.now_ns < <int64_t> 1 << TIME_BITS
        or not (head.call_end_ns == 0 or (head.phase == PHASE_CALL and head.call_end_ns > head.now_ns))
    ):
        return 1
    if apply_set_rules(book, &head.rules) != 0:
        return 1
    book.phase = head.phase
    book.reference_price_ticks = head.reference_price_ticks
    book.last_price_ticks = head.last_price_ticks
    book.reached_high_ticks = head.reached_high_ticks
    book.reached_low_ticks = head.reached_low_ticks
    book.now_ns = head.now_ns
    book.call_end_ns = head.call_end_ns
    book.random_state = head.random_state
    return 0


cdef inline bint is_settled(Book* book) noexcept nogil:
    """Whether a book could be left like this by a command."""
    if (book.phase == PHASE_CONTINUOUS or book.phase == PHASE_POST_ONLY) and book_is_crossed(book):
        return False
    return book.phase != PHASE_CONTINUOUS or not stops_are_reached(book)


cdef inline bint stops_are_reached(Book* book) noexcept nogil:
    """Whether the last trade has reached a stop order."""
    cdef bint reached
    if book.stops == NULL or book.last_price_ticks == 0:
        return False
    book.reached_high_ticks = book.last_price_ticks
    book.reached_low_ticks = book.last_price_ticks
    reached = next_elected(book) != NO_ORDER
    book.reached_high_ticks = 0
    book.reached_low_ticks = 0
    return reached


cdef inline uint64_t snapshot_orders(const SnapshotHead* head, uint64_t most) noexcept nogil:
    """Return how many orders the head announces, or more than ``most``."""
    if max(max(head.buys, head.sells), max(head.buy_stops, head.sell_stops)) > most:
        return most + 1
    return head.buys + head.sells + head.buy_stops + head.sell_stops


cdef inline int read_book(
    Book* book, const char* records, const SnapshotHead* head, uint64_t count
) noexcept nogil:
    """Fill an empty book; 1 when the bytes are no snapshot, -1 when there is no memory."""
    cdef RestingOrderRecord record
    cdef uint64_t at
    cdef int outcome
    if book_store_reserve(book.store) < 0:
        return -1
    if read_head(book, head) != 0:
        return 1
    for at in range(count):
        memcpy(&record, records + at * sizeof(RestingOrderRecord), sizeof(RestingOrderRecord))
        if book_store_reserve(book.store) < 0:
            return -1
        outcome = read_order(book, &record)
        if outcome != 0:
            return outcome
        book.store.changes.used = 0
    if book.phase == PHASE_CALL:
        book.indicative = book_equilibrium(book, book.reference_price_ticks)
    return 0 if is_settled(book) else 1
