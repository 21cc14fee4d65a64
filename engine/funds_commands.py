"""Commands that bring funds in, take them out, or decide a fill: the cash keeper's, the watcher's,
settlement's.

Every one is answered by APPLIED or a refusal; a recall that applies says with CASH_RETURNED what it gave.
"""

from __future__ import annotations

from engine.holding import Holding
from engine.ledger import SUM_LIMIT
from engine.order_endings import cancel_resting
from engine.reasons import Reason
from engine.refusal import Refusal
from engine.shard_state import ShardState
from engine.tranche_state import TrancheState, UnsettledFill
from ext.records import CashMove, Kind, SettlementOutcome, Side, TokensAdjust


def allot_cash(state: ShardState, command: CashMove) -> Refusal | None:
    """Take the keeper's cash in, free."""
    refusal = _cash_refusal(state, command)
    totals = state.currencies.get(command.currency)
    held = totals.held_minor if totals else 0
    if not refusal and held + command.amount_minor >= SUM_LIMIT:
        refusal = Refusal(Reason.OVERFLOW, SUM_LIMIT - 1, held + command.amount_minor)
    if refusal:
        return refusal
    purse = state.accounts[command.header.account].purse(command.currency)
    purse.receive(command.amount_minor)
    purse.elsewhere_minor = command.elsewhere_minor
    state.totals(command.currency).held_minor += command.amount_minor
    state.events.applied(command.header, command.transfer)
    state.events.touch(purse)
    return None


def recall_cash(state: ShardState, command: CashMove) -> Refusal | None:
    """Give back what is asked for as far as it is free, possibly nothing."""
    refusal = _cash_refusal(state, command)
    if refusal:
        return refusal
    purse = state.accounts[command.header.account].purse(command.currency)
    returned = min(command.amount_minor, purse.free)
    purse.give(returned)
    purse.elsewhere_minor = command.elsewhere_minor + returned
    state.totals(command.currency).held_minor -= returned
    state.events.applied(command.header, command.transfer)
    state.events.cash(Kind.CASH_RETURNED, purse, command.transfer, returned)
    state.events.touch(purse)
    return None


def _cash_refusal(state: ShardState, command: CashMove) -> Refusal | None:
    if command.header.account not in state.accounts:
        return Refusal(Reason.UNKNOWN_ACCOUNT)
    if command.currency == 0:
        return Refusal(Reason.MALFORMED_RECORD)
    for amount in (command.amount_minor, command.elsewhere_minor):
        if not 0 <= amount < SUM_LIMIT:
            return Refusal(Reason.BAD_AMOUNT, SUM_LIMIT - 1, amount)
    return None


def adjust_tokens(state: ShardState, command: TokensAdjust) -> Refusal | None:
    """Follow a change of locked tokens on chain, which has happened whatever the shard thinks of it.

    Lots that go are taken from the free ones, then from sell orders, the newest cancelled first; what is then
    still missing is owed, and whatever becomes free pays it. Lots that a batch of ours brings unlocked, told
    before the shard knows their fill as final, are owed at once: the sell orders are of other lots.
    """
    account = state.accounts.get(command.header.account)
    if account is None:
        return Refusal(Reason.UNKNOWN_ACCOUNT)
    tranche = state.tranches.get(command.header.tranche)
    if tranche is None:
        return Refusal(Reason.UNKNOWN_TRANCHE)
    holding, delta = tranche.holding(account), command.delta_lots
    fill = tranche.fills.get(command.of_fill)
    arriving = fill is not None and fill.buyer is holding
    refusal = _delta_refusal(tranche, holding, delta, 0 if arriving else holding.earmarked)
    if refusal:
        return refusal
    state.events.applied(command.header)
    if delta > 0:
        tranche.lots += delta
        holding.receive(delta)
    else:
        if not arriving:
            _free_lots(state, holding, -delta)
        holding.lose(-delta)
    state.events.touch(holding)
    return None


def _delta_refusal(
    tranche: TrancheState, holding: Holding, delta: int, cancellable_lots: int
) -> Refusal | None:
    if delta == 0 or not -SUM_LIMIT < delta < SUM_LIMIT:
        return Refusal(Reason.BAD_AMOUNT, SUM_LIMIT - 1, delta)
    lots = tranche.lots + delta - min(holding.owed, delta) if delta > 0 else 0
    owed_lots = tranche.owed_lots + max(-delta - holding.free - cancellable_lots, 0)
    for sum_lots in (lots, owed_lots):
        if sum_lots >= SUM_LIMIT:
            return Refusal(Reason.OVERFLOW, SUM_LIMIT - 1, sum_lots)
    return None


def _free_lots(state: ShardState, holding: Holding, lots: int) -> None:
    for order in sorted(holding.open_orders.values(), key=lambda order: -order.order_id):
        if holding.free >= lots:
            return
        if order.side == Side.SELL:
            cancel_resting(state, order, Reason.CANCELLED_TOKENS_GONE)


def finish_fill(state: ShardState, command: SettlementOutcome) -> Refusal | None:
    """A fill is final on chain: lots to the buyer, cash less fees to the seller, both free."""
    return _decide(state, command, failed=False)


def fail_fill(state: ShardState, command: SettlementOutcome) -> Refusal | None:
    """A fill will never settle: lots back to the seller, cash with its fee back to the buyer, both free."""
    return _decide(state, command, failed=True)


def _decide(state: ShardState, command: SettlementOutcome, *, failed: bool) -> Refusal | None:
    tranche = state.tranches.get(command.header.tranche)
    if tranche is None:
        return Refusal(Reason.UNKNOWN_TRANCHE)
    number = command.fill_number
    fill = tranche.fills.pop(number, None)
    if fill is None:
        decided = 0 < number <= tranche.fill_number
        return Refusal(Reason.FILL_ALREADY_DECIDED if decided else Reason.UNKNOWN_FILL)
    if failed:
        fill.seller.take_back(fill.quantity_lots)
        fill.buyer.purse.take_back(fill.amount_minor + fill.buyer_fee_minor)
    else:
        _deliver(state, tranche, fill)
    state.events.applied(command.header, number)
    for holding, side in ((fill.buyer, Side.BUY), (fill.seller, Side.SELL)):
        state.events.settlement_updated(
            holding, number, fill, side, batch=command.batch, reason=command.reason, failed=failed
        )
        state.events.touch(holding)
        state.events.touch(holding.purse)
    return None


def _deliver(state: ShardState, tranche: TrancheState, fill: UnsettledFill) -> None:
    """Delivery and payment of one fill, fees to the venue."""
    totals = state.totals(tranche.instrument.currency)
    fill.seller.deliver(fill.quantity_lots)
    fill.buyer.receive(fill.quantity_lots)
    fill.buyer.purse.deliver(fill.amount_minor + fill.buyer_fee_minor)
    fill.seller.purse.receive(fill.amount_minor - fill.seller_fee_minor)
    totals.fees_minor += fill.buyer_fee_minor + fill.seller_fee_minor
