# cython: language_level=3, autotestdict=False
"""The order book: price-time priority, limit orders, continuous trading and call auction.

Integers only; no clock, no randomness, no I/O. The same commands give the same events,
byte for byte. Records are those of :mod:`ext.book_records`; the C of it is in the
``.pxd`` files beside, from ``matching`` down.
"""
import hashlib
import sys

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from ext.book cimport (
    Auction,
    Book,
    book_enter,
    book_free,
    book_init,
    book_is_crossed,
    book_reserve,
    price_key,
)
from ext.book_records cimport (
    PHASE_CALL,
    PHASE_CONTINUOUS,
    PHASE_HALTED,
    RECORD_BYTES,
    SIDE_BUY,
    SIDE_SELL,
    BookCommand,
    RestingOrderRecord,
    SnapshotHead,
)
from ext.call_auction cimport book_equilibrium
from ext.event_buffer cimport EventBuffer
from ext.matching cimport book_apply, is_price
from ext.order_index cimport OrderIndex, order_index_find
from ext.order_pool cimport NO_ORDER, Order, OrderPool
from ext.price_levels cimport (
    NO_LEVEL,
    RUN_KEYS,
    KeyRun,
    Level,
    LevelCursor,
    LevelPool,
    SidePrices,
    level_price_ticks,
    side_prices_best,
    side_prices_level,
    side_prices_to_worse,
)

assert sys.byteorder == "little", "book records are little-endian"
assert sizeof(BookCommand) == RECORD_BYTES
assert sizeof(RestingOrderRecord) == RECORD_BYTES
assert sizeof(SnapshotHead) == RECORD_BYTES
assert sizeof(Order) == RECORD_BYTES

# A batch shorter than this keeps the interpreter lock: releasing it would cost more.
cdef size_t GIL_BATCH = 32

# Memory that books lend each other for the events of a batch, so that it stays in the cache.
# Taken and given back under the interpreter lock; a batch that finds it taken starts with none.
cdef EventBuffer scratch
cdef size_t SCRATCH_EVENTS_MAX = 1 << 16


cdef void give_back(EventBuffer buffer) noexcept:
    """Keep the memory of a batch for the next, unless it is too much to sit on."""
    global scratch
    if buffer.capacity > SCRATCH_EVENTS_MAX:
        free(buffer.events)
        return
    free(scratch.events)
    scratch = buffer


cdef int apply_all(Book* book, const char* commands, size_t count, bint in_place) noexcept nogil:
    """Apply commands, read where they lie or, when they may move or change, copied one by one."""
    cdef BookCommand copy
    cdef const BookCommand* command = &copy
    cdef size_t at
    for at in range(count):
        if in_place:
            command = <const BookCommand*> (commands + at * RECORD_BYTES)
        else:
            memcpy(&copy, commands + at * RECORD_BYTES, RECORD_BYTES)
        if book_apply(book, command) < 0:
            return -1
    return 0


cdef const Level* level_of(const Book* book, const SidePrices* side, LevelCursor cursor) noexcept nogil:
    return &book.levels.levels[side_prices_level(side, cursor)]


cdef RestingOrderRecord* write_side(
    const Book* book, const SidePrices* side, RestingOrderRecord* record
) noexcept nogil:
    """Write the orders of a side by priority and return where the next would go."""
    cdef LevelCursor cursor
    cdef const Order* order
    cdef uint32_t ref
    cdef bint more = side.levels > 0
    if more:
        cursor = side_prices_best(side)
    while more:
        ref = level_of(book, side, cursor).first_order
        while ref != NO_ORDER:
            order = &book.orders.orders[ref]
            memset(record, 0, sizeof(RestingOrderRecord))
            record.order_id = order.order_id
            record.price_ticks = order.price_ticks
            record.leaves_lots = order.leaves_lots
            record.cum_lots = order.quantity_lots - order.leaves_lots
            record.side = order.side
            record += 1
            ref = order.next
        more = side_prices_to_worse(side, &cursor)
    return record


