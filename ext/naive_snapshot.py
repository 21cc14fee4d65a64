"""The naive book as bytes and back."""

from __future__ import annotations

from ext.book_records import (
    ORDER_STRUCT,
    RULES_TAIL_STRUCT,
    SNAPSHOT_MAGIC,
    SNAPSHOT_STRUCT,
    CommandFlag,
    OrderType,
    Phase,
    SelfTrade,
    Side,
    TimeInForce,
)
from ext.naive_book_side import Order, Queues
from ext.naive_book_state import BookState, Rules


def queues_of(state: BookState) -> list[Queues]:
    """Return resting buys, resting sells, stop buys, stop sells."""
    return [*state.sides.values(), *state.stops.values()]


def write_orders(state: BookState) -> bytes:
    """Return the orders by priority."""
    return b"".join(_order_bytes(order) for queue in queues_of(state) for order in queue)


def _order_bytes(order: Order) -> bytes:
    kinds = (order.side, order.order_type, order.time_in_force, order.self_trade, order.flags)
    shown = (order.visible_lots, order.peak_lots, order.expiry_ns, order.stop_price_ticks)
    lots = (order.leaves_lots, order.cum_lots)
    return ORDER_STRUCT.pack(
        order.order_id, order.price_ticks, *lots, *kinds, order.owner, order.group, *shown, bytes(48)
    )


def write_book(state: BookState) -> bytes:
    """Return the whole state."""
    rules = state.rules
    head = SNAPSHOT_STRUCT.pack(
        SNAPSHOT_MAGIC,
        state.phase,
        state.reference_price_ticks,
        *(sum(1 for _ in queue) for queue in queues_of(state)),
        state.last_price_ticks,
        max(state.reached, default=0),
        min(state.reached, default=0),
        state.now_ns,
        state.call_end_ns,
        state.random_state,
        RULES_TAIL_STRUCT.pack(*(getattr(rules, name) for name in Rules.__dataclass_fields__)),
        bytes(24),
    )
    return head + write_orders(state)


def read_book(snapshot: bytes) -> BookState:
    """Return the state of a snapshot; what is none raises AssertionError, ValueError or struct.error."""
    state = BookState()
    head = SNAPSHOT_STRUCT.unpack_from(snapshot)
    state.phase, state.reference_price_ticks = Phase(head[1]), head[2]
    state.last_price_ticks, high, low, state.now_ns, state.call_end_ns, state.random_state = head[7:13]
    state.reached = {high, low} - {0}
    state.rules = Rules(*RULES_TAIL_STRUCT.unpack(head[13]))
    for fields in ORDER_STRUCT.iter_unpack(snapshot[SNAPSHOT_STRUCT.size :]):
        _read_order(state, fields)
    state.changed = {}
    state.indicative = state.indicative_now()
    return state


def _read_order(state: BookState, fields: tuple[int, ...]) -> None:
    order_id, price, leaves, cum, side, order_type, tif, self_trade, flags, owner, group, *shown, _ = fields
    order = Order(
        order_id,
        Side(side),
        price,
        leaves,
        cum,
        OrderType(order_type),
        TimeInForce(tif),
        SelfTrade(self_trade),
        CommandFlag(flags),
        owner,
        group,
        *shown,
    )
    assert order_id not in state.orders
    if order.is_stop:
        state.wait(order)
        return
    visible_lots = order.visible_lots
    state.rest(order)
    order.visible_lots = visible_lots
