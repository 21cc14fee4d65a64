# cython: language_level=3
"""The processor's own clock, for measuring single operations; nothing that a book decides depends on it."""
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #if defined(__x86_64__)
    #include <x86intrin.h>
    static unsigned long long abst_ticks(void) {
        unsigned core;
        unsigned long long ticks = __rdtscp(&core);
        _mm_lfence();
        return ticks;
    }
    #else
    #include <time.h>
    static unsigned long long abst_ticks(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (unsigned long long)now.tv_sec * 1000000000ull + (unsigned long long)now.tv_nsec;
    }
    #endif
    """
    uint64_t abst_ticks() noexcept nogil
