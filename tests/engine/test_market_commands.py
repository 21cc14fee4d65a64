"""What venue and registry do to a shard, and what it refuses them."""

import pytest

from engine.command import (
    account_open,
    clock,
    eligibility_set,
    phase_set,
    session_open,
    terms_set,
    tranche_list,
)
from engine.money import Terms
from engine.reasons import Reason
from ext.records import (
    Applied,
    BookLevel,
    ExecType,
    ExecutionReport,
    Kind,
    Phase,
    PhaseChanged,
    Refused,
    Side,
    client_text,
)

TERMS = Terms(1, 10**9, 10**9, 0, 20261122)
NEXT_TERMS = Terms(2, 10**9, 9 * 10**8, 5 * 10**9, 20261222)


@pytest.fixture
def open_market(market):
    """Ann has cash, Bob has lots; continuous trading."""
    market.open_tranche()
    market.investor("ann", cash=10_000)
    market.investor("bob", lots=100)
    return market


def answer(market, command):
    return market.answer_of(market.send(command))


def reason(market, command):
    refused = answer(market, command)
    assert isinstance(refused, Refused)
    assert refused.stream_sequence == 0
    return refused.reason


def test_an_applied_command_says_so_and_which_it_was(market):
    applied = answer(market, account_open(11, owner=4))
    assert isinstance(applied, Applied)
    assert (applied.header.account, applied.command_kind) == (11, Kind.ACCOUNT_OPEN)


def test_an_account_opens_once(market):
    market.send(account_open(11, owner=4))
    assert reason(market, account_open(11, owner=4)) == Reason.ALREADY_EXISTS


def test_an_account_needs_a_number_and_an_owner(market):
    assert reason(market, account_open(0, owner=4)) == Reason.MALFORMED_RECORD
    assert reason(market, account_open(4, owner=0)) == Reason.MALFORMED_RECORD


def test_a_session_epoch_only_rises(market):
    market.send(account_open(11, owner=4))
    assert reason(market, session_open(12, 1)) == Reason.UNKNOWN_ACCOUNT
    assert answer(market, session_open(11, 5)).command_kind == Kind.SESSION_OPEN
    assert answer(market, session_open(11, 5)).command_kind == Kind.SESSION_OPEN
    assert reason(market, session_open(11, 4)) == Reason.SESSION_SUPERSEDED


def test_a_tranche_is_listed_once_and_closed(market):
    assert market.open_tranche(phase=None).command_kind == Kind.TRANCHE_LIST
    assert market.core.phase(1) == Phase.CLOSED
    assert market.open_tranche(phase=None).reason == Reason.ALREADY_EXISTS


def test_a_tranche_without_its_document_is_not_admitted(market):
    command = tranche_list(1, TERMS, document=b"", price_min_ticks=1, price_max_ticks=9, quantity_max_lots=9)
    assert reason(market, command) == Reason.NOT_ADMITTED


def test_new_terms_cancel_the_orders_under_the_old_ones_oldest_first(open_market):
    open_market.buy("ann", 1, at=100, id="one")
    open_market.sell("bob", 1, at=105, id="two")
    open_market.buy("ann", 1, at=99, id="three")
    open_market.phase(Phase.HALTED)
    assert answer(open_market, terms_set(1, NEXT_TERMS)).command_kind == Kind.TERMS_SET
    ended = open_market.of(ExecutionReport)
    assert [client_text(report.client_order_id) for report in ended] == ["one", "two", "three"]
    assert {(report.exec_type, report.reason) for report in ended} == {
        (ExecType.CANCELED, Reason.CANCELLED_TERMS_CHANGED)
    }
    assert len(open_market.of(BookLevel)) == 3
    assert open_market.cash("ann") == (10_000, 0, 0)
    assert open_market.lots("bob") == (100, 0, 0)


def test_a_fill_costs_what_the_terms_in_force_say(open_market):
    open_market.phase(Phase.HALTED)
    open_market.send(terms_set(1, NEXT_TERMS))
    open_market.phase(Phase.CONTINUOUS)
    assert open_market.buy("ann", 10, at=101).reason == Reason.WRONG_TERMS
    open_market.sell("bob", 10, at=101, terms_id=2)
    open_market.buy("ann", 10, at=101, terms_id=2)
    assert open_market.cash("ann") == (10_000 - 959, 0, 959)


def test_terms_never_change_while_the_book_trades_nor_go_back(open_market):
    assert reason(open_market, terms_set(1, NEXT_TERMS)) == Reason.BAD_TERMS
    open_market.phase(Phase.HALTED)
    assert reason(open_market, terms_set(1, TERMS)) == Reason.BAD_TERMS
    open_market.send(terms_set(1, NEXT_TERMS))
    assert reason(open_market, terms_set(1, NEXT_TERMS)) == Reason.BAD_TERMS
    assert reason(open_market, terms_set(9, NEXT_TERMS)) == Reason.UNKNOWN_TRANCHE


