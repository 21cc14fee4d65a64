"""Every invariant of a shard's state, walked: for tests, for the simulator, for ``abst verify``."""

from __future__ import annotations

from collections import Counter

from engine.holding import Holding
from engine.order_state import CLIENT_ID_BYTES, OrderState, client_ids_of, order_id_of
from engine.reasons import Reason
from engine.shard_state import ShardState
from engine.tranche_state import TrancheState
from ext.book_records import ORDER_STRUCT
from ext.records import Phase, Side


def check(state: ShardState) -> None:
    """Walk the state; AssertionError at the first invariant that does not hold. O(size of the state)."""
    for number, tranche in state.tranches.items():
        assert number == tranche.instrument.tranche
        _check_book(state, tranche)
        _check_lots(tranche)
        for holding in tranche.holdings.values():
            _check_holding(state, holding)
    _check_cash(state)
    _check_open_orders(state)


def _check_book(state: ShardState, tranche: TrancheState) -> None:
    """Book and orders agree, and a book in continuous trading is not crossed."""
    book = tranche.book
    book._check()
    resting = {row[0]: row[1:5] for row in ORDER_STRUCT.iter_unpack(book.orders())}
    own = [order for order in state.open_orders.values() if order.holding.tranche is tranche]
    assert resting == {
        order.order_id: (order.price_ticks, order.leaves_lots, order.cum_lots, order.side) for order in own
    }
    if tranche.phase == Phase.CONTINUOUS:
        bids, asks = book.levels(Side.BUY), book.levels(Side.SELL)
        assert not (bids and asks) or bids[0][0] < asks[0][0]


def _check_lots(tranche: TrancheState) -> None:
    """Lots and debts are conserved; those in settlement are exactly the sellers' of unsettled fills."""
    holdings = tranche.holdings.values()
    assert tranche.lots == sum(holding.total() for holding in holdings)
    assert tranche.owed_lots == sum(holding.owed for holding in holdings)
    selling: Counter[int] = Counter()
    for number, fill in tranche.fills.items():
        assert 0 < number <= tranche.fill_number
        selling[fill.seller.account.account] += fill.quantity_lots
    for holding in holdings:
        assert holding.in_settlement == selling[holding.account.account]


def _check_holding(state: ShardState, holding: Holding) -> None:
    holding._check()
    assert holding.tranche.holdings[holding.account.account] is holding
    assert holding.purse is holding.account.purses[holding.tranche.instrument.currency]
    orders = holding.open_orders
    assert list(orders) == sorted(orders)
    assert holding.earmarked == sum(o.leaves_lots for o in orders.values() if o.side == Side.SELL)
    assert not orders or holding.eligibility.refusal(state.now_ns) is Reason.NONE
    for client_order_id, order_id in holding.client_orders.items():
        assert len(client_order_id) == CLIENT_ID_BYTES
        assert client_order_id in _client_ids(holding, order_id)


def _client_ids(holding: Holding, order_id: int) -> list[bytes]:
    order = holding.open_orders.get(order_id)
    if order is not None:
        return order.client_ids
    record = holding.tranche.closed_orders.get(order_id)
    assert record is not None
    assert order_id_of(record) == order_id
    return client_ids_of(record)


def _check_cash(state: ShardState) -> None:
    """Cash is conserved; what is earmarked and in settlement is exactly what open buys and unsettled fills
    hold."""
    held: Counter[tuple[int, int]] = Counter()
    owed: Counter[tuple[int, int]] = Counter()
    for order in state.open_orders.values():
        if order.side == Side.BUY:
            held[_purse_key(order.holding)] += order.held()
    for tranche in state.tranches.values():
        for fill in tranche.fills.values():
            owed[_purse_key(fill.buyer)] += fill.amount_minor + fill.buyer_fee_minor
    sums = Counter({currency: totals.fees_minor for currency, totals in state.currencies.items()})
    for account in state.accounts.values():
        for currency, purse in account.purses.items():
            purse._check()
            assert purse.earmarked == held[account.account, currency]
            assert purse.in_settlement == owed[account.account, currency]
            sums[currency] += purse.total()
    assert +sums == +Counter({currency: totals.held_minor for currency, totals in state.currencies.items()})


def _purse_key(holding: Holding) -> tuple[int, int]:
    return holding.account.account, holding.purse.currency


def _check_open_orders(state: ShardState) -> None:
    own = [
        holding.open_orders for tranche in state.tranches.values() for holding in tranche.holdings.values()
    ]
    assert sum(map(len, own)) == len(state.open_orders)
    deadlines = state.deadlines.entries()
    for order_id, order in state.open_orders.items():
        assert order.holding.open_orders[order_id] is order
        assert order.order_id == order_id
        assert state.now_ns < order.deadline_ns
        assert (order.deadline_ns, order_id) in deadlines
        _check_order(order)


def _check_order(order: OrderState) -> None:
    holding = order.holding
    instrument = holding.tranche.instrument
    assert order.is_open()
    assert 0 < order.leaves_lots == order.quantity_lots - order.cum_lots
    assert order.terms_id == instrument.terms.terms_id
    assert order.deadline_ns == min(order.valid_until_ns, holding.eligibility.end_ns())
    assert 0 <= order.fees_minor <= order.fee_limit_minor
    assert order.nonce <= holding.last_nonce
    assert holding.tranche.closed_orders.get(order.order_id) is None
    assert instrument.price_min_ticks <= order.price_ticks <= instrument.price_max_ticks