cdef bint may_rest(const Book* book, const RestingOrderRecord* record) noexcept nogil:
    """Whether an order of a snapshot could have come to rest in the book by commands."""
    return (
        (record.side == SIDE_BUY or record.side == SIDE_SELL)
        and 0 < record.order_id <= <uint64_t> INT64_MAX
        and is_price(record.price_ticks)
        and record.leaves_lots > 0
        and 0 <= record.cum_lots <= INT64_MAX - record.leaves_lots
        and record.leaves_lots <= INT64_MAX - book.leaves_lots[record.side - 1]
        and order_index_find(&book.index, book.orders.orders, record.order_id) == NO_ORDER
    )


cdef int load_orders(Book* book, const char* records, size_t count) noexcept nogil:
    """Let the orders of a snapshot rest; 1 at the first that can't, -1 when there is no memory."""
    cdef RestingOrderRecord record
    cdef Order order
    cdef size_t at
    for at in range(count):
        memcpy(&record, records + at * RECORD_BYTES, RECORD_BYTES)
        if not may_rest(book, &record):
            return 1
        if book_reserve(book) < 0:
            return -1
        memset(&order, 0, sizeof(Order))
        order.order_id = record.order_id
        order.side = record.side
        order.price_ticks = record.price_ticks
        order.leaves_lots = record.leaves_lots
        order.quantity_lots = record.leaves_lots + record.cum_lots
        if book_enter(book, &order) < 0:
            return -1
        book.changes.used = 0
    return 0


