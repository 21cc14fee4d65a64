"""How cash and lots come in and go out, and how fills are decided."""

import pytest

from engine.command import (
    cash_allot,
    cash_recall,
    settlement_failed,
    settlement_final,
    tokens_adjust,
)
from engine.ledger import SUM_LIMIT
from engine.reasons import Reason
from ext.records import (
    Applied,
    Balance,
    CashEvent,
    ExecutionReport,
    Kind,
    Phase,
    Refused,
    SettlementUpdated,
    Trade,
    client_text,
)


@pytest.fixture
def open_market(market):
    """Ann has cash, Bob has lots; continuous trading."""
    market.open_tranche()
    market.investor("ann", cash=10_000)
    market.investor("bob", lots=100)
    return market


def reason(market, command):
    refused = market.answer_of(market.send(command))
    assert isinstance(refused, Refused)
    return refused.reason


def recall(market, amount, transfer=8, elsewhere=0):
    """Recall Ann's cash; return the amount that came back."""
    command = cash_recall(market.accounts["ann"], amount, transfer=transfer, elsewhere_minor=elsewhere)
    applied = market.answer_of(market.send(command))
    assert (type(applied), applied.reference) == (Applied, transfer)
    (returned,) = market.of(CashEvent)
    assert (returned.header.kind, returned.transfer) == (Kind.CASH_RETURNED, transfer)
    return returned.amount_minor


def test_allotted_cash_is_free(open_market):
    ann = open_market.accounts["ann"]
    applied = open_market.answer_of(open_market.send(cash_allot(ann, 500, transfer=41, elsewhere_minor=7)))
    assert applied.reference == 41
    (balance,) = open_market.of(Balance)
    assert (balance.free, balance.elsewhere, balance.currency) == (10_500, 7, 1)
    assert balance.cause == Kind.CASH_ALLOT


def test_a_recall_gives_back_what_is_asked_for(open_market):
    assert recall(open_market, 4_000) == 4_000
    assert open_market.cash("ann") == (6_000, 0, 0)


def test_a_recall_leaves_earmarked_cash_alone(open_market):
    open_market.buy("ann", 90, at=100)
    assert recall(open_market, 4_000, elsewhere=50) == 1_000
    assert open_market.cash("ann") == (0, 9_000, 0)
    assert open_market.of(Balance)[0].elsewhere == 1_050


def test_a_recall_always_answers_even_with_nothing(open_market):
    open_market.buy("ann", 100, at=100)
    assert recall(open_market, 4_000) == 0


def test_cash_in_settlement_can_be_neither_recalled_nor_spent(open_market):
    open_market.sell("bob", 100, at=100)
    open_market.buy("ann", 100, at=100)
    assert recall(open_market, 1) == 0
    assert open_market.buy("ann", 1, at=1).reason == Reason.INSUFFICIENT_CASH


def test_bad_cash_moves_are_refused(open_market):
    ann = open_market.accounts["ann"]
    for move in (cash_allot, cash_recall):
        assert reason(open_market, move(99, 5, transfer=1)) == Reason.UNKNOWN_ACCOUNT
        assert reason(open_market, move(ann, -5, transfer=1)) == Reason.BAD_AMOUNT
        assert reason(open_market, move(ann, SUM_LIMIT, transfer=1)) == Reason.BAD_AMOUNT
        assert reason(open_market, move(ann, 5, transfer=1, elsewhere_minor=-1)) == Reason.BAD_AMOUNT
        assert reason(open_market, move(ann, 5, transfer=1, currency=0)) == Reason.MALFORMED_RECORD
    assert open_market.cash("ann") == (10_000, 0, 0)


def test_all_cash_of_a_shard_stays_below_its_bound(open_market):
    ann, bob = open_market.accounts["ann"], open_market.accounts["bob"]
    rest = SUM_LIMIT - 1 - 10_000
    assert reason(open_market, cash_allot(bob, rest + 1, transfer=1)) == Reason.OVERFLOW
    open_market.send(cash_allot(bob, rest, transfer=1))
    assert open_market.cash("bob") == (rest, 0, 0)
    assert reason(open_market, cash_allot(ann, 1, transfer=1)) == Reason.OVERFLOW
    assert open_market.answer_of(open_market.send(cash_allot(ann, 1, transfer=1, currency=2))).reference == 1


