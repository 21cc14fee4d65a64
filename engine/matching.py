"""What a book did, carried over to orders, funds, fills and events."""

from __future__ import annotations

from typing import Final

from engine.event_writer import LastFill
from engine.instrument import fee_minor
from engine.money import cost_minor
from engine.order_closing import close
from engine.order_state import OrderState
from engine.reasons import Reason
from engine.shard_state import ShardState
from engine.tranche_state import TrancheState, UnsettledFill
from ext.book_records import EVENT_STRUCT, BookEventFlag, BookEventKind, RejectReason
from ext.records import ExecType, Liquidity, OrderStatus, Side

_FILL: Final = int(BookEventKind.FILL)
_LEVEL: Final = int(BookEventKind.LEVEL)
_CANCELLED: Final = int(BookEventKind.CANCELLED)
_INDICATIVE: Final = int(BookEventKind.INDICATIVE)
_REJECTED: Final = int(BookEventKind.REJECTED)
_UNCROSSED: Final = int(BookEventKind.UNCROSSED)
_AUCTION: Final = int(BookEventFlag.AUCTION)
_BUY: Final = int(Side.BUY)

_FilledOrder = tuple[OrderState, int, int, Liquidity]


def is_rejected(book_events: bytes, foreseen: RejectReason) -> bool:
    """Whether the book refused the (first) command that gave these events.

    The core asks for nothing that the book refuses but for the one reason ``foreseen``.
    """
    if book_events[0] != _REJECTED:
        return False
    assert EVENT_STRUCT.unpack_from(book_events)[2] == foreseen
    return True


def take_book_events(state: ShardState, tranche: TrancheState, book_events: bytes) -> tuple[int, int, int]:
    """Carry fills, ended remainders and changed levels over; return price, volume and surplus of an
    uncross."""
    uncrossed = (0, 0, 0)
    events = state.events
    for event in EVENT_STRUCT.iter_unpack(book_events):
        kind, side, _, flags, order_id, other_id, price_ticks, lots, leaves, _, orders, _ = event
        if kind == _LEVEL:
            events.level(tranche, side, price_ticks, lots, orders)
        elif kind == _FILL:
            taker, maker = state.open_orders[order_id], state.open_orders[other_id]
            _fill(state, tranche, taker, maker, price_ticks, lots, bool(flags & _AUCTION))
        elif kind == _CANCELLED:
            _end_remainder(state, order_id)
        elif kind == _INDICATIVE:
            events.indicative(tranche, price_ticks, lots, leaves)
        elif kind == _UNCROSSED:
            uncrossed = (price_ticks, lots, leaves)
        else:
            assert kind != _REJECTED
    return uncrossed


def _end_remainder(state: ShardState, order_id: int) -> None:
    """End what an immediate-or-cancel order left; an order cancelled otherwise is closed already."""
    order = state.open_orders.get(order_id)
    if order is not None:
        close(state, order, OrderStatus.CANCELED)
        reason = Reason.CANCELLED_IOC_REMAINDER
        state.events.report(order, ExecType.CANCELED, order.client_ids[0], reason)


def _fill(
    state: ShardState,
    tranche: TrancheState,
    taker: OrderState,
    maker: OrderState,
    price_ticks: int,
    lots: int,
    auction: bool,
) -> None:
    """Match ``lots`` of two orders at a price: move both legs into settlement and tell everyone.

    In an auction nobody takes: both sides pay the maker's fee, and ``taker`` is the buyer.
    """
    instrument = tranche.instrument
    amount_minor = cost_minor(lots, price_ticks, instrument.terms)
    taker_fee_e6 = instrument.maker_fee_e6 if auction else instrument.taker_fee_e6
    taker_fee_minor = _charge(state, taker, lots, amount_minor, taker_fee_e6)
    maker_fee_minor = _charge(state, maker, lots, amount_minor, instrument.maker_fee_e6)
    tranche.fill_number += 1
    tranche.last_price_ticks = price_ticks
    fill_id = state.unique_id(state.events.last_event + 1)
    if taker.side == _BUY:
        buy, sell, buyer_fee_minor, seller_fee_minor = taker, maker, taker_fee_minor, maker_fee_minor
    else:
        buy, sell, buyer_fee_minor, seller_fee_minor = maker, taker, maker_fee_minor, taker_fee_minor
    tranche.fills[tranche.fill_number] = UnsettledFill(
        fill_id, buy.holding, sell.holding, lots, amount_minor, buyer_fee_minor, seller_fee_minor
    )
    state.events.trade(
        tranche,
        fill_id,
        tranche.fill_number,
        tranche.next_book_sequence(),
        price_ticks,
        lots,
        amount_minor,
        buy.order_id,
        sell.order_id,
        buy.holding.account.account,
        sell.holding.account.account,
        buy.holding.account.owner,
        sell.holding.account.owner,
        buy.nonce,
        sell.nonce,
        buy.revision,
        sell.revision,
        instrument.terms.terms_id,
        0 if auction else taker.side,
        instrument.mode,
        0,
        0,
        buyer_fee_minor,
        seller_fee_minor,
    )
    taken = Liquidity.AUCTION if auction else Liquidity.REMOVED
    made = Liquidity.AUCTION if auction else Liquidity.ADDED
    last = (fill_id, tranche.fill_number, lots, price_ticks, amount_minor)
    _report_fill(state, taker, LastFill(*last, taken))
    _report_fill(state, maker, LastFill(*last, made))


def _charge(state: ShardState, order: OrderState, lots: int, amount_minor: int, fee_e6: int) -> int:
    """Take one side's lots off its order and its leg into settlement; return the fee it pays.

    A seller's fee grows with a better price, so it is capped by what the order's signed fee limit leaves; a
    buyer's cannot exceed it, because the earmark per lot already bounds it.
    """
    fee = fee_minor(amount_minor, fee_e6) if fee_e6 else 0
    if order.side == _BUY:
        purse = order.holding.purse
        purse.match(lots * order.lot_earmark_minor, amount_minor + fee)
        state.events.touch(purse)
    else:
        fee = min(fee, order.fee_limit_minor - order.fees_minor)
        order.holding.match(lots, lots)
        state.events.touch(order.holding)
    order.fees_minor += fee
    order.leaves_lots -= lots
    order.cum_lots += lots
    return fee


def _report_fill(state: ShardState, order: OrderState, fill: LastFill) -> None:
    if order.leaves_lots:
        order.status = OrderStatus.PARTIALLY_FILLED
    else:
        close(state, order, OrderStatus.FILLED)
    state.events.report(order, ExecType.TRADE, order.client_ids[0], Reason.NONE, fill)
