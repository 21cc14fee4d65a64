# cython: language_level=3, autotestdict=False
"""Order books for programs in C: the functions of ``order_books.h``, as capsules of this module."""
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from ext.book cimport Book, book_free, book_init, hidden_lots
from ext.book_batch cimport apply_all
from ext.book_records cimport SIDE_BUY, SIDE_SELL
from ext.book_store cimport book_store_find, book_store_free, book_store_make_room
from ext.level_changes cimport LevelChange
from ext.order_pool cimport NO_ORDER, Order
from ext.price_levels cimport (
    Level,
    LevelCursor,
    SidePrices,
    level_price_ticks,
    side_prices_best,
    side_prices_level,
    side_prices_to_worse,
)


cdef api void abst_books_close(void* handle) noexcept nogil:
    cdef ApiBooks* books = <ApiBooks*> handle
    cdef uint32_t number
    if books == NULL:
        return
    for number in range(books.count):
        book_free(&books.books[number])
    free(books.books)
    free(books.store.events.events)
    book_store_free(&books.store)
    free(books)


cdef api void* abst_books_open(uint32_t count) noexcept nogil:
    cdef ApiBooks* books = <ApiBooks*> calloc(1, sizeof(ApiBooks))
    if books == NULL or count == 0:
        free(books)
        return NULL
    books.books = <Book*> calloc(count, sizeof(Book))
    if books.books != NULL and book_store_make_room(&books.store) == 0:
        while books.count < count:
            books.count += 1
            if book_init(&books.books[books.count - 1], &books.store, books.count - 1) < 0:
                abst_books_close(books)
                return NULL
        return books
    abst_books_close(books)
    return NULL


cdef api int64_t abst_books_apply(
    void* handle, const void* commands, uint64_t records, const void** events
) noexcept nogil:
    cdef ApiBooks* books = <ApiBooks*> handle
    books.store.events.used = 0
    if apply_all(books.books, books.count, &books.store, <const char*> commands, records, True) < 0:
        return -1
    events[0] = books.store.events.events
    return books.store.events.used


cdef api int64_t abst_books_leaves(void* handle, uint64_t order_id) noexcept nogil:
    cdef ApiBooks* books = <ApiBooks*> handle
    cdef uint32_t ref = NO_ORDER
    cdef const Order* order
    if 0 < order_id <= <uint64_t> INT64_MAX:
        ref = book_store_find(&books.store, order_id)
    if ref == NO_ORDER:
        return 0
    order = &books.store.orders.orders[ref]
    return order.leaves_lots + hidden_lots(&books.books[order.book], order)


cdef api int64_t abst_books_levels(
    void* handle, uint32_t book, uint8_t side, void* levels, uint64_t most
) noexcept nogil:
    cdef ApiBooks* books = <ApiBooks*> handle
    cdef LevelChange* out = <LevelChange*> levels
    cdef const SidePrices* prices
    cdef const Level* level
    cdef LevelCursor cursor
    cdef uint64_t at = 0
    if book >= books.count or not SIDE_BUY <= side <= SIDE_SELL:
        return -1
    prices = &books.books[book].prices[side - 1]
    if prices.levels == 0 or most == 0:
        return 0
    cursor = side_prices_best(prices)
    while True:
        level = &books.store.levels.levels[side_prices_level(prices, cursor)]
        out[at] = LevelChange(level_price_ticks(level), level.leaves_lots, level.orders, side)
        at += 1
        if at == most or not side_prices_to_worse(prices, &cursor):
            return at
