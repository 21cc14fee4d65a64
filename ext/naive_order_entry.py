"""Orders come, change and go, in obvious code."""

from __future__ import annotations

from dataclasses import dataclass

from ext.book_records import (
    ORDER_ID_MAX,
    ORDER_TAIL_STRUCT,
    PRICE_TICKS_MAX,
    BookEventFlag,
    BookEventKind,
    CancelReason,
    CommandFlag,
    OrderType,
    Phase,
    RejectReason,
    SelfTrade,
    Side,
    TimeInForce,
)
from ext.naive_book_side import Order
from ext.naive_book_state import BookState, RejectedError, opposite, require
from ext.naive_matching import IMMEDIATE, finish, match, reachable_lots

TAKES_ORDERS = (Phase.CONTINUOUS, Phase.CALL, Phase.PRE_OPEN, Phase.POST_ONLY)
STOPS = (OrderType.STOP, OrderType.STOP_LIMIT)
EXPIRING = (TimeInForce.DAY, TimeInForce.GTD)


@dataclass(slots=True)
class Command:
    """The first record of a command."""

    op: int
    side: int
    time_in_force: int
    phase: int
    order_type: int
    self_trade: int
    flags: int
    order_id: int
    price_ticks: int
    quantity_lots: int
    reference_price_ticks: int
    owner: int
    group: int
    book: int
    reserved: int
    time_ns: int


@dataclass(slots=True)
class OrderTail:
    """The second record of an ADD."""

    stop_price_ticks: int
    peak_lots: int
    minimum_lots: int
    expiry_ns: int
    reserved: tuple[int, ...]

    @classmethod
    def read(cls, tail: bytes) -> OrderTail:
        """Read one, or all zeros when there is none."""
        stop, peak, minimum, expiry, *reserved = ORDER_TAIL_STRUCT.unpack(tail or bytes(64))
        return cls(stop, peak, minimum, expiry, tuple(reserved))


# -- checks


def require_price_and_quantity(command: Command) -> None:
    """Refuse a price or a quantity that none can be."""
    require(0 < command.price_ticks <= PRICE_TICKS_MAX, RejectReason.BAD_PRICE)
    require(command.quantity_lots > 0, RejectReason.BAD_QUANTITY)


def _check_add(state: BookState, command: Command, tail: OrderTail) -> None:
    require(state.phase in TAKES_ORDERS, RejectReason.WRONG_PHASE)
    require(command.side in list(Side), RejectReason.UNKNOWN_SIDE)
    require(command.order_type in list(OrderType), RejectReason.UNKNOWN_ORDER_TYPE)
    require(command.time_in_force in list(TimeInForce), RejectReason.UNKNOWN_TIME_IN_FORCE)
    require(command.self_trade in list(SelfTrade), RejectReason.UNKNOWN_SELF_TRADE)
    immediate = command.time_in_force in IMMEDIATE
    require(not immediate or state.phase is Phase.CONTINUOUS, RejectReason.IOC_IN_CALL)
    require(0 < command.order_id <= ORDER_ID_MAX, RejectReason.BAD_ORDER_ID)
    require_price_and_quantity(command)
    _check_combination(command, tail)
    _check_tail(state, command, tail)
    require(command.order_id not in state.orders, RejectReason.DUPLICATE_ORDER_ID)
    state.require_room(Side(command.side), command.quantity_lots)


def _check_combination(command: Command, tail: OrderTail) -> None:
    immediate, stop = command.time_in_force in IMMEDIATE, command.order_type in STOPS
    post_only = bool(command.flags & CommandFlag.POST_ONLY)
    require(post_only or not command.flags & CommandFlag.REPRICE, RejectReason.BAD_COMBINATION)
    require(immediate or command.order_type != OrderType.MARKET, RejectReason.BAD_COMBINATION)
    require(
        not (stop and (immediate or post_only or tail.minimum_lots)),
        RejectReason.BAD_COMBINATION,
    )
    require(not (post_only and (immediate or tail.minimum_lots)), RejectReason.BAD_COMBINATION)


def _check_tail(state: BookState, command: Command, tail: OrderTail) -> None:
    immediate, stop = command.time_in_force in IMMEDIATE, command.order_type in STOPS
    require(not any(tail.reserved), RejectReason.RESERVED_NOT_ZERO)
    if stop:
        require(0 < tail.stop_price_ticks <= PRICE_TICKS_MAX, RejectReason.BAD_STOP_PRICE)
    else:
        require(tail.stop_price_ticks == 0, RejectReason.BAD_STOP_PRICE)
    never_rests = immediate or command.order_type == OrderType.STOP
    most = 0 if never_rests else command.quantity_lots
    require(0 <= tail.peak_lots <= most, RejectReason.BAD_PEAK)
    require(0 <= tail.minimum_lots <= command.quantity_lots, RejectReason.BAD_MINIMUM)
    require(not tail.minimum_lots or state.phase is Phase.CONTINUOUS, RejectReason.IOC_IN_CALL)
    if command.time_in_force in EXPIRING:
        require(tail.expiry_ns > state.now_ns, RejectReason.BAD_EXPIRY)
    else:
        require(tail.expiry_ns == 0, RejectReason.BAD_EXPIRY)


