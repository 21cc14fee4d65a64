"""What an order must satisfy, check by check in a fixed order; the first that fails is the refusal.

``order_entry`` has seen by then who sends it (201, 202), whether its client order id came before, that the
tranche is listed (501), whose it is (203), and for a replacement which open order it names (109, 110). Here
follow phase (502, 503), eligibility (301, 302), terms (117), side, type, time in force, fields not in use
(104, 105, 106, 504, 107), for a new order whether it may rest (121), price (102), quantity (103), end of the
signature (115), nonce (113, 112), revision (114), for a replacement side (118) and filled quantity (111),
then cash limit (116) and fee limit (120). Funds (401, 402, 403) come last, in ``order_entry``.
"""

from __future__ import annotations

from typing import Final

from engine.holding import Holding
from engine.instrument import Instrument
from engine.money import least_proceeds_per_lot_minor, worst_cost_per_lot_minor
from engine.order_state import OrderState
from engine.reasons import Reason
from engine.refusal import Refusal
from ext.records import OrderFlag, OrderPlace, OrderType, Phase, Side, TimeInForce

NONCE_TRANCHE_SHIFT: Final = 40
_ALL_FLAGS: Final = int(OrderFlag.STANDING)
_OPEN_PHASES: Final = frozenset({int(Phase.CALL), int(Phase.CONTINUOUS)})
_SIDES: Final = frozenset(map(int, Side))
_TIMES_IN_FORCE: Final = frozenset(map(int, TimeInForce))
_LIMIT: Final = int(OrderType.LIMIT)
_IOC: Final = int(TimeInForce.IOC)
_BUY: Final = int(Side.BUY)


def new_order_refusal(holding: Holding, command: OrderPlace, now_ns: int) -> Refusal | None:
    """Why a new order is refused, its funds apart."""
    return (
        _market_refusal(holding, command, now_ns)
        or _form_refusal(holding, command)
        or _resting_refusal(command)
        or _range_refusal(holding.tranche.instrument, command)
        or _signature_refusal(command, now_ns)
        or _new_key_refusal(holding, command)
        or _limits_refusal(holding.tranche.instrument, command, command.quantity_lots, 0)
    )


def replacement_refusal(
    holding: Holding, order: OrderState, command: OrderPlace, now_ns: int
) -> Refusal | None:
    """Why a replacement of an open order is refused, its funds apart."""
    leaves_lots = command.quantity_lots - order.cum_lots
    return (
        _market_refusal(holding, command, now_ns)
        or _form_refusal(holding, command)
        or _same_form_refusal(order, command)
        or _range_refusal(holding.tranche.instrument, command)
        or _signature_refusal(command, now_ns)
        or _next_revision_refusal(order, command)
        or _limits_refusal(holding.tranche.instrument, command, leaves_lots, order.fees_minor)
    )


def lot_earmark_minor(instrument: Instrument, command: OrderPlace) -> int:
    """What each open lot of the order holds of cash: its worst cost with fee for a buy, nothing for a
    sell."""
    if command.side != _BUY:
        return 0
    worst = worst_cost_per_lot_minor(command.price_ticks, instrument.terms)
    return worst + instrument.worst_fee_per_lot_minor(worst)


def _market_refusal(holding: Holding, command: OrderPlace, now_ns: int) -> Refusal | None:
    tranche = holding.tranche
    if tranche.phase not in _OPEN_PHASES:
        return Refusal(Reason.MARKET_HALTED if tranche.phase == Phase.HALTED else Reason.MARKET_CLOSED)
    reason = holding.eligibility.refusal(now_ns)
    if reason:
        return Refusal(reason)
    terms_id = tranche.instrument.terms.terms_id
    if command.terms_id != terms_id:
        return Refusal(Reason.WRONG_TERMS, terms_id, command.terms_id)
    return None


def _form_refusal(holding: Holding, command: OrderPlace) -> Refusal | None:
    if command.side not in _SIDES:
        return Refusal(Reason.UNKNOWN_SIDE)
    if command.order_type != _LIMIT:
        return Refusal(Reason.UNKNOWN_ORDER_TYPE)
    if command.time_in_force not in _TIMES_IN_FORCE:
        return Refusal(Reason.UNKNOWN_TIME_IN_FORCE)
    if command.time_in_force == _IOC and holding.tranche.phase == Phase.CALL:
        return Refusal(Reason.NOT_IN_CALL)
    unused = (
        command.protection_price_ticks
        or command.peak_lots
        or command.minimum_lots
        or command.expiry_ns
        or command.rfq_id
        or command.protection_group
        or command.self_trade_mode
    )
    if unused or command.flags & ~_ALL_FLAGS:
        return Refusal(Reason.UNSUPPORTED_FIELD)
    return None