def test_terms_that_the_chain_cannot_hold_or_that_overflow_are_refused(open_market):
    open_market.phase(Phase.HALTED)
    bad = terms_set(1, NEXT_TERMS)
    assert reason(open_market, bad._replace(tick_value_e9=0)) == Reason.BAD_TERMS
    assert reason(open_market, bad._replace(terms_id=2**16)) == Reason.BAD_TERMS
    open_market.open_tranche(2, phase=None, quantity_max_lots=10**12)
    large = terms_set(2, NEXT_TERMS)._replace(tick_value_e9=2**62)
    assert reason(open_market, large) == Reason.OVERFLOW


def test_a_phase_that_is_none_or_the_same_is_refused(open_market):
    assert reason(open_market, phase_set(1, Phase.CONTINUOUS)) == Reason.BAD_PHASE_CHANGE
    assert reason(open_market, phase_set(1, 4)) == Reason.BAD_PHASE_CHANGE
    assert reason(open_market, phase_set(9, Phase.CALL)) == Reason.UNKNOWN_TRANCHE


def test_every_phase_change_is_published(open_market):
    for phase, previous in ((Phase.HALTED, 2), (Phase.CALL, 3), (Phase.CLOSED, 1), (Phase.CONTINUOUS, 0)):
        open_market.phase(phase)
        (changed,) = open_market.of(PhaseChanged)
        assert (changed.phase, changed.previous, changed.quantity_lots) == (phase, previous, 0)


def test_a_call_that_was_halted_crossed_reopens_by_a_call_only(open_market):
    open_market.phase(Phase.CALL)
    open_market.buy("ann", 5, at=104)
    open_market.sell("bob", 5, at=96)
    open_market.phase(Phase.HALTED)
    assert open_market.phase(Phase.CONTINUOUS).reason == Reason.BAD_PHASE_CHANGE
    open_market.phase(Phase.CALL)
    open_market.phase(Phase.CONTINUOUS)
    assert open_market.fills() == [(5, 96)]


def test_eligibility_taken_away_cancels_that_accounts_orders_in_that_tranche(open_market):
    open_market.open_tranche(2)
    open_market.investor("ann", tranche=2)
    open_market.buy("ann", 1, at=100, id="gone")
    open_market.buy("ann", 1, at=100, id="stays", tranche=2)
    open_market.sell("bob", 1, at=101, id="also stays")
    open_market.send(eligibility_set(open_market.accounts["ann"], 1, eligible=False, country=344))
    (ended,) = open_market.of(ExecutionReport)
    assert (client_text(ended.client_order_id), ended.reason) == ("gone", Reason.CANCELLED_NOT_ELIGIBLE)
    assert open_market.book(1) == [(Side.SELL, 101, 1)]
    assert open_market.book(2) == [(Side.BUY, 100, 1)]
    assert open_market.cash("ann") == (9_900, 100, 0)


def test_a_person_who_moves_to_the_mainland_loses_open_orders(open_market):
    open_market.buy("ann", 1, at=100)
    open_market.send(eligibility_set(open_market.accounts["ann"], 1, eligible=True, country=156))
    assert [report.reason for report in open_market.of(ExecutionReport)] == [Reason.CANCELLED_NOT_ELIGIBLE]


def test_eligibility_that_runs_out_cancels_resting_orders_in_time(open_market):
    ann = open_market.accounts["ann"]
    open_market.buy("ann", 1, at=100, id="b")
    open_market.send(eligibility_set(ann, 1, eligible=True, country=344, until_ns=5_000))
    open_market.now_ns = 4_999
    open_market.sell("bob", 1, at=110)
    assert len(open_market.of(ExecutionReport)) == 1
    open_market.now_ns = 5_000
    open_market.send(clock())
    (ended,) = open_market.of(ExecutionReport)
    assert (ended.exec_type, ended.reason) == (ExecType.CANCELED, Reason.CANCELLED_NOT_ELIGIBLE)


def test_eligibility_that_is_prolonged_keeps_orders_alive(open_market):
    ann = open_market.accounts["ann"]
    open_market.send(eligibility_set(ann, 1, eligible=True, country=344, until_ns=5_000))
    open_market.buy("ann", 1, at=100)
    open_market.send(eligibility_set(ann, 1, eligible=True, country=344, until_ns=9_000))
    open_market.now_ns = 6_000
    open_market.send(clock())
    assert open_market.book() == [(Side.BUY, 100, 1)]


def test_eligibility_of_the_unknown_is_refused(open_market):
    ann = open_market.accounts["ann"]
    assert reason(open_market, eligibility_set(99, 1, eligible=True)) == Reason.UNKNOWN_ACCOUNT
    assert reason(open_market, eligibility_set(ann, 9, eligible=True)) == Reason.UNKNOWN_TRANCHE
    command = eligibility_set(ann, 1, eligible=True)
    assert reason(open_market, command._replace(eligible=2)) == Reason.MALFORMED_RECORD
    assert reason(open_market, command._replace(until_ns=-1)) == Reason.MALFORMED_RECORD
