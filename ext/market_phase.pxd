# cython: language_level=3
"""Phases, how one follows another, and the rules that hold in them."""
from libc.stdint cimport int64_t, uint32_t

from ext.book cimport (
    Auction,
    Book,
    book_emit,
    book_flush,
    book_is_crossed,
    book_note_reached,
    is_price,
)
from ext.book_records cimport (
    ALLOCATION_PRO_RATA,
    KIND_PHASE,
    KIND_RULES,
    PHASE_CALL,
    PHASE_CANCEL_ONLY,
    PHASE_CONTINUOUS,
    PHASE_POST_ONLY,
    REJECT_BAD_PRICE,
    REJECT_BAD_RULES,
    REJECT_BAD_TIME,
    REJECT_BOOK_CROSSED,
    REJECT_UNKNOWN_PHASE,
    REJECT_WRONG_PHASE,
    RULE_INTERRUPT,
    BookCommand,
    RulesTail,
)
from ext.book_store cimport book_store_reserve
from ext.call_auction cimport book_uncross
from ext.collar cimport random_wait_ns

cdef enum:
    TIME_BITS = 62             # times and waits are below 2 ** 62 ns
    COLLAR_BITS = 61


cdef inline void enter_phase(Book* book, uint32_t phase) noexcept nogil:
    """Change the phase and say so; stop orders are looked through for the last trade when trading starts."""
    book.phase = phase
    book.call_end_ns = 0
    if phase != PHASE_CALL:
        book.indicative = Auction(0, 0, 0)
    if phase == PHASE_CONTINUOUS and book.last_price_ticks > 0:
        book_note_reached(book, book.last_price_ticks)
    book_emit(book, KIND_PHASE, phase, 0, book.reference_price_ticks, 0, 0, 0)


cdef inline int apply_set_phase(Book* book, const BookCommand* command) noexcept nogil:
    cdef int64_t reference_price_ticks = command.reference_price_ticks
    cdef bint is_timed = command.phase == PHASE_CALL and command.time_ns != 0
    if command.phase > PHASE_CANCEL_ONLY:
        return REJECT_UNKNOWN_PHASE
    if reference_price_ticks != 0 and not is_price(reference_price_ticks):
        return REJECT_BAD_PRICE
    if is_timed and not book.now_ns < command.time_ns < <int64_t> 1 << TIME_BITS:
        return REJECT_BAD_TIME
    if (command.phase == PHASE_CONTINUOUS or command.phase == PHASE_POST_ONLY) and book_is_crossed(book):
        return REJECT_BOOK_CROSSED
    if reference_price_ticks != 0:
        book.reference_price_ticks = reference_price_ticks
    enter_phase(book, command.phase)
    if is_timed:
        book.call_end_ns = command.time_ns + random_wait_ns(book)
    return 0


cdef inline int apply_uncross(Book* book, const BookCommand* command) noexcept nogil:
    if book.phase != PHASE_CALL:
        return REJECT_WRONG_PHASE
    if command.reference_price_ticks != 0 and not is_price(command.reference_price_ticks):
        return REJECT_BAD_PRICE
    return -1 if book_uncross(book, command.reference_price_ticks).price_ticks < 0 else 0


cdef inline bint is_within(int64_t number, int bits) noexcept nogil:
    return 0 <= number <= <int64_t> 1 << bits


cdef inline int apply_set_rules(Book* book, const RulesTail* rules) noexcept nogil:
    if not (
        is_within(rules.static_collar_ticks, COLLAR_BITS)
        and is_within(rules.dynamic_collar_ticks, COLLAR_BITS)
        and is_within(rules.interruption_ns, COLLAR_BITS)
        and is_within(rules.random_end_ns, COLLAR_BITS)
        and rules.minimum_allocation_lots >= 0
        and rules.allocation <= ALLOCATION_PRO_RATA
        and rules.flags <= RULE_INTERRUPT
        and rules.reserved == 0
    ):
        return REJECT_BAD_RULES
    book.rules = rules[0]
    book.random_state = rules.seed
    book.has_collar = rules.static_collar_ticks > 0 or rules.dynamic_collar_ticks > 0
    book_emit(book, KIND_RULES, rules.allocation, 0, 0, 0, 0, 0)
    return 0


cdef inline int end_call(Book* book) noexcept nogil:
    """Uncross and go on trading; the auction's price is the new reference. -1 when there is no memory."""
    cdef Auction auction
    if book_store_reserve(book.store) < 0:
        return -1
    auction = book_uncross(book, 0)
    if auction.price_ticks < 0 or book_flush(book) < 0 or book_store_reserve(book.store) < 0:
        return -1
    if auction.volume_lots > 0:
        book.reference_price_ticks = auction.price_ticks
    enter_phase(book, PHASE_CONTINUOUS)
    return 0
