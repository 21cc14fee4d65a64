# cython: language_level=3
"""Memory for large tables: whole cache lines, in huge pages where there is enough of it.

A table of a hundred thousand orders spans thousands of small pages; looking one up would cost a
walk through the page tables besides the line itself. Given back with ``free``.
"""
from libc.string cimport memset
from posix.stdlib cimport posix_memalign

cdef extern from *:
    """
    #if defined(__linux__)
    #include <sys/mman.h>
    static void abst_use_huge_pages(void *start, size_t size) { madvise(start, size, MADV_HUGEPAGE); }
    #else
    static void abst_use_huge_pages(void *start, size_t size) { (void)start; (void)size; }
    #endif
    """
    void abst_use_huge_pages(void* start, size_t size) noexcept nogil

cdef enum:
    LINE_BYTES = 64
    HUGE_PAGE_BYTES = 1 << 21


cdef inline void* memory_take(size_t size) noexcept nogil:
    """Return memory that is all zero, NULL when there is none."""
    cdef void* taken = NULL
    cdef bint is_huge = size >= HUGE_PAGE_BYTES
    if posix_memalign(&taken, HUGE_PAGE_BYTES if is_huge else LINE_BYTES, size) != 0:
        return NULL
    if is_huge:
        abst_use_huge_pages(taken, size)
    memset(taken, 0, size)
    return taken