def test_lots_that_leave_are_taken_from_the_free_ones_first(open_market):
    open_market.sell("bob", 60, at=100)
    open_market.send(tokens_adjust(open_market.accounts["bob"], 1, -40))
    assert open_market.lots("bob") == (0, 60, 0)
    assert open_market.of(ExecutionReport) == []


def test_lots_that_leave_cancel_the_newest_sells_until_covered(open_market):
    open_market.sell("bob", 30, at=100, id="oldest")
    open_market.sell("bob", 30, at=90, id="middle")
    open_market.sell("bob", 30, at=110, id="newest")
    open_market.send(tokens_adjust(open_market.accounts["bob"], 1, -45))
    ended = open_market.of(ExecutionReport)
    assert [client_text(report.client_order_id) for report in ended] == ["newest", "middle"]
    assert {report.reason for report in ended} == {Reason.CANCELLED_TOKENS_GONE}
    assert open_market.lots("bob") == (25, 30, 0)


def gone(market, name, lots, of_fill=0):
    """Lots of an account are gone on chain, or arrived unlocked with a fill."""
    answer = market.answer_of(market.send(tokens_adjust(market.accounts[name], 1, -lots, of_fill=of_fill)))
    assert isinstance(answer, Applied)


def sold(market, lots, at=100):
    """Bob sells Ann lots."""
    market.sell("bob", lots, at=at)
    market.buy("ann", lots, at=at)
    assert market.fills() == [(lots, at)]


def test_lots_that_are_gone_while_in_settlement_are_owed(open_market):
    sold(open_market, 80)
    gone(open_market, "bob", 21)
    assert (open_market.lots("bob"), open_market.owed("bob")) == ((0, 0, 80), 1)


def test_what_a_failed_fill_gives_back_pays_what_is_owed_before_it_can_be_sold(open_market):
    sold(open_market, 80)
    gone(open_market, "bob", 60)
    open_market.send(settlement_failed(1, 1))
    assert (open_market.lots("bob"), open_market.owed("bob")) == ((40, 0, 0), 0)
    assert open_market.sell("bob", 41, at=100).reason == Reason.INSUFFICIENT_TOKENS


def test_a_debt_greater_than_what_comes_back_stays(open_market):
    sold(open_market, 80)
    gone(open_market, "bob", 100)
    gone(open_market, "bob", 50)
    open_market.send(settlement_failed(1, 1))
    assert (open_market.lots("bob"), open_market.owed("bob")) == ((0, 0, 0), 50)
    open_market.send(tokens_adjust(open_market.accounts["bob"], 1, 70))
    assert (open_market.lots("bob"), open_market.owed("bob")) == ((20, 0, 0), 0)


def test_a_debt_stays_when_the_fill_is_final_until_the_chain_gives_lots_back(open_market):
    sold(open_market, 80)
    gone(open_market, "bob", 100)
    open_market.send(settlement_final(1, 1))
    assert (open_market.lots("bob"), open_market.owed("bob")) == ((0, 0, 0), 80)
    open_market.send(tokens_adjust(open_market.accounts["bob"], 1, 80))
    assert (open_market.lots("bob"), open_market.owed("bob")) == ((0, 0, 0), 0)


@pytest.mark.parametrize("told_first", [True, False])
def test_lots_that_arrive_unlocked_are_never_for_sale_whichever_is_heard_first(open_market, told_first):
    sold(open_market, 10)
    if told_first:
        gone(open_market, "ann", 10, of_fill=1)
        assert (open_market.lots("ann"), open_market.owed("ann")) == ((0, 0, 0), 10)
        assert open_market.sell("ann", 1, at=100).reason == Reason.INSUFFICIENT_TOKENS
        open_market.send(settlement_final(1, 1))
    else:
        open_market.send(settlement_final(1, 1))
        gone(open_market, "ann", 10, of_fill=1)
    assert (open_market.lots("ann"), open_market.owed("ann")) == ((0, 0, 0), 0)
    assert open_market.sell("ann", 1, at=100).reason == Reason.INSUFFICIENT_TOKENS