def _resting_refusal(command: OrderPlace) -> Refusal | None:
    """Only a standing order may rest: the contract settles all fills of a once-order in one batch, so those
    matched after it could never settle."""
    if command.flags & OrderFlag.STANDING or command.time_in_force == _IOC:
        return None
    return Refusal(Reason.ONCE_MUST_BE_IMMEDIATE, _IOC, command.time_in_force)


def _same_form_refusal(order: OrderState, command: OrderPlace) -> Refusal | None:
    """What rests stays good till cancelled; only a standing order's signature has later versions."""
    if command.time_in_force != order.time_in_force:
        return Refusal(Reason.UNKNOWN_TIME_IN_FORCE, order.time_in_force, command.time_in_force)
    if command.flags != order.flags or not command.flags & OrderFlag.STANDING:
        return Refusal(Reason.UNSUPPORTED_FIELD, OrderFlag.STANDING, command.flags)
    return None


def _range_refusal(instrument: Instrument, command: OrderPlace) -> Refusal | None:
    price, lots = command.price_ticks, command.quantity_lots
    if price < instrument.price_min_ticks:
        return Refusal(Reason.PRICE_OUT_OF_RANGE, instrument.price_min_ticks, price)
    if price > instrument.price_max_ticks:
        return Refusal(Reason.PRICE_OUT_OF_RANGE, instrument.price_max_ticks, price)
    if not 0 < lots <= instrument.quantity_max_lots:
        return Refusal(Reason.QUANTITY_OUT_OF_RANGE, instrument.quantity_max_lots, lots)
    return None


def _signature_refusal(command: OrderPlace, now_ns: int) -> Refusal | None:
    if command.valid_until_ns <= now_ns:
        return Refusal(Reason.SIGNATURE_EXPIRED, now_ns, command.valid_until_ns)
    tranche = command.nonce >> NONCE_TRANCHE_SHIFT
    if tranche != command.header.tranche:
        return Refusal(Reason.NONCE_OF_ANOTHER_TRANCHE, command.header.tranche, tranche)
    return None


def _new_key_refusal(holding: Holding, command: OrderPlace) -> Refusal | None:
    if command.nonce <= holding.last_nonce:
        return Refusal(Reason.NONCE_NOT_ABOVE_LAST, holding.last_nonce, command.nonce)
    if command.revision != 1:
        return Refusal(Reason.REVISION_NOT_NEXT, 1, command.revision)
    return None


def _next_revision_refusal(order: OrderState, command: OrderPlace) -> Refusal | None:
    if command.nonce != order.nonce:
        return Refusal(Reason.NONCE_NOT_ABOVE_LAST, order.nonce, command.nonce)
    if command.revision != order.revision + 1:
        return Refusal(Reason.REVISION_NOT_NEXT, order.revision + 1, command.revision)
    if command.side != order.side:
        return Refusal(Reason.SIDE_CHANGED, order.side, command.side)
    if command.quantity_lots <= order.cum_lots:
        return Refusal(Reason.QUANTITY_NOT_ABOVE_FILLED, order.cum_lots, command.quantity_lots)
    return None


def _limits_refusal(
    instrument: Instrument, command: OrderPlace, leaves_lots: int, fees_minor: int
) -> Refusal | None:
    """A buy's cash limit covers the worst cost of a lot, a sell's stays within the least proceeds: the
    contract enforces both, so an order outside them could match and never settle."""
    worst = worst_cost_per_lot_minor(command.price_ticks, instrument.terms)
    least = least_proceeds_per_lot_minor(command.price_ticks, instrument.terms)
    limit = command.cash_limit_minor
    if command.side == _BUY and limit < worst:
        return Refusal(Reason.CASH_LIMIT_BELOW_COST, limit, worst)
    if command.side != _BUY and limit > least:
        return Refusal(Reason.CASH_LIMIT_BELOW_COST, limit, least)
    fees = fees_minor + leaves_lots * instrument.worst_fee_per_lot_minor(worst)
    if command.fee_limit_minor < fees:
        return Refusal(Reason.FEE_LIMIT_BELOW_FEE, command.fee_limit_minor, fees)
    return None
