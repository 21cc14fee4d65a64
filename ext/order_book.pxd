# cython: language_level=3
"""One order book; see ``order_book.pyi`` for what Python sees."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ext.book cimport Book


cdef class OrderBook:
    cdef Book book
    cdef bint is_busy
    cdef bint is_broken

    cdef int require_idle(self) except -1
    cdef bytes apply_buffer(self, const char* commands, size_t count, bint in_place)
    cdef int load(self, const char* snapshot, size_t size) except -1

    cdef int check_pool(self) except -1
    cdef int check_level_pool(self) except -1
    cdef int check_indicative(self) except -1
    cdef int check_index(self) except -1
    cdef uint64_t check_side(self, uint8_t side) except? 0
    cdef uint64_t check_level(self, uint8_t side, int64_t key, uint32_t number) except 0
