"""The moment an order ends: what it held is freed, and it moves from the open to the closed orders."""

from __future__ import annotations

from typing import Final

from engine.holding import Holding
from engine.ledger import Purse
from engine.order_state import OrderState
from engine.shard_state import ShardState
from ext.records import OrderStatus, Side

_STALE_DEADLINES: Final = 4096


def funds_of(order: OrderState) -> Purse | Holding:
    """What the order holds from: the account's cash for a buy, its lots for a sell."""
    return order.holding.purse if order.side == Side.BUY else order.holding


def close(state: ShardState, order: OrderState, status: OrderStatus) -> None:
    """End an open order with ``status``; it is out of the book already."""
    held = order.held()
    if held:
        funds = funds_of(order)
        funds.earmark(-held)
        state.events.touch(funds)
    order.leaves_lots = 0
    order.status = status
    del state.open_orders[order.order_id]
    del order.holding.open_orders[order.order_id]
    order.holding.tranche.closed_orders.add(order)
    if len(state.deadlines) > 2 * len(state.open_orders) + _STALE_DEADLINES:
        state.deadlines.rebuild((order.deadline_ns, order.order_id) for order in state.open_orders.values())
