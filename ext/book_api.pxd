# cython: language_level=3
"""Order books for programs in C; see ``order_books.h`` for what they see."""
from libc.stdint cimport uint32_t

from ext.book cimport Book
from ext.book_store cimport BookStore

cdef struct ApiBooks:
    BookStore store
    Book* books
    uint32_t count
