"""How orders end: filled, cancelled by whoever may, or by their deadline; what they held is free again."""

from __future__ import annotations

from collections.abc import Iterable

from engine.matching import take_book_events
from engine.order_closing import close
from engine.order_state import OrderState
from engine.reasons import Reason
from engine.shard_state import ShardState
from ext.book_records import pack_cancel
from ext.records import ExecType, OrderStatus


def cancel_resting(
    state: ShardState, order: OrderState, reason: Reason, client_order_id: bytes = b""
) -> None:
    """Take an open order out of its book and report it cancelled, to ``client_order_id`` or else to its
    own."""
    _take_out(state, order, OrderStatus.CANCELED, ExecType.CANCELED, reason, client_order_id)


def cancel_all(state: ShardState, orders: Iterable[OrderState], reason: Reason) -> None:
    """Cancel open orders in the order given."""
    for order in list(orders):
        cancel_resting(state, order, reason)


def fire_deadlines(state: ShardState) -> None:
    """End the orders whose deadline is at or before now, by (deadline, order id), as a cause of their own."""
    if not state.deadlines.is_due(state.now_ns):
        return
    state.events.begin(0, 0, 0, 0, state.now_ns)
    while state.deadlines.is_due(state.now_ns):
        order = _order_due(state, state.deadlines.take())
        if order is not None:
            _expire(state, order)
    state.events.finish()


def next_deadline_ns(state: ShardState) -> int:
    """When the next open order ends by itself, 0 when none is open; forgets the deadlines of ended ones."""
    entry = state.deadlines.first()
    while entry is not None and _order_due(state, entry) is None:
        state.deadlines.take()
        entry = state.deadlines.first()
    return entry[0] if entry else 0


def _order_due(state: ShardState, entry: tuple[int, int]) -> OrderState | None:
    """The open order that a deadline is of; None when it ended or has another deadline now."""
    deadline_ns, order_id = entry
    order = state.open_orders.get(order_id)
    return order if order is not None and order.deadline_ns == deadline_ns else None


def _expire(state: ShardState, order: OrderState) -> None:
    if order.valid_until_ns <= state.now_ns:
        reason = Reason.CANCELLED_SIGNATURE_EXPIRED
        _take_out(state, order, OrderStatus.EXPIRED, ExecType.EXPIRED, reason, b"")
    else:
        cancel_resting(state, order, Reason.CANCELLED_NOT_ELIGIBLE)


def _take_out(
    state: ShardState,
    order: OrderState,
    status: OrderStatus,
    exec_type: ExecType,
    reason: Reason,
    client_order_id: bytes,
) -> None:
    tranche = order.holding.tranche
    book_events = tranche.book.apply(pack_cancel(order.order_id))
    close(state, order, status)
    state.events.report(order, exec_type, client_order_id or order.client_ids[0], reason)
    take_book_events(state, tranche, book_events)
