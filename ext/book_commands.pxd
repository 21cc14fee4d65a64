# cython: language_level=3
"""One command to one of many books: found, checked for form, applied, its events ended."""
from libc.stdint cimport uint16_t, uint32_t

from ext.book cimport Book, book_flush
from ext.book_clock cimport apply_clock
from ext.book_records cimport (
    COMMAND_POST_ONLY,
    COMMAND_REPRICE,
    COMMAND_TAIL,
    FLAG_LAST,
    KIND_REJECTED,
    OP_ADD,
    OP_CANCEL,
    OP_CLOCK,
    OP_MASS_CANCEL,
    OP_REPLACE,
    OP_SET_PHASE,
    OP_SET_RULES,
    OP_UNCROSS,
    PHASE_CALL,
    PHASE_CONTINUOUS,
    REJECT_BAD_RULES,
    REJECT_MISSING_TAIL,
    REJECT_RESERVED_NOT_ZERO,
    REJECT_UNKNOWN_BOOK,
    REJECT_UNKNOWN_OP,
    BookCommand,
    OrderTail,
    RulesTail,
)
from ext.book_store cimport BookStore, book_store_reserve
from ext.call_auction cimport book_emit_indicative
from ext.event_buffer cimport event_buffer_add
from ext.market_phase cimport apply_set_phase, apply_set_rules, apply_uncross
from ext.order_changes cimport apply_cancel, apply_mass_cancel, apply_replace
from ext.order_entry cimport apply_add
from ext.stop_orders cimport elect_stops

cdef extern from *:
    """
    static const unsigned long long abst_no_tail[8] = {0};
    """
    const void* abst_no_tail


cdef inline int apply_rare(Book* book, const BookCommand* command, const void* tail) noexcept nogil:
    if command.op == OP_SET_PHASE:
        return apply_set_phase(book, command)
    if command.op == OP_UNCROSS:
        return apply_uncross(book, command)
    if command.op == OP_CLOCK:
        return apply_clock(book, command)
    if command.op == OP_MASS_CANCEL:
        return apply_mass_cancel(book, command)
    return apply_set_rules(book, <const RulesTail*> tail) if tail != NULL else REJECT_BAD_RULES


cdef inline uint16_t flags_of(const BookCommand* command) noexcept nogil:
    """Return the flags that a command may have."""
    if command.op == OP_ADD:
        return COMMAND_TAIL | COMMAND_POST_ONLY | COMMAND_REPRICE
    return COMMAND_TAIL if command.op == OP_SET_RULES else 0


cdef inline int apply_command(Book* book, const BookCommand* command, const void* tail) noexcept nogil:
    if not OP_ADD <= command.op <= OP_SET_RULES:
        return REJECT_UNKNOWN_OP
    if command.flags & ~flags_of(command) or command.reserved:
        return REJECT_RESERVED_NOT_ZERO
    if command.op == OP_CANCEL:
        return apply_cancel(book, command)
    if command.op == OP_REPLACE:
        return apply_replace(book, command)
    if command.op > OP_REPLACE:
        return apply_rare(book, command, tail)
    if tail == NULL:
        tail = abst_no_tail
    return apply_add(book, command, <const OrderTail*> tail)


cdef inline void emit_rejected(BookStore* store, const BookCommand* command, uint16_t reason) noexcept nogil:
    event_buffer_add(
        &store.events,
        KIND_REJECTED, 0, reason, 0, command.order_id, 0, 0, 0, 0, 0, 0, command.book,
    )


cdef inline int finish_command(Book* book) noexcept nogil:
    """End a command that was done: changed prices, stop orders, the call's result. -1: no memory."""
    if book_flush(book) < 0:
        return -1
    if book.reached_high_ticks != 0 and book.phase == PHASE_CONTINUOUS and elect_stops(book) < 0:
        return -1
    if book.phase == PHASE_CALL:
        return book_emit_indicative(book)
    return 0


cdef inline int book_apply(
    Book* books, uint32_t count, BookStore* store, const BookCommand* command, const void* tail
) noexcept nogil:
    """Apply one command and write its events; -1, the books no longer usable, when there is no memory.

    ``tail`` is NULL when there is none.
    """
    cdef int outcome = REJECT_UNKNOWN_BOOK
    if book_store_reserve(store) < 0:
        return -1
    if command.flags & COMMAND_TAIL and tail == NULL:
        outcome = REJECT_MISSING_TAIL
    elif command.book < count:
        outcome = apply_command(&books[command.book], command, tail)
    if outcome < 0:
        return -1
    if outcome > 0:
        emit_rejected(store, command, outcome)
    elif finish_command(&books[command.book]) < 0:
        return -1
    store.events.events[store.events.used - 1].flags |= FLAG_LAST
    return 0
