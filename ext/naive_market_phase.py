"""Phases, rules, uncrossing and the clock, in obvious code."""

from __future__ import annotations

from ext.book_records import (
    COLLAR_TICKS_MAX,
    PRICE_TICKS_MAX,
    RULES_TAIL_STRUCT,
    TIME_NS_MAX,
    Allocation,
    BookEventFlag,
    BookEventKind,
    CancelReason,
    Phase,
    RejectReason,
    Side,
)
from ext.naive_book_side import Order
from ext.naive_book_state import BookState, Rules, require
from ext.naive_matching import elect_stops, random_wait_ns
from ext.naive_order_entry import Command


def set_phase(state: BookState, command: Command) -> None:
    """Change the phase."""
    timed = command.phase == Phase.CALL and command.time_ns != 0
    require(command.phase in list(Phase), RejectReason.UNKNOWN_PHASE)
    require(0 <= command.reference_price_ticks <= PRICE_TICKS_MAX, RejectReason.BAD_PRICE)
    require(not timed or state.now_ns < command.time_ns < TIME_NS_MAX, RejectReason.BAD_TIME)
    if command.phase in (Phase.CONTINUOUS, Phase.POST_ONLY):
        require(not state.is_crossed(), RejectReason.BOOK_CROSSED)
    state.reference_price_ticks = command.reference_price_ticks or state.reference_price_ticks
    _enter(state, Phase(command.phase))
    if timed:
        state.call_end_ns = command.time_ns + random_wait_ns(state)


def _enter(state: BookState, phase: Phase) -> None:
    state.phase, state.call_end_ns = phase, 0
    if phase is not Phase.CALL:
        state.indicative = (0, 0, 0)
    if phase is Phase.CONTINUOUS and state.last_price_ticks:
        state.reached.add(state.last_price_ticks)
    state.emit_phase()


def uncross(state: BookState, command: Command) -> None:
    """Trade all that crosses at one price."""
    require(state.phase is Phase.CALL, RejectReason.WRONG_PHASE)
    require(0 <= command.reference_price_ticks <= PRICE_TICKS_MAX, RejectReason.BAD_PRICE)
    _uncross(state, command.reference_price_ticks or state.reference_price_ticks)


def _uncross(state: BookState, reference_price_ticks: int) -> int:
    """Return the price, 0 when nothing traded."""
    price, volume, surplus = state.equilibrium(reference_price_ticks)
    state.emit(BookEventKind.UNCROSSED, price_ticks=price, quantity_lots=volume, leaves_lots=surplus)
    if volume:
        state.note_trade(price)
    while volume:
        volume -= _fill_first_pair(state, price, volume)
    return price


def _fill_first_pair(state: BookState, price_ticks: int, volume: int) -> int:
    buy, sell = (_first(state, side) for side in Side)
    last_lots = min(volume, buy.visible_lots, sell.visible_lots)
    for order in (buy, sell):
        order.cum_lots += last_lots
        state.reduce(order, last_lots)
    state.emit_fill(buy, sell, price_ticks, last_lots, BookEventFlag.AUCTION)
    for order in (buy, sell):
        state.settle(order)
    return last_lots


def _first(state: BookState, side: Side) -> Order:
    order = state.sides[side].first()
    assert order is not None
    return order


def set_rules(state: BookState, command: Command, tail: bytes) -> None:
    """Put rules in force."""
    rules = Rules(*RULES_TAIL_STRUCT.unpack(tail)) if tail else None
    if rules is None or not are_rules(rules):
        require(False, RejectReason.BAD_RULES)
        return
    state.rules, state.random_state = rules, rules.seed
    state.emit(BookEventKind.RULES, reason=rules.allocation)


def are_rules(rules: Rules) -> bool:
    """Whether every rule is in its range."""
    waits = (
        rules.static_collar_ticks,
        rules.dynamic_collar_ticks,
        rules.interruption_ns,
        rules.random_end_ns,
    )
    return (
        all(0 <= wait <= COLLAR_TICKS_MAX for wait in waits)
        and rules.minimum_allocation_lots >= 0
        and rules.allocation in list(Allocation)
        and rules.flags <= 1
        and rules.reserved == 0
    )


# -- time


def clock(state: BookState, command: Command) -> None:
    """Let time pass: what is due happens by deadline, orders before the end of a call."""
    require(state.now_ns <= command.time_ns < TIME_NS_MAX, RejectReason.BAD_TIME)
    state.now_ns, expired = command.time_ns, 0
    while due := _due(state):
        if isinstance(due, Order):
            state.end(due, CancelReason.EXPIRED)
            state.flush()
            expired += 1
        else:
            _end_call(state)
    state.emit(BookEventKind.CLOCK, orders=expired)


def _due(state: BookState) -> Order | Phase | None:
    """Return the order, or the phase, that ends next; None when nothing is due."""
    timed = [order for order in state.orders.values() if 0 < order.expiry_ns <= state.now_ns]
    first = min(timed, key=lambda order: (order.expiry_ns, order.order_id), default=None)
    if not 0 < state.call_end_ns <= state.now_ns:
        return first
    if first is not None and first.expiry_ns <= state.call_end_ns:
        return first
    return Phase.CALL


def _end_call(state: BookState) -> None:
    state.reference_price_ticks = _uncross(state, state.reference_price_ticks) or state.reference_price_ticks
    state.flush()
    _enter(state, Phase.CONTINUOUS)
    elect_stops(state)


def next_deadline_ns(state: BookState) -> int:
    """Return when something is due next, 0 when nothing is."""
    deadlines = [order.expiry_ns for order in state.orders.values() if order.expiry_ns]
    deadlines += [state.call_end_ns] if state.call_end_ns else []
    return min(deadlines, default=0)