def test_lots_that_arrive_unlocked_leave_sells_of_locked_lots_alone(open_market):
    open_market.investor("ann", lots=50)
    open_market.sell("ann", 50, at=200)
    sold(open_market, 10)
    gone(open_market, "ann", 10, of_fill=1)
    assert open_market.of(ExecutionReport) == []
    assert (open_market.lots("ann"), open_market.owed("ann")) == ((0, 50, 0), 10)
    open_market.send(settlement_final(1, 1))
    assert (open_market.lots("ann"), open_market.owed("ann")) == ((0, 50, 0), 0)


def test_only_the_buyer_of_a_fill_can_owe_out_of_it(open_market):
    open_market.sell("bob", 20, at=200)
    sold(open_market, 10)
    gone(open_market, "bob", 90, of_fill=1)
    assert open_market.of(ExecutionReport)[0].reason == Reason.CANCELLED_TOKENS_GONE
    assert (open_market.lots("bob"), open_market.owed("bob")) == ((0, 0, 10), 0)


def test_a_sell_of_lots_that_turn_out_unlocked_is_cancelled(open_market):
    sold(open_market, 10)
    open_market.send(settlement_final(1, 1))
    open_market.sell("ann", 10, at=200)
    gone(open_market, "ann", 10, of_fill=1)
    (report,) = open_market.of(ExecutionReport)
    assert report.reason == Reason.CANCELLED_TOKENS_GONE
    assert open_market.lots("ann") == (0, 0, 0)


def test_what_a_cancelled_order_frees_pays_what_is_owed_first(open_market):
    open_market.investor("ann", lots=50)
    open_market.sell("ann", 50, at=200, id="s")
    sold(open_market, 10)
    gone(open_market, "ann", 10, of_fill=1)
    open_market.replace("ann", "s", "s2", quantity_lots=46)
    assert (open_market.lots("ann"), open_market.owed("ann")) == ((0, 46, 0), 6)
    open_market.cancel("ann", "s2", "c")
    assert (open_market.lots("ann"), open_market.owed("ann")) == ((40, 0, 0), 0)
    open_market.send(settlement_final(1, 1))
    assert open_market.lots("ann") == (50, 0, 0)


def test_an_arrival_that_left_the_chain_again_is_no_debt(open_market):
    sold(open_market, 10)
    gone(open_market, "ann", 10, of_fill=1)
    open_market.send(tokens_adjust(open_market.accounts["ann"], 1, 10))
    assert (open_market.lots("ann"), open_market.owed("ann")) == ((0, 0, 0), 0)


def test_all_lots_and_all_debts_of_a_tranche_stay_below_their_bound(open_market):
    ann, bob = open_market.accounts["ann"], open_market.accounts["bob"]
    gone(open_market, "ann", SUM_LIMIT - 1)
    assert reason(open_market, tokens_adjust(bob, 1, -101)) == Reason.OVERFLOW
    gone(open_market, "bob", 100)
    assert reason(open_market, tokens_adjust(ann, 1, -1)) == Reason.OVERFLOW
    open_market.send(tokens_adjust(bob, 1, SUM_LIMIT - 1))
    assert reason(open_market, tokens_adjust(bob, 1, 1)) == Reason.OVERFLOW
    open_market.send(tokens_adjust(ann, 1, SUM_LIMIT - 1))
    assert (open_market.lots("ann"), open_market.owed("ann")) == ((0, 0, 0), 0)


