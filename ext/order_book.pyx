# cython: language_level=3, autotestdict=False
"""The order books: price-time or pro-rata priority, continuous trading and call auction.

Integers only; no clock, no randomness, no I/O. The same commands give the same events,
byte for byte. Records are those of :mod:`ext.book_records`; the C of it is in the
``.pxd`` files beside, from ``book_commands`` down.
"""
import hashlib
import sys

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MAX, UINT32_MAX, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from ext.book cimport Book, book_free, book_init, hidden_lots
from ext.book_batch cimport apply_all
from ext.book_check cimport (
    check_book,
    check_extra_pool,
    check_index,
    check_level_pool,
    check_order_pool,
)
from ext.book_clock cimport next_deadline_ns
from ext.book_commands cimport book_apply
from ext.book_records cimport (
    RECORD_BYTES,
    SIDE_BUY,
    SIDE_SELL,
    BookCommand,
    BookEvent,
    OrderTail,
    RestingOrderRecord,
    RulesTail,
    SnapshotHead,
)
from ext.book_snapshot cimport (
    level_of,
    read_book,
    snapshot_head,
    snapshot_orders,
    write_orders,
)
from ext.book_store cimport BookStore, book_store_find, book_store_free, book_store_make_room
from ext.event_buffer cimport EventBuffer
from ext.order_extra cimport OrderExtra
from ext.order_pool cimport NO_ORDER, Order
from ext.order_timers cimport OrderTimer
from ext.price_levels cimport (
    DirectoryEntry,
    KeyRun,
    Level,
    LevelCursor,
    SidePrices,
    level_price_ticks,
    side_prices_best,
    side_prices_to_worse,
)
from ext.tick_clock cimport abst_ticks

assert sys.byteorder == "little", "book records are little-endian"
assert sizeof(BookCommand) == sizeof(BookEvent) == sizeof(OrderTail) == sizeof(RulesTail) == RECORD_BYTES
assert sizeof(RestingOrderRecord) == 2 * RECORD_BYTES
assert sizeof(SnapshotHead) == 3 * RECORD_BYTES
assert sizeof(Order) == RECORD_BYTES

# A batch shorter than this keeps the interpreter lock: releasing it would cost more.
cdef size_t GIL_BATCH = 32
cdef uint32_t BOOKS_MAX = 1 << 20

# Memory that sets lend each other for the events of a batch, so that it stays in the cache.
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


cdef int time_all(
    Book* books, uint32_t count, BookStore* store, const char* commands, size_t units, uint32_t* ticks
) noexcept nogil:
    """Apply commands of one record each and note the ticks each took; events overwrite each other."""
    cdef uint64_t before
    cdef size_t at
    for at in range(units):
        store.events.used = 0
        before = abst_ticks()
        if book_apply(books, count, store, <const BookCommand*> (commands + at * RECORD_BYTES), NULL) < 0:
            return -1
        ticks[at] = <uint32_t> min(abst_ticks() - before, <uint64_t> UINT32_MAX)
    return 0


cdef uint64_t side_bytes(const SidePrices* side) noexcept nogil:
    return (
        (<uint64_t> side.hint_mask + 1) * sizeof(uint32_t)
        + <uint64_t> side.directory_capacity * sizeof(DirectoryEntry)
        + <uint64_t> side.pool_capacity * sizeof(KeyRun)
    )


cdef uint64_t book_bytes(const Book* book) noexcept nogil:
    cdef uint64_t size = sizeof(Book) + <uint64_t> book.timers.capacity * sizeof(OrderTimer)
    size += side_bytes(&book.prices[0]) + side_bytes(&book.prices[1])
    if book.stops != NULL:
        size += 2 * sizeof(SidePrices) + side_bytes(&book.stops[0]) + side_bytes(&book.stops[1])
    return size


def read_ticks():
    """Return the processor's clock."""
    return abst_ticks()


def tick_overhead():
    """Return the median of what reading the processor's clock twice takes, in ticks."""
    cdef list taken = []
    cdef uint64_t before
    cdef int _at
    for _at in range(10001):
        before = abst_ticks()
        taken.append(abst_ticks() - before)
    return sorted(taken)[5000]


