"""Commands of the venue and the registry: accounts, sessions, tranches, terms, phases, eligibility, time.

Every one is answered by APPLIED or a refusal.
"""

from __future__ import annotations

from typing import Final

from engine.account_state import AccountState
from engine.eligibility import Eligibility
from engine.instrument import Instrument, listed, terms_of
from engine.matching import is_rejected, take_book_events
from engine.order_endings import cancel_all
from engine.order_entry import set_deadline
from engine.reasons import Reason
from engine.refusal import Refusal
from engine.shard_state import ShardState
from engine.tranche_state import TrancheState
from ext.book_records import RejectReason, pack_set_phase, pack_uncross
from ext.records import (
    AccountOpen,
    Clock,
    EligibilitySet,
    Phase,
    PhaseSet,
    SessionOpen,
    TermsSet,
    TrancheList,
)

_PHASES: Final = frozenset(map(int, Phase))


def open_account(state: ShardState, command: AccountOpen) -> Refusal | None:
    """Make an account known."""
    account = command.header.account
    if account == 0 or command.owner == 0:
        return Refusal(Reason.MALFORMED_RECORD)
    if account in state.accounts:
        return Refusal(Reason.ALREADY_EXISTS)
    state.accounts[account] = AccountState(account, command.owner)
    state.events.applied(command.header)
    return None


def open_session(state: ShardState, command: SessionOpen) -> Refusal | None:
    """Raise an account's session epoch; opening the same one again changes nothing."""
    account = state.accounts.get(command.header.account)
    if account is None:
        return Refusal(Reason.UNKNOWN_ACCOUNT)
    if command.header.session_epoch < account.session_epoch:
        return Refusal(Reason.SESSION_SUPERSEDED, account.session_epoch, command.header.session_epoch)
    account.session_epoch = command.header.session_epoch
    state.events.applied(command.header)
    return None


def list_tranche(state: ShardState, command: TrancheList) -> Refusal | None:
    """List a tranche, closed."""
    if command.header.tranche in state.tranches:
        return Refusal(Reason.ALREADY_EXISTS)
    instrument = listed(command)
    if not isinstance(instrument, Instrument):
        return instrument
    state.tranches[instrument.tranche] = TrancheState(instrument, state.new_book())
    state.events.applied(command.header)
    return None


def set_terms(state: ShardState, command: TermsSet) -> Refusal | None:
    """Put new terms in force, outside continuous trading; orders under the old ones are cancelled, oldest
    first."""
    tranche = state.tranches.get(command.header.tranche)
    if tranche is None:
        return Refusal(Reason.UNKNOWN_TRANCHE)
    terms, last = terms_of(command), tranche.instrument.terms.terms_id
    if terms is None or tranche.phase == Phase.CONTINUOUS or terms.terms_id <= last:
        return Refusal(Reason.BAD_TERMS, last + 1, command.terms_id)
    instrument = tranche.instrument.with_terms(terms)
    if instrument.overflows():
        return Refusal(Reason.OVERFLOW)
    state.events.applied(command.header)
    orders = [order for order in state.open_orders.values() if order.holding.tranche is tranche]
    cancel_all(state, sorted(orders, key=lambda order: order.order_id), Reason.CANCELLED_TERMS_CHANGED)
    tranche.instrument = instrument
    return None


def set_phase(state: ShardState, command: PhaseSet) -> Refusal | None:
    """Change a tranche's phase; a call that goes on continuous uncrosses first.

    A book that would stay crossed (a call that was halted) cannot go continuous but through another call.
    """
    tranche = state.tranches.get(command.header.tranche)
    if tranche is None:
        return Refusal(Reason.UNKNOWN_TRANCHE)
    previous = tranche.phase
    if command.phase not in _PHASES or command.phase == previous:
        return Refusal(Reason.BAD_PHASE_CHANGE, previous, command.phase)
    book_events = tranche.book.apply(_phase_change(tranche, command.phase))
    if is_rejected(book_events, RejectReason.BOOK_CROSSED):
        return Refusal(Reason.BAD_PHASE_CHANGE, previous, command.phase)
    tranche.phase = command.phase
    state.events.applied(command.header)
    uncrossed = take_book_events(state, tranche, book_events)
    state.events.phase_changed(tranche, previous, uncrossed)
    return None


def _phase_change(tranche: TrancheState, phase: int) -> bytes:
    """The book commands of a phase change; a call's reference is the last price, at first the listing's."""
    reference = tranche.last_price_ticks or tranche.instrument.reference_price_ticks
    change = pack_set_phase(phase, reference)
    uncrosses = tranche.phase == Phase.CALL and phase == Phase.CONTINUOUS
    return pack_uncross() + change if uncrosses else change


def set_eligibility(state: ShardState, command: EligibilitySet) -> Refusal | None:
    """Take what the registry says of an account; one that may no longer hold the tranche loses its open
    orders."""
    account = state.accounts.get(command.header.account)
    if account is None:
        return Refusal(Reason.UNKNOWN_ACCOUNT)
    tranche = state.tranches.get(command.header.tranche)
    if tranche is None:
        return Refusal(Reason.UNKNOWN_TRANCHE)
    if command.eligible not in (0, 1) or command.until_ns < 0:
        return Refusal(Reason.MALFORMED_RECORD)
    holding = tranche.holding(account)
    holding.eligibility = Eligibility(bool(command.eligible), command.country, command.until_ns)
    state.events.applied(command.header)
    if holding.eligibility.refusal(state.now_ns):
        cancel_all(state, holding.open_orders.values(), Reason.CANCELLED_NOT_ELIGIBLE)
    for order in holding.open_orders.values():
        set_deadline(state, order)
    return None


def tick(state: ShardState, command: Clock) -> None:
    """Let time pass; what was due has fired before."""
    state.events.applied(command.header)
