"""Participants' commands: place, cancel and replace orders.

Every one is answered by an execution report or a refusal; one whose client order id was accepted before is
answered by the order it named, as it is now, and changes nothing.
"""

from __future__ import annotations

from engine.event_writer import NO_CLIENT_ID
from engine.holding import Holding
from engine.matching import is_rejected, take_book_events
from engine.order_checks import lot_earmark_minor, new_order_refusal, replacement_refusal
from engine.order_closing import funds_of
from engine.order_endings import cancel_resting
from engine.order_state import OrderState, account_of, order_from_bytes
from engine.reasons import Reason
from engine.refusal import Refusal
from engine.shard_state import ShardState
from ext.book_records import RejectReason, pack_add, pack_replace
from ext.records import ExecType, Header, Kind, OrderCancel, OrderPlace, OrderStatus, Side


def place(state: ShardState, command: OrderPlace) -> Refusal | None:
    """Take a new order: earmark its worst cost or its lots, and match it."""
    holding = _acting(state, command)
    if not isinstance(holding, Holding):
        return holding
    refusal = _owner_refusal(holding, command) or new_order_refusal(holding, command, state.now_ns)
    if refusal:
        return refusal
    order = _new_order(state, holding, command)
    refusal = _funds_refusal(state, order, order.held())
    if refusal:
        return refusal
    book_command = pack_add(
        order.order_id, order.side, order.price_ticks, order.leaves_lots, order.time_in_force
    )
    book_events = holding.tranche.book.apply(book_command)
    if is_rejected(book_events, RejectReason.QUANTITY_OVERFLOW):
        return Refusal(Reason.OVERFLOW)
    holding.last_nonce = order.nonce
    holding.open_orders[order.order_id] = state.open_orders[order.order_id] = order
    _take_revision(state, order, command, order.held())
    state.events.report(order, ExecType.NEW, command.client_order_id)
    take_book_events(state, holding.tranche, book_events)
    return None


def replace(state: ShardState, command: OrderPlace) -> Refusal | None:
    """Replace an open order under the next revision of its signature; only the difference is earmarked."""
    holding = _acting(state, command)
    if not isinstance(holding, Holding):
        return holding
    order = _owner_refusal(holding, command) or _named(state, holding, command)
    if isinstance(order, Refusal):
        return order
    refusal = replacement_refusal(holding, order, command, state.now_ns)
    if refusal:
        return refusal
    leaves_lots = command.quantity_lots - order.cum_lots
    lot_earmark = lot_earmark_minor(holding.tranche.instrument, command)
    more = (leaves_lots * lot_earmark if order.side == Side.BUY else leaves_lots) - order.held()
    refusal = _funds_refusal(state, order, more)
    if refusal:
        return refusal
    book_events = holding.tranche.book.apply(
        pack_replace(order.order_id, command.price_ticks, command.quantity_lots)
    )
    if is_rejected(book_events, RejectReason.QUANTITY_OVERFLOW):
        return Refusal(Reason.OVERFLOW)
    order.price_ticks, order.quantity_lots = command.price_ticks, command.quantity_lots
    order.leaves_lots, order.lot_earmark_minor = leaves_lots, lot_earmark
    _take_revision(state, order, command, more)
    state.events.report(order, ExecType.REPLACED, command.client_order_id)
    take_book_events(state, holding.tranche, book_events)
    return None


def cancel(state: ShardState, command: OrderCancel) -> Refusal | None:
    """Cancel an open order, in any phase."""
    holding = _acting(state, command)
    if not isinstance(holding, Holding):
        return holding
    order = _named(state, holding, command)
    if isinstance(order, Refusal):
        return order
    _remember(order, command.client_order_id)
    cancel_resting(state, order, Reason.CANCELLED_BY_REQUEST, command.client_order_id)
    return None


def participant(state: ShardState, head: Header) -> Holding | None:
    """Who a participant's command is from and about; None when account or tranche is unknown."""
    account, tranche = state.accounts.get(head.account), state.tranches.get(head.tranche)
    return tranche.holding(account) if account and tranche else None


