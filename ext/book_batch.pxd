# cython: language_level=3
"""A batch of commands, one after the other."""
from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from ext.book cimport Book
from ext.book_commands cimport book_apply
from ext.book_records cimport COMMAND_TAIL, RECORD_BYTES, BookCommand
from ext.book_store cimport BookStore
from ext.look_ahead cimport look_ahead, look_at_index

# An index that fits in the cache near the core needs less looking ahead.
cdef enum:
    LARGE_INDEX = 1 << 16


cdef inline int apply_all(
    Book* books, uint32_t count, BookStore* store, const char* commands, size_t units, bint in_place
) noexcept nogil:
    """Apply commands, read where they lie or, when they may move or change, copied one by one."""
    cdef BookCommand[2] copy
    cdef const BookCommand* command = copy
    cdef const BookCommand* tail
    cdef size_t at = 0
    while at < units:
        if in_place:
            command = <const BookCommand*> (commands + at * RECORD_BYTES)
            if store.index.mask >= LARGE_INDEX:
                look_ahead(books, count, store, command, units - at)
            else:
                look_at_index(store, command, units - at)
        else:
            memcpy(copy, commands + at * RECORD_BYTES, RECORD_BYTES * (2 if at + 1 < units else 1))
        tail = NULL
        at += 1
        if command.flags & COMMAND_TAIL and at < units:
            tail = command + 1
            at += 1
        if book_apply(books, count, store, command, tail) < 0:
            return -1
    return 0
