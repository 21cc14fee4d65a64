# cython: language_level=3
"""Order books; see ``order_book.pyi`` for what Python sees."""
from libc.stdint cimport uint32_t, uint64_t

from ext.book cimport Book
from ext.book_store cimport BookStore


cdef class BookSet:
    cdef BookStore store
    cdef Book* books
    cdef uint32_t count
    cdef bint is_busy
    cdef bint is_broken

    cdef int require_idle(self) except -1
    cdef Book* book_at(self, book) except NULL
    cdef bytes apply_buffer(self, const char* commands, size_t count, bint in_place)
    cdef int load(self, const char* snapshot, size_t size) except -1
    cdef int load_from(self, const char* snapshot, size_t size) noexcept nogil
    cdef int keep(self) noexcept nogil


cdef class OrderBook(BookSet):
    pass