def _acting(state: ShardState, command: OrderPlace | OrderCancel) -> Holding | Refusal | None:
    """The holding that a command acts for; a refusal; or None when it came before and is answered."""
    head = command.header
    if command.client_order_id[0] == 0:
        return Refusal(Reason.MALFORMED_RECORD)
    account = state.accounts.get(head.account)
    if account is None:
        return Refusal(Reason.UNKNOWN_ACCOUNT)
    if head.session_epoch < account.session_epoch:
        return Refusal(Reason.SESSION_SUPERSEDED, account.session_epoch, head.session_epoch)
    tranche = state.tranches.get(head.tranche)
    if tranche is None:
        return Refusal(Reason.UNKNOWN_TRANCHE)
    holding = tranche.holding(account)
    order_id = holding.client_orders.get(command.client_order_id)
    if order_id is None:
        return holding
    order = _order_as_it_is(state, holding, order_id)
    reason = Reason.DUPLICATE_CLIENT_ORDER_ID
    state.events.report(order, ExecType.DUPLICATE, command.client_order_id, reason)
    return None


def _order_as_it_is(state: ShardState, holding: Holding, order_id: int) -> OrderState:
    order = state.open_orders.get(order_id)
    if order is not None:
        return order
    record = holding.tranche.closed_orders.get(order_id)
    assert record is not None
    return order_from_bytes(record, holding)


def _owner_refusal(holding: Holding, command: OrderPlace) -> Refusal | None:
    owner = holding.account.owner
    return Refusal(Reason.WRONG_OWNER, owner, command.owner) if command.owner not in (0, owner) else None


def _named(state: ShardState, holding: Holding, command: OrderPlace | OrderCancel) -> OrderState | Refusal:
    """The open order that a command names by order id or else by client order id."""
    order_id = command.order_id
    if not order_id and command.original_client_order_id != NO_CLIENT_ID:
        order_id = holding.client_orders.get(command.original_client_order_id, 0)
    order = state.open_orders.get(order_id)
    if order is not None and order.holding is holding:
        return order
    closed = holding.tranche.closed_orders.get(order_id)
    own = closed is not None and account_of(closed) == holding.account.account
    return Refusal(Reason.ORDER_CLOSED if own else Reason.UNKNOWN_ORDER)


def _new_order(state: ShardState, holding: Holding, command: OrderPlace) -> OrderState:
    order = OrderState()
    order.order_id = state.unique_id(state.last_command)
    order.holding = holding
    order.client_ids = []
    order.nonce = command.nonce
    order.side = command.side
    order.time_in_force = command.time_in_force
    order.flags = command.flags
    order.terms_id = command.terms_id
    order.price_ticks = command.price_ticks
    order.quantity_lots = order.leaves_lots = command.quantity_lots
    order.cum_lots = 0
    order.fees_minor = 0
    order.status = OrderStatus.NEW
    order.deadline_ns = 0
    order.lot_earmark_minor = lot_earmark_minor(holding.tranche.instrument, command)
    return order


def _take_revision(state: ShardState, order: OrderState, command: OrderPlace, more: int) -> None:
    """Put an accepted revision in force: its limits and deadline, its client order id, ``more`` earmarked."""
    order.revision = command.revision
    order.cash_limit_minor = command.cash_limit_minor
    order.fee_limit_minor = command.fee_limit_minor
    order.valid_until_ns = command.valid_until_ns
    _remember(order, command.client_order_id)
    if more:
        funds = funds_of(order)
        funds.earmark(more)
        state.events.touch(funds)
    set_deadline(state, order)


def set_deadline(state: ShardState, order: OrderState) -> None:
    """Note when the order ends by itself, as its signature and the account's eligibility now say."""
    deadline_ns = min(order.valid_until_ns, order.holding.eligibility.end_ns())
    if deadline_ns != order.deadline_ns:
        order.deadline_ns = deadline_ns
        state.deadlines.add(deadline_ns, order.order_id)


def _remember(order: OrderState, client_order_id: bytes) -> None:
    order.client_ids.append(client_order_id)
    order.holding.client_orders[client_order_id] = order.order_id


def _funds_refusal(state: ShardState, order: OrderState, more: int) -> Refusal | None:
    """Why ``more`` cannot be earmarked; wanted cash that lies elsewhere is asked for."""
    funds = funds_of(order)
    if more <= funds.free:
        return None
    if order.side != Side.BUY:
        return Refusal(Reason.INSUFFICIENT_TOKENS, funds.free, more)
    purse = order.holding.purse
    if more > purse.free + purse.elsewhere_minor:
        return Refusal(Reason.INSUFFICIENT_CASH, purse.free, more)
    return Refusal(Reason.FUNDS_ELSEWHERE, purse.free, more)


def want_cash(state: ShardState, holding: Holding, refusal: Refusal) -> None:
    """Ask the keeper for what a refused order was short of."""
    short = refusal.actual - refusal.limit
    state.events.cash(Kind.CASH_WANTED, holding.purse, 0, short)