@cython.auto_pickle(False)
cdef class BookSet:
    """Order books that one apply serves."""

    def __cinit__(self, books=1):
        cdef uint32_t number
        if not 0 < books <= BOOKS_MAX:
            raise ValueError(f"{books} is no number of books")
        self.books = <Book*> calloc(books, sizeof(Book))
        if self.books == NULL or book_store_make_room(&self.store) < 0:
            raise MemoryError()
        for number in range(books):
            self.count += 1
            if book_init(&self.books[number], &self.store, number) < 0:
                raise MemoryError()

    def __dealloc__(self):
        cdef uint32_t number
        for number in range(self.count):
            book_free(&self.books[number])
        free(self.books)
        book_store_free(&self.store)

    def __len__(self):
        """Return the number of books."""
        return self.count

    @property
    def phase(self):
        """The market phase of the first book (``Phase``)."""
        return self.books[0].phase

    def phase_of(self, book):
        """Return the market phase of a book (``Phase``)."""
        return self.book_at(book).phase

    cdef Book* book_at(self, book) except NULL:
        self.require_idle()
        if not 0 <= book < self.count:
            raise ValueError(f"there is no book {book}")
        return &self.books[<uint32_t> book]

    def apply(self, commands not None):
        """Apply commands in order and return their events."""
        cdef Py_buffer view
        cdef bint in_place
        if PyBytes_CheckExact(commands) and PyBytes_GET_SIZE(commands) % RECORD_BYTES == 0:
            self.require_idle()
            in_place = <size_t> PyBytes_AS_STRING(commands) % sizeof(uint64_t) == 0
            return self.apply_buffer(
                PyBytes_AS_STRING(commands), PyBytes_GET_SIZE(commands) // RECORD_BYTES, in_place
            )
        PyObject_GetBuffer(commands, &view, PyBUF_SIMPLE)
        try:
            if view.len % RECORD_BYTES:
                raise ValueError(f"{view.len} bytes are not whole commands of {RECORD_BYTES} bytes")
            self.require_idle()
            return self.apply_buffer(<const char*> view.buf, view.len // RECORD_BYTES, False)
        finally:
            PyBuffer_Release(&view)

    cdef bytes apply_buffer(self, const char* commands, size_t count, bint in_place):
        global scratch
        cdef int outcome
        cdef bytes events
        self.store.events = scratch
        self.store.events.used = 0
        scratch = EventBuffer(NULL, 0, 0)
        self.is_busy = True
        if count < GIL_BATCH:
            outcome = apply_all(self.books, self.count, &self.store, commands, count, in_place)
        else:
            with nogil:
                outcome = apply_all(self.books, self.count, &self.store, commands, count, in_place)
        self.is_busy = False
        self.is_broken = True
        try:
            if outcome < 0:
                raise MemoryError("the order book is lost: replay it")
            events = PyBytes_FromStringAndSize(
                <const char*> self.store.events.events, self.store.events.used * RECORD_BYTES
            )
        finally:
            give_back(self.store.events)
            self.store.events = EventBuffer(NULL, 0, 0)
        self.is_broken = False
        return events

    def apply_timed(self, commands not None):
        """Apply commands of one record each; return the ticks that each took."""
        cdef const unsigned char[::1] view = commands
        cdef bytes ticks
        cdef int outcome
        self.require_idle()
        if view.shape[0] == 0 or view.shape[0] % RECORD_BYTES or <size_t> &view[0] % sizeof(uint64_t):
            raise ValueError("not whole, aligned commands")
        ticks = PyBytes_FromStringAndSize(NULL, view.shape[0] // RECORD_BYTES * sizeof(uint32_t))
        memset(PyBytes_AS_STRING(ticks), 0, len(ticks))
        outcome = time_all(
            self.books,
            self.count,
            &self.store,
            <const char*> &view[0],
            view.shape[0] // RECORD_BYTES,
            <uint32_t*> PyBytes_AS_STRING(ticks),
        )
        give_back(self.store.events)
        self.store.events = EventBuffer(NULL, 0, 0)
        if outcome < 0:
            self.is_broken = True
            raise MemoryError("the order book is lost: replay it")
        return ticks

    cdef int require_idle(self) except -1:
        if self.is_busy:
            raise RuntimeError("the order book is at work in another thread")
        if self.is_broken:
            raise RuntimeError("the order book is lost: replay it")
        return 0

    def leaves(self, order_id):
        """Return the lots of an order that still can fill; 0 when it is in none of the books."""
        cdef uint32_t ref
        cdef const Order* order
        self.require_idle()
        if not 0 < order_id <= INT64_MAX:
            return 0
        ref = book_store_find(&self.store, order_id)
        if ref == NO_ORDER:
            return 0
        order = &self.store.orders.orders[ref]
        return order.leaves_lots + hidden_lots(&self.books[order.book], order)

    def levels(self, side, book=0):
        """Return (price_ticks, visible lots, orders) of each price of a side, best first."""
        cdef const Book* of = self.book_at(book)
        cdef const SidePrices* prices
        cdef LevelCursor cursor
        cdef const Level* level
        cdef list levels = []
        cdef bint more
        if side != SIDE_BUY and side != SIDE_SELL:
            raise ValueError(f"{side} is not a side")
        prices = &of.prices[0 if side == SIDE_BUY else 1]
        more = prices.levels > 0
        if more:
            cursor = side_prices_best(prices)
        while more:
            level = level_of(of, prices, cursor)
            levels.append((level_price_ticks(level), level.leaves_lots, level.orders))
            more = side_prices_to_worse(prices, &cursor)
        return levels

    def next_deadline_ns(self, book=0):
        """Return when an order or a call of a book is due, 0 when nothing is."""
        return next_deadline_ns(self.book_at(book))

    def orders(self, book=0):
        """Return the orders of a book: resting buys, sells, stop buys, sells, each by priority."""
        cdef const Book* of = self.book_at(book)
        cdef SnapshotHead head = snapshot_head(of)
        cdef bytes orders = PyBytes_FromStringAndSize(
            NULL, snapshot_orders(&head, self.store.orders.live) * sizeof(RestingOrderRecord)
        )
        write_orders(of, <RestingOrderRecord*> PyBytes_AS_STRING(orders))
        return orders

    def snapshot(self):
        """Return the whole state, equal for equal states of any implementation."""
        cdef SnapshotHead head
        cdef uint32_t number
        cdef list parts = []
        self.require_idle()
        for number in range(self.count):
            head = snapshot_head(&self.books[number])
            parts.append(PyBytes_FromStringAndSize(<const char*> &head, sizeof(SnapshotHead)))
            parts.append(self.orders(number))
        return b"".join(parts)

    def digest(self):
        """Return SHA-256 of :meth:`snapshot`."""
        return hashlib.sha256(self.snapshot()).digest()

    def restore(self, snapshot not None):
        """Take the state of a snapshot; ValueError, and nothing changed, when it is none."""
        cdef BookSet restored = BookSet(self.count)
        cdef bytes state = bytes(memoryview(snapshot))
        if self.is_busy:
            raise RuntimeError("the order book is at work in another thread")
        restored.load(PyBytes_AS_STRING(state), len(state))
        if restored.snapshot() != state:
            raise ValueError("not a snapshot of an order book")
        self.store, restored.store = restored.store, self.store
        self.books, restored.books = restored.books, self.books
        self.keep()
        restored.keep()
        self.is_broken = False

    cdef int keep(self) noexcept nogil:
        """Tie the books to the store of this set."""
        cdef uint32_t number
        for number in range(self.count):
            self.books[number].store = &self.store
        return 0

    cdef int load(self, const char* snapshot, size_t size) except -1:
        cdef int outcome = self.load_from(snapshot, size)
        free(self.store.events.events)
        self.store.events = EventBuffer(NULL, 0, 0)
        if outcome < 0:
            raise MemoryError()
        if outcome > 0:
            raise ValueError("not a snapshot of an order book")
        return 0

    cdef int load_from(self, const char* snapshot, size_t size) noexcept nogil:
        """Read the books one after the other; 1 when these bytes are none, -1 when there is no memory."""
        cdef SnapshotHead head
        cdef uint32_t number
        cdef uint64_t orders
        cdef int outcome
        for number in range(self.count):
            if size < sizeof(SnapshotHead):
                return 1
            memcpy(&head, snapshot, sizeof(SnapshotHead))
            snapshot += sizeof(SnapshotHead)
            size -= sizeof(SnapshotHead)
            orders = snapshot_orders(&head, size // sizeof(RestingOrderRecord))
            if orders > size // sizeof(RestingOrderRecord):
                return 1
            outcome = read_book(&self.books[number], snapshot, &head, orders)
            self.store.events.used = 0
            if outcome != 0:
                return outcome
            snapshot += orders * sizeof(RestingOrderRecord)
            size -= orders * sizeof(RestingOrderRecord)
        return 1 if size else 0

    def memory(self):
        """Return the bytes held for orders, their index, levels and books, what is free included."""
        cdef uint64_t size = 0
        cdef uint32_t number
        self.require_idle()
        for number in range(self.count):
            size += book_bytes(&self.books[number])
        size += <uint64_t> self.store.orders.capacity * sizeof(Order)
        size += (<uint64_t> self.store.index.mask + 1) * sizeof(uint64_t)
        size += <uint64_t> self.store.levels.capacity * sizeof(Level)
        size += <uint64_t> self.store.extras.capacity * sizeof(OrderExtra)
        return size

    def __sizeof__(self):
        """Return the bytes held, memory of the books included."""
        return object.__sizeof__(self) + self.memory()

    def _check(self):
        """Walk every invariant; AssertionError names the first that does not hold. O(memory held)."""
        cdef uint64_t orders = 0
        cdef uint64_t levels = 0
        cdef uint64_t extras = 0
        cdef uint32_t number
        self.require_idle()
        for number in range(self.count):
            assert self.books[number].store == &self.store
            assert self.books[number].number == number
            check_book(&self.books[number], &orders, &levels, &extras)
        check_order_pool(&self.store.orders)
        check_level_pool(&self.store.levels, levels)
        check_extra_pool(&self.store.extras)
        check_index(&self.store)
        assert self.store.orders.live == orders
        assert self.store.extras.live == extras
        assert self.store.changes.used == 0


@cython.final
@cython.auto_pickle(False)
cdef class OrderBook(BookSet):
    """One order book of one instrument: a set of one."""

    def __cinit__(self):
        pass
