"""Continuous matching in obvious code: fills, self-trade prevention, collars, allocation, stop orders."""

from __future__ import annotations

from ext.book_records import (
    Allocation,
    BookEventFlag,
    BookEventKind,
    CancelReason,
    OrderType,
    Phase,
    RuleFlag,
    SelfTrade,
    Side,
    TimeInForce,
)
from ext.naive_book_side import Order
from ext.naive_book_state import BookState, opposite

IMMEDIATE = (TimeInForce.IOC, TimeInForce.FOK)


class _TakerEndsError(Exception):
    """Self-trade prevention ends the taker."""


# -- collars


def price_in_collar(state: BookState, order: Order) -> int:
    """Return an order's limit, or the collar's bound where that is nearer."""
    way = 1 if order.side is Side.BUY else -1
    limits = [way * order.price_ticks]
    rules, reference = state.rules, state.reference_price_ticks
    if rules.static_collar_ticks and reference:
        limits.append(way * reference + rules.static_collar_ticks)
    last = state.last_price_ticks or reference
    if rules.dynamic_collar_ticks and last:
        limits.append(way * last + rules.dynamic_collar_ticks)
    return way * min(limits)


def random_wait_ns(state: BookState) -> int:
    """Draw a wait (splitmix64)."""
    if not state.rules.random_end_ns:
        return 0
    mask = 2**64 - 1
    state.random_state = mixed = (state.random_state + 0x9E3779B97F4A7C15) & mask
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & mask
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & mask
    return (mixed ^ mixed >> 31) % (state.rules.random_end_ns + 1)


def interrupt(state: BookState) -> None:
    """Turn continuous trading to a call."""
    state.phase, state.call_end_ns, state.indicative = Phase.CALL, 0, (0, 0, 0)
    if state.rules.interruption_ns:
        state.call_end_ns = state.now_ns + state.rules.interruption_ns + random_wait_ns(state)
    state.emit_phase(BookEventFlag.INTERRUPTION)


# -- what is there


def reachable_lots(state: BookState, taker: Order) -> int:
    """Return how many lots a taker can trade now."""
    limit, total = price_in_collar(state, taker), 0
    way = 1 if taker.side is Side.BUY else -1
    for level in state.sides[opposite(taker.side)].levels():
        if way * level[0].price_ticks > way * limit:
            break
        own = [order for order in level if taker.is_guarded and order.owner == taker.owner]
        if not own or taker.self_trade is SelfTrade.CANCEL_OLDEST:
            total += sum(order.leaves_lots for order in level if order not in own)
            continue
        if state.rules.allocation != Allocation.PRO_RATA:
            total += sum(order.visible_lots for order in level[: level.index(own[0])])
        break
    return total


# -- matching


def match(state: BookState, taker: Order) -> CancelReason | None:
    """Match a taker as far as it reaches; return why what is left of it is cancelled, None if it isn't.

    What is left of it may be nothing. An interruption changes the phase.
    """
    makers = state.sides[opposite(taker.side)]
    limit = price_in_collar(state, taker)
    try:
        while taker.leaves_lots and makers.reaches(limit):
            _match_level(state, taker, makers.first_level())
    except _TakerEndsError:
        return CancelReason.SELF_TRADE
    if not taker.leaves_lots:
        return None
    if makers.reaches(taker.price_ticks):
        if not state.rules.flags & RuleFlag.INTERRUPT:
            return CancelReason.OUTSIDE_COLLAR
        interrupt(state)
    immediate = taker.time_in_force in IMMEDIATE or taker.order_type is OrderType.MARKET
    return CancelReason.IOC_REMAINDER if immediate else None


def _match_level(state: BookState, taker: Order, level: list[Order]) -> None:
    if state.rules.allocation != Allocation.PRO_RATA:
        _fill_first(state, taker, level[0])
        return
    own = next((order for order in level if _is_own(taker, order)), None)
    if own is not None:
        _prevent(state, taker, own)
    elif taker.leaves_lots < sum(order.visible_lots for order in level):
        _fill_pro_rata(state, taker, level)
    else:
        for order in level:
            _fill(state, taker, order, order.visible_lots)


def _is_own(taker: Order, order: Order) -> bool:
    return taker.is_guarded and order.owner == taker.owner


def _fill_first(state: BookState, taker: Order, maker: Order) -> None:
    if _is_own(taker, maker):
        _prevent(state, taker, maker)
    else:
        _fill(state, taker, maker, min(taker.leaves_lots, maker.visible_lots))


def _fill(state: BookState, taker: Order, maker: Order, lots: int) -> None:
    taker.leaves_lots -= lots
    taker.cum_lots += lots
    maker.cum_lots += lots
    state.reduce(maker, lots)
    state.note_trade(maker.price_ticks)
    state.emit_fill(taker, maker, maker.price_ticks, lots)
    state.settle(maker)


def _fill_pro_rata(state: BookState, taker: Order, level: list[Order]) -> None:
    lots, whole = taker.leaves_lots, sum(order.visible_lots for order in level)
    shares = [lots * order.visible_lots // whole for order in level]
    shares = [share if share >= state.rules.minimum_allocation_lots else 0 for share in shares]
    over = lots - sum(shares)
    for order, share in zip(level, shares, strict=True):
        more = min(over, order.visible_lots - share)
        over -= more
        if share + more:
            _fill(state, taker, order, share + more)


def _prevent(state: BookState, taker: Order, maker: Order) -> None:
    """Do as the taker's mode says with a maker of its owner."""
    lots, mode = min(taker.leaves_lots, maker.visible_lots), taker.self_trade
    if mode is SelfTrade.DECREMENT:
        taker.leaves_lots -= lots
        state.reduce(maker, lots)
    state.emit_pair(
        BookEventKind.PREVENTED, taker, maker, maker.price_ticks, lots, reason=int(taker.self_trade)
    )
    if mode is SelfTrade.DECREMENT:
        if not maker.leaves_lots:
            state.emit_cancelled(maker, CancelReason.SELF_TRADE)
        state.settle(maker)
    elif mode is not SelfTrade.CANCEL_NEWEST:
        state.end(maker, CancelReason.SELF_TRADE)
    if mode in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH) or not taker.leaves_lots:
        raise _TakerEndsError


# -- stop orders


def elect_stops(state: BookState) -> None:
    """Let all stop orders trade that trades have reached, each as a step of its own."""
    while state.phase is Phase.CONTINUOUS:
        order = _next_elected(state)
        if order is None:
            state.reached = set()
            return
        _trigger(state, order)
        state.flush()


def _next_elected(state: BookState) -> Order | None:
    buy, sell = (state.stops[side].first() for side in Side)
    if state.reached and buy is not None and buy.stop_price_ticks <= max(state.reached):
        return buy
    if state.reached and sell is not None and sell.stop_price_ticks >= min(state.reached):
        return sell
    return None


def _trigger(state: BookState, order: Order) -> None:
    state.remove(order)
    order.order_type = OrderType.MARKET if order.order_type is OrderType.STOP else OrderType.LIMIT
    order.stop_price_ticks, order.visible_lots = 0, order.leaves_lots
    state.emit_order(BookEventKind.TRIGGERED, order)
    finish(state, order, match(state, order), BookEventKind.ADDED)


def finish(
    state: BookState, order: Order, reason: CancelReason | None, rests: BookEventKind | None, flags: int = 0
) -> None:
    """Cancel a matched order, or let rest what is left of it and say so."""
    if reason is not None:
        state.emit_cancelled(order, reason)
    elif order.leaves_lots:
        state.rest(order)
        if rests is not None:
            state.emit_order(rests, order, flags)