def _passive_price(state: BookState, side: Side, price_ticks: int, flags: CommandFlag) -> int:
    """Return the price at which an order may come to rest where it must not trade."""
    post_only = state.phase is Phase.POST_ONLY or (
        state.phase is Phase.CONTINUOUS and CommandFlag.POST_ONLY in flags
    )
    if not post_only or not state.would_trade(side, price_ticks):
        return price_ticks
    require(CommandFlag.REPRICE in flags, RejectReason.WOULD_TRADE)
    best = state.sides[opposite(side)].first()
    assert best is not None
    passive = best.price_ticks + (-1 if side is Side.BUY else 1)
    require(0 < passive <= PRICE_TICKS_MAX, RejectReason.WOULD_TRADE)
    return passive


# -- new orders


def add(state: BookState, command: Command, raw_tail: bytes) -> None:
    """Take a new order."""
    tail = OrderTail.read(raw_tail)
    _check_add(state, command, tail)
    order = _order_of(command, tail)
    if order.is_stop:
        state.wait(order)
        state.emit_order(BookEventKind.ADDED, order)
        if state.last_price_ticks:
            state.reached.add(state.last_price_ticks)
        return
    order.price_ticks = _passive_price(state, order.side, order.price_ticks, order.flags)
    flags = BookEventFlag.REPRICED if order.price_ticks != command.price_ticks else 0
    reason = None
    if state.phase is Phase.CONTINUOUS:
        reason = _entry_condition(state, order, tail) or match(state, order)
    finish(state, order, reason, BookEventKind.ADDED, flags)


def _order_of(command: Command, tail: OrderTail) -> Order:
    return Order(
        command.order_id,
        Side(command.side),
        command.price_ticks,
        command.quantity_lots,
        order_type=OrderType(command.order_type),
        time_in_force=TimeInForce(command.time_in_force),
        self_trade=SelfTrade(command.self_trade),
        flags=CommandFlag(command.flags & ~CommandFlag.TAIL),
        owner=command.owner,
        group=command.group,
        peak_lots=tail.peak_lots,
        expiry_ns=tail.expiry_ns,
        stop_price_ticks=tail.stop_price_ticks,
    )


def _entry_condition(state: BookState, order: Order, tail: OrderTail) -> CancelReason | None:
    if order.time_in_force is not TimeInForce.FOK and not tail.minimum_lots:
        return None
    there = reachable_lots(state, order)
    if order.time_in_force is TimeInForce.FOK and there < order.leaves_lots:
        return CancelReason.FOK_NOT_FILLABLE
    if there < tail.minimum_lots:
        return CancelReason.MINIMUM_NOT_MET
    return None


# -- orders that are there


def cancel(state: BookState, command: Command) -> None:
    """Cancel an order."""
    state.end(_find(state, command), CancelReason.BY_REQUEST)


def mass_cancel(state: BookState, command: Command) -> None:
    """Cancel by owner, group and side, each as a step of its own."""
    require(command.side in (0, *Side), RejectReason.UNKNOWN_SIDE)
    queues = [*state.sides.values(), *state.stops.values()]
    meant = [order for queue in queues for order in queue if _is_meant(order, command)]
    for order in meant:
        state.end(order, CancelReason.BY_MASS_CANCEL)
        state.flush()
    state.emit(BookEventKind.MASS_CANCELLED, orders=len(meant))


def _is_meant(order: Order, command: Command) -> bool:
    return (
        command.owner in (0, order.owner)
        and command.group in (0, order.group)
        and command.side in (0, order.side)
    )


def replace(state: BookState, command: Command) -> None:
    """Give an order a new price and total quantity."""
    require(state.phase in TAKES_ORDERS, RejectReason.WRONG_PHASE)
    require_price_and_quantity(command)
    order = _find(state, command)
    leaves_lots = command.quantity_lots - order.cum_lots
    if leaves_lots <= 0:
        state.end(order, CancelReason.QUANTITY_NOT_ABOVE_FILLED)
        return
    state.require_room(order.side, leaves_lots - order.leaves_lots)
    price_ticks = command.price_ticks
    if not order.is_stop:
        price_ticks = _passive_price(state, order.side, price_ticks, order.flags)
    if price_ticks == order.price_ticks and leaves_lots <= order.leaves_lots:
        _reduce(state, order, leaves_lots)
    else:
        flags = BookEventFlag.REPRICED if price_ticks != command.price_ticks else 0
        _requeue(state, order, price_ticks, leaves_lots, flags)


def _reduce(state: BookState, order: Order, leaves_lots: int) -> None:
    """Keep an order's place, taking off what is hidden first."""
    state.total_lots[order.side] += leaves_lots - order.leaves_lots
    order.leaves_lots = leaves_lots
    if not order.is_stop and leaves_lots < order.visible_lots:
        order.visible_lots = leaves_lots
        state.touch(order)
    state.emit_order(BookEventKind.REPLACED, order, BookEventFlag.PRIORITY_KEPT)


def _requeue(state: BookState, order: Order, price_ticks: int, leaves_lots: int, flags: int) -> None:
    state.remove(order)
    order.price_ticks, order.leaves_lots = price_ticks, leaves_lots
    order.visible_lots = 0 if order.is_stop else leaves_lots
    state.emit_order(BookEventKind.REPLACED, order, flags)
    if order.is_stop:
        state.wait(order)
        return
    reason = match(state, order) if state.phase is Phase.CONTINUOUS else None
    finish(state, order, reason, BookEventKind.REFILLED if order.peak_lots else None)


def _find(state: BookState, command: Command) -> Order:
    order = state.orders.get(command.order_id)
    if order is None:
        raise RejectedError(RejectReason.UNKNOWN_ORDER)
    return order