def test_bad_token_changes_are_refused(open_market):
    bob = open_market.accounts["bob"]
    assert reason(open_market, tokens_adjust(99, 1, 5)) == Reason.UNKNOWN_ACCOUNT
    assert reason(open_market, tokens_adjust(bob, 9, 5)) == Reason.UNKNOWN_TRANCHE
    assert reason(open_market, tokens_adjust(bob, 1, 0)) == Reason.BAD_AMOUNT
    assert reason(open_market, tokens_adjust(bob, 1, -(2**63))) == Reason.BAD_AMOUNT
    assert reason(open_market, tokens_adjust(bob, 1, SUM_LIMIT)) == Reason.BAD_AMOUNT
    assert reason(open_market, tokens_adjust(bob, 1, SUM_LIMIT - 100)) == Reason.OVERFLOW


def test_a_fill_is_decided_once(open_market):
    open_market.sell("bob", 5, at=100)
    open_market.buy("ann", 5, at=100)
    assert reason(open_market, settlement_final(1, 2)) == Reason.UNKNOWN_FILL
    assert reason(open_market, settlement_final(1, 0)) == Reason.UNKNOWN_FILL
    assert reason(open_market, settlement_final(9, 1)) == Reason.UNKNOWN_TRANCHE
    applied = open_market.answer_of(open_market.send(settlement_final(1, 1)))
    assert applied.reference == 1
    assert len(open_market.of(SettlementUpdated)) == 2
    for decide in (settlement_final, settlement_failed):
        assert reason(open_market, decide(1, 1)) == Reason.FILL_ALREADY_DECIDED


def test_proceeds_can_be_used_once_final(open_market):
    open_market.sell("bob", 5, at=100)
    open_market.buy("ann", 5, at=100)
    assert open_market.buy("bob", 5, at=100).reason == Reason.INSUFFICIENT_CASH
    assert open_market.sell("ann", 5, at=100).reason == Reason.INSUFFICIENT_TOKENS
    open_market.send(settlement_final(1, 1))
    open_market.buy("bob", 5, at=100)
    open_market.sell("ann", 5, at=100)
    assert open_market.fills() == [(5, 100)]


def test_fees_are_paid_by_both_sides_when_final_and_by_none_when_failed(market):
    market.open_tranche(maker_fee_e6=1_000, taker_fee_e6=25_000)
    market.investor("ann", cash=10_000)
    market.investor("bob", lots=100)
    market.sell("bob", 10, at=99)
    market.buy("ann", 10, at=100)
    (trade,) = market.of(Trade)
    assert (trade.amount_minor, trade.buyer_fee_minor, trade.seller_fee_minor) == (990, 25, 1)
    assert market.cash("ann") == (10_000 - 990 - 25, 0, 990 + 25)
    market.send(settlement_final(1, 1))
    assert market.cash("ann") == (8_985, 0, 0)
    assert market.cash("bob") == (989, 0, 0)
    market.sell("bob", 10, at=99)
    market.buy("ann", 10, at=100)
    market.send(settlement_failed(1, 2))
    assert market.cash("ann") == (8_985, 0, 0)
    assert market.cash("bob") == (989, 0, 0)


def test_in_an_auction_both_sides_pay_the_makers_fee(market):
    market.open_tranche(phase=Phase.CALL, maker_fee_e6=10_000, taker_fee_e6=20_000)
    market.investor("ann", cash=10_000)
    market.investor("bob", lots=100)
    market.buy("ann", 10, at=100)
    market.sell("bob", 10, at=100)
    market.phase(Phase.CONTINUOUS)
    (trade,) = market.of(Trade)
    assert (trade.buyer_fee_minor, trade.seller_fee_minor) == (10, 10)


def test_a_sellers_fee_never_exceeds_the_signed_limit_however_good_the_price(market):
    market.open_tranche(maker_fee_e6=100_000, taker_fee_e6=100_000)
    market.investor("ann", cash=100_000)
    market.investor("bob", lots=100)
    market.buy("ann", 10, at=500)
    market.sell("bob", 10, at=100, fee_limit_minor=100)
    (trade,) = market.of(Trade)
    assert (trade.buyer_fee_minor, trade.seller_fee_minor) == (500, 100)
