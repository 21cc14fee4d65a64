# cython: language_level=3
"""The clock of a book: what is due happens by deadline, orders before the end of a call, by their ids.

What is due at the time of a CLOCK happens within it: an order that expires is a step of its own;
a call that ends uncrosses, goes on trading, and its trades elect stop orders, before anything with
a later deadline.
"""
from libc.stdint cimport int64_t, uint32_t

from ext.book cimport Book, book_emit
from ext.book_records cimport CANCEL_EXPIRED, KIND_CLOCK, REJECT_BAD_TIME, BookCommand
from ext.book_store cimport book_store_reserve
from ext.market_phase cimport TIME_BITS, end_call
from ext.order_changes cimport end_step
from ext.stop_orders cimport elect_stops


cdef inline bint call_is_due(const Book* book) noexcept nogil:
    return 0 < book.call_end_ns <= book.now_ns


cdef inline bint order_is_due(const Book* book) noexcept nogil:
    cdef int64_t until_ns = book.call_end_ns if call_is_due(book) else book.now_ns
    return book.timers.used > 0 and book.timers.heap[0].deadline_ns <= until_ns


cdef inline int apply_clock(Book* book, const BookCommand* command) noexcept nogil:
    """Let time pass; CLOCK says last how many orders expired."""
    cdef uint32_t expired = 0
    if not book.now_ns <= command.time_ns < <int64_t> 1 << TIME_BITS:
        return REJECT_BAD_TIME
    book.now_ns = command.time_ns
    while True:
        if order_is_due(book):
            if end_step(book, book.timers.heap[0].ref, CANCEL_EXPIRED) < 0:
                return -1
            expired += 1
        elif call_is_due(book):
            if end_call(book) < 0 or elect_stops(book) < 0:
                return -1
        else:
            break
    if book_store_reserve(book.store) < 0:
        return -1
    book_emit(book, KIND_CLOCK, 0, 0, 0, 0, 0, expired)
    return 0


cdef inline int64_t next_deadline_ns(const Book* book) noexcept nogil:
    """Return when something is due next, 0 when nothing is."""
    cdef int64_t deadline_ns = book.timers.heap[0].deadline_ns if book.timers.used > 0 else 0
    if book.call_end_ns > 0 and (deadline_ns == 0 or book.call_end_ns < deadline_ns):
        return book.call_end_ns
    return deadline_ns