@cython.final
@cython.auto_pickle(False)
cdef class OrderBook:
    """One order book of one instrument.

    Owned by one thread at a time: a call while another is under way raises RuntimeError.
    """

    def __cinit__(self):
        if book_init(&self.book) < 0:
            raise MemoryError()

    def __dealloc__(self):
        book_free(&self.book)

    @property
    def phase(self):
        """The market phase (``Phase``)."""
        return self.book.phase

    def apply(self, commands not None):
        """Apply commands in order and return their events."""
        cdef Py_buffer view
        cdef bint in_place
        PyObject_GetBuffer(commands, &view, PyBUF_SIMPLE)
        try:
            if view.len % RECORD_BYTES:
                raise ValueError(f"{view.len} bytes are not whole commands of {RECORD_BYTES} bytes")
            self.require_idle()
            in_place = PyBytes_CheckExact(commands) and <size_t> view.buf % sizeof(uint64_t) == 0
            return self.apply_buffer(<const char*> view.buf, view.len // RECORD_BYTES, in_place)
        finally:
            PyBuffer_Release(&view)

    cdef bytes apply_buffer(self, const char* commands, size_t count, bint in_place):
        global scratch
        cdef int outcome
        cdef bytes events
        self.book.events = scratch
        self.book.events.used = 0
        scratch = EventBuffer(NULL, 0, 0)
        self.is_busy = True
        if count < GIL_BATCH:
            outcome = apply_all(&self.book, commands, count, in_place)
        else:
            with nogil:
                outcome = apply_all(&self.book, commands, count, in_place)
        self.is_busy = False
        self.is_broken = True
        try:
            if outcome < 0:
                raise MemoryError("the order book is lost: replay it")
            events = PyBytes_FromStringAndSize(
                <const char*> self.book.events.events, self.book.events.used * RECORD_BYTES
            )
        finally:
            give_back(self.book.events)
        self.is_broken = False
        return events

    cdef int require_idle(self) except -1:
        if self.is_busy:
            raise RuntimeError("the order book is at work in another thread")
        if self.is_broken:
            raise RuntimeError("the order book is lost: replay it")
        return 0

    def leaves(self, order_id):
        """Return the lots of an order that still can fill; 0 when it does not rest here."""
        cdef uint32_t ref
        self.require_idle()
        if not 0 < order_id <= INT64_MAX:
            return 0
        ref = order_index_find(&self.book.index, self.book.orders.orders, order_id)
        return self.book.orders.orders[ref].leaves_lots if ref != NO_ORDER else 0

    def levels(self, side):
        """Return (price_ticks, lots, orders) of each price of a side, best first."""
        cdef const SidePrices* prices
        cdef LevelCursor cursor
        cdef const Level* level
        cdef list levels = []
        cdef bint more
        self.require_idle()
        if side != SIDE_BUY and side != SIDE_SELL:
            raise ValueError(f"{side} is not a side")
        prices = &self.book.prices[0 if side == SIDE_BUY else 1]
        more = prices.levels > 0
        if more:
            cursor = side_prices_best(prices)
        while more:
            level = level_of(&self.book, prices, cursor)
            levels.append((level_price_ticks(level), level.leaves_lots, level.orders))
            more = side_prices_to_worse(prices, &cursor)
        return levels

    def orders(self):
        """Return the resting orders (``ORDER_DTYPE``), buys then sells, each side by priority."""
        return self.snapshot()[RECORD_BYTES:]

    def snapshot(self):
        """Return the whole state, equal for equal states of any implementation."""
        cdef bytes snapshot
        cdef SnapshotHead* head
        cdef RestingOrderRecord* buys
        cdef RestingOrderRecord* sells
        self.require_idle()
        snapshot = PyBytes_FromStringAndSize(NULL, (1 + self.book.orders.live) * RECORD_BYTES)
        head = <SnapshotHead*> PyBytes_AS_STRING(snapshot)
        memset(head, 0, RECORD_BYTES)
        memcpy(head.magic, b"ABSTBK01", 8)
        head.phase = self.book.phase
        head.reference_price_ticks = self.book.reference_price_ticks
        buys = <RestingOrderRecord*> (head + 1)
        sells = write_side(&self.book, &self.book.prices[0], buys)
        head.buys = sells - buys
        head.sells = write_side(&self.book, &self.book.prices[1], sells) - sells
        return snapshot

    def digest(self):
        """Return SHA-256 of :meth:`snapshot`."""
        return hashlib.sha256(self.snapshot()).digest()

    def restore(self, snapshot not None):
        """Take the state of a snapshot; ValueError, and nothing changed, when it is none."""
        cdef OrderBook restored = OrderBook()
        cdef bytes state = bytes(memoryview(snapshot))
        cdef Book replaced
        if self.is_busy:
            raise RuntimeError("the order book is at work in another thread")
        restored.load(PyBytes_AS_STRING(state), len(state))
        if restored.snapshot() != state:
            raise ValueError("not a snapshot of an order book")
        replaced = self.book
        self.book = restored.book
        restored.book = replaced
        self.is_broken = False

    cdef int load(self, const char* snapshot, size_t size) except -1:
        cdef SnapshotHead head
        cdef int outcome = 1
        if size >= RECORD_BYTES and size % RECORD_BYTES == 0:
            memcpy(&head, snapshot, RECORD_BYTES)
            outcome = load_orders(&self.book, snapshot + RECORD_BYTES, size // RECORD_BYTES - 1)
        if outcome < 0:
            raise MemoryError()
        if (
            outcome > 0
            or head.phase > PHASE_HALTED
            or (head.phase == PHASE_CONTINUOUS and book_is_crossed(&self.book))
            or (head.reference_price_ticks != 0 and not is_price(head.reference_price_ticks))
        ):
            raise ValueError("not a snapshot of an order book")
        self.book.phase = head.phase
        self.book.reference_price_ticks = head.reference_price_ticks
        if self.book.phase == PHASE_CALL:
            self.book.indicative = book_equilibrium(&self.book, self.book.reference_price_ticks)
        return 0

    def _check(self):
        """Walk every invariant; AssertionError names the first that does not hold. O(memory held)."""
        self.require_idle()
        self.check_pool()
        self.check_level_pool()
        self.check_index()
        assert self.check_side(SIDE_BUY) + self.check_side(SIDE_SELL) == self.book.orders.live
        self.check_indicative()
        assert self.book.changes.used == 0
        assert self.book.phase <= PHASE_HALTED
        assert self.book.phase != PHASE_CONTINUOUS or not book_is_crossed(&self.book)

    cdef int check_pool(self) except -1:
        """Every order number is either live or free once."""
        cdef const OrderPool* pool = &self.book.orders
        cdef uint32_t ref = pool.first_free
        cdef uint64_t free_orders = 0
        while ref != NO_ORDER:
            assert ref < pool.used <= pool.capacity
            free_orders += 1
            assert free_orders < pool.used
            ref = pool.orders[ref].next
        assert free_orders + pool.live + 1 == pool.used
        return 0

    cdef int check_level_pool(self) except -1:
        """Every level number is either live or free once, and only live ones have a key."""
        cdef const LevelPool* pool = &self.book.levels
        cdef uint32_t level = pool.first_free
        cdef uint64_t free_levels = 0
        while level != NO_LEVEL:
            assert level < pool.used <= pool.capacity
            assert pool.levels[level].key == 0
            free_levels += 1
            assert free_levels < pool.used
            level = pool.levels[level].next_free
        assert pool.levels[NO_LEVEL].key == 0
        assert free_levels + pool.live + 1 == pool.used
        assert pool.live == self.book.prices[0].levels + self.book.prices[1].levels
        return 0

    cdef int check_indicative(self) except -1:
        """What was last told of the call's result is what it would be now."""
        cdef Auction now = Auction(0, 0, 0)
        if self.book.phase == PHASE_CALL:
            now = book_equilibrium(&self.book, self.book.reference_price_ticks)
        assert self.book.indicative.price_ticks == now.price_ticks
        assert self.book.indicative.volume_lots == now.volume_lots
        assert self.book.indicative.surplus_lots == now.surplus_lots
        return 0

    cdef int check_index(self) except -1:
        """The index holds each live order once, where a lookup finds it, and is at most half full."""
        cdef const OrderIndex* index = &self.book.index
        cdef uint64_t at, order_id
        cdef uint32_t found = 0
        cdef uint32_t ref
        for at in range(<uint64_t> index.mask + 1):
            ref = <uint32_t> index.slots[at]
            if ref == NO_ORDER:
                continue
            found += 1
            order_id = self.book.orders.orders[ref].order_id
            assert order_index_find(index, self.book.orders.orders, order_id) == ref
        assert found == index.count == self.book.orders.live
        assert index.count <= (index.mask >> 1) + 1
        return 0

    cdef uint64_t check_side(self, uint8_t side) except? 0:
        """Keys ascend, levels sum up, queues are linked both ways; returns the number of orders."""
        cdef const SidePrices* prices = &self.book.prices[side - 1]
        cdef const KeyRun* run
        cdef int64_t before = INT64_MIN
        cdef int64_t leaves_lots = 0
        cdef uint64_t orders = 0
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
                orders += self.check_level(side, before, run.levels[at])
                leaves_lots += self.book.levels.levels[run.levels[at]].leaves_lots
                best = run.levels[at]
                levels += 1
        assert prices.best_key == before
        assert prices.best_level == best
        assert prices.levels == levels
        assert 2 * levels <= prices.hint_mask + 3
        for at in range(prices.hint_mask + 1):
            assert prices.hints[at] < self.book.levels.used
        assert self.book.leaves_lots[side - 1] == leaves_lots
        return orders

    cdef uint64_t check_level(self, uint8_t side, int64_t key, uint32_t number) except 0:
        cdef const Level* level = &self.book.levels.levels[number]
        cdef const Order* order
        cdef uint32_t ref = level.first_order
        cdef uint32_t before = NO_ORDER
        cdef uint32_t orders = 0
        cdef int64_t leaves_lots = 0
        assert level.key == key
        while ref != NO_ORDER:
            order = &self.book.orders.orders[ref]
            assert (order.side, order.level) == (side, number)
            assert price_key(side, order.price_ticks) == key
            assert order.previous == before
            assert 0 < order.leaves_lots <= order.quantity_lots
            assert order_index_find(&self.book.index, self.book.orders.orders, order.order_id) == ref
            leaves_lots += order.leaves_lots
            orders += 1
            before = ref
            ref = order.next
        assert level.last_order == before
        assert (level.orders, level.leaves_lots) == (orders, leaves_lots)
        return orders
