"""Every invariant of the naive book, walked."""

from ext.book_records import (
    ORDER_ID_MAX,
    PRICE_TICKS_MAX,
    QUANTITY_LOTS_MAX,
    TIME_NS_MAX,
    CommandFlag,
    OrderType,
    Phase,
    Side,
    TimeInForce,
)
from ext.naive_book_side import Order
from ext.naive_book_state import BookState
from ext.naive_market_phase import are_rules
from ext.naive_order_entry import EXPIRING
from ext.naive_snapshot import queues_of


def check_book(state: BookState) -> None:
    """AssertionError names the first invariant that does not hold."""
    assert 0 <= state.reference_price_ticks <= PRICE_TICKS_MAX
    assert 0 <= state.last_price_ticks <= PRICE_TICKS_MAX
    assert all(0 < price <= PRICE_TICKS_MAX for price in state.reached)
    assert 0 <= state.now_ns < TIME_NS_MAX
    assert state.call_end_ns == 0 or (state.phase is Phase.CALL and state.call_end_ns > state.now_ns)
    assert are_rules(state.rules)
    assert state.indicative == state.indicative_now()
    for order_id, order in state.orders.items():
        assert order_id == order.order_id
        _check_order(state, order)
    for side in Side:
        leaves = (order.leaves_lots for order in state.orders.values() if order.side is side)
        assert state.total_lots[side] == sum(leaves) <= QUANTITY_LOTS_MAX
        assert all(order.side is side and not order.is_stop for order in state.sides[side])
        assert all(order.side is side and order.is_stop for order in state.stops[side])
    queued = [order for queue in queues_of(state) for order in queue]
    assert len(queued) == len(state.orders)
    assert all(state.orders[order.order_id] is order for order in queued)
    if state.phase in (Phase.CONTINUOUS, Phase.POST_ONLY):
        assert not state.is_crossed()
    if state.phase is Phase.CONTINUOUS:
        _check_stops(state)


def _check_order(state: BookState, order: Order) -> None:
    assert 0 < order.order_id <= ORDER_ID_MAX
    assert 0 < order.price_ticks <= PRICE_TICKS_MAX
    assert order.leaves_lots > 0
    assert 0 <= order.cum_lots <= QUANTITY_LOTS_MAX - order.leaves_lots
    assert order.flags in (CommandFlag(0), CommandFlag.POST_ONLY, CommandFlag.POST_ONLY | CommandFlag.REPRICE)
    if order.time_in_force in EXPIRING:
        assert order.expiry_ns > state.now_ns
    else:
        assert (order.time_in_force, order.expiry_ns) == (TimeInForce.GTC, 0)
    assert order.peak_lots >= 0
    if order.is_stop:
        assert 0 < order.stop_price_ticks <= PRICE_TICKS_MAX
        assert (order.visible_lots, order.flags) == (0, 0)
        assert order.order_type is OrderType.STOP_LIMIT or order.peak_lots == 0
        return
    assert order.order_type is OrderType.LIMIT
    assert order.stop_price_ticks == 0
    assert 0 < order.visible_lots <= order.leaves_lots
    assert (
        order.visible_lots <= order.peak_lots if order.peak_lots else order.visible_lots == order.leaves_lots
    )


def _check_stops(state: BookState) -> None:
    """None waits that the last trade has reached."""
    assert not state.reached
    buy, sell = (state.stops[side].first() for side in Side)
    last = state.last_price_ticks
    assert buy is None or not last or buy.stop_price_ticks > last
    assert sell is None or not last or sell.stop_price_ticks < last
