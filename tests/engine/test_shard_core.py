"""Days at a market, told as its participants see them."""

import pytest

from engine.command import clock, session_open, settlement_failed, settlement_final
from engine.reasons import Reason
from engine.shard_core import ShardCore
from ext.book_records import SNAPSHOT_MAGIC
from ext.records import (
    Applied,
    AuctionIndicative,
    Balance,
    BookLevel,
    ExecType,
    ExecutionReport,
    Liquidity,
    OrderFlag,
    OrderStatus,
    Phase,
    PhaseChanged,
    RecordError,
    SettlementUpdated,
    Side,
    TimeInForce,
    Trade,
    client_text,
)


@pytest.fixture
def open_market(market):
    """Ann has cash, Bob and Cleo have lots; continuous trading."""
    market.open_tranche()
    market.investor("ann", cash=10_000)
    market.investor("bob", lots=100)
    market.investor("cleo", lots=100)
    return market


def test_an_accepted_buy_holds_its_worst_cost_and_rests(open_market):
    answer = open_market.buy("ann", 10, at=101)
    assert (answer.exec_type, answer.order_status) == (ExecType.NEW, OrderStatus.NEW)
    assert (answer.leaves_lots, answer.cum_lots) == (10, 0)
    assert open_market.cash("ann") == (8_990, 1_010, 0)
    assert open_market.book() == [(Side.BUY, 101, 10)]


def test_an_accepted_sell_holds_its_lots(open_market):
    open_market.sell("bob", 30, at=105)
    assert open_market.lots("bob") == (70, 30, 0)


def test_a_fill_moves_both_legs_into_settlement_and_frees_the_price_improvement(open_market):
    open_market.sell("bob", 10, at=99)
    open_market.buy("ann", 10, at=101)
    assert open_market.fills() == [(10, 99)]
    assert open_market.cash("ann") == (9_010, 0, 990)
    assert open_market.lots("bob") == (90, 0, 10)


def test_final_settlement_gives_lots_to_the_buyer_and_cash_to_the_seller(open_market):
    open_market.sell("bob", 10, at=99)
    open_market.buy("ann", 10, at=101)
    open_market.send(settlement_final(1, 1, batch=77))
    assert open_market.cash("ann") == (9_010, 0, 0)
    assert open_market.lots("ann") == (10, 0, 0)
    assert open_market.cash("bob") == (990, 0, 0)
    assert open_market.lots("bob") == (90, 0, 0)
    told = {(event.header.account, event.side, event.failed) for event in open_market.of(SettlementUpdated)}
    ann, bob = open_market.accounts["ann"], open_market.accounts["bob"]
    assert told == {(ann, Side.BUY, 0), (bob, Side.SELL, 0)}
    assert {event.batch for event in open_market.of(SettlementUpdated)} == {77}


def test_failed_settlement_gives_both_legs_back(open_market):
    open_market.sell("bob", 10, at=99)
    open_market.buy("ann", 10, at=101)
    open_market.send(settlement_failed(1, 1, reason=5))
    assert open_market.cash("ann") == (10_000, 0, 0)
    assert open_market.lots("bob") == (100, 0, 0)
    assert [(event.failed, event.reason) for event in open_market.of(SettlementUpdated)] == [(1, 5), (1, 5)]


def test_the_best_price_fills_first_then_the_first_come(open_market):
    open_market.sell("bob", 5, at=100, id="second")
    open_market.sell("cleo", 5, at=100, id="third")
    open_market.sell("cleo", 5, at=99, id="first")
    open_market.buy("ann", 12, at=100)
    makers = [
        client_text(report.client_order_id)
        for report in open_market.of(ExecutionReport)
        if report.liquidity == Liquidity.ADDED
    ]
    assert makers == ["first", "second", "third"]
    assert open_market.fills() == [(5, 99), (5, 100), (2, 100)]


def test_each_fill_tells_the_trade_then_the_taker_then_the_maker_then_levels_then_balances(open_market):
    open_market.sell("bob", 5, at=100)
    open_market.buy("ann", 8, at=100)
    kinds = [type(event) for event in open_market.last]
    assert kinds == [
        ExecutionReport,
        Trade,
        ExecutionReport,
        ExecutionReport,
        BookLevel,
        BookLevel,
        Balance,
        Balance,
    ]
    answer, trade, taker, maker = open_market.last[:4]
    assert (answer.exec_type, answer.leaves_lots) == (ExecType.NEW, 8)
    assert (taker.liquidity, taker.leaves_lots, taker.order_status) == (
        Liquidity.REMOVED,
        3,
        OrderStatus.PARTIALLY_FILLED,
    )
    assert (maker.liquidity, maker.leaves_lots, maker.order_status) == (
        Liquidity.ADDED,
        0,
        OrderStatus.FILLED,
    )
    assert taker.fill_id == maker.fill_id == trade.fill_id
    assert [level.last for level in open_market.of(BookLevel)] == [0, 1]


def test_a_trade_names_both_orders_as_they_were_signed(open_market):
    open_market.sell("bob", 5, at=105, id="s")
    open_market.replace("bob", "s", "s2", price_ticks=100, quantity_lots=6)
    open_market.buy("ann", 6, at=100)
    (trade,) = open_market.of(Trade)
    assert (trade.buy_revision, trade.sell_revision) == (1, 2)
    assert trade.buy_nonce == trade.sell_nonce == (1 << 40) + 1
    assert (trade.buy_account, trade.sell_account) == (11, 12)
    assert (trade.buy_owner, trade.sell_owner) == (111, 112)
    assert trade.aggressor == Side.BUY
    assert trade.fill_number == 1
    assert trade.fill_id >> 47 == open_market.SHARD


def test_the_flag_of_a_standing_order_travels_to_its_reports(open_market):
    assert open_market.buy("ann", 1, at=10).flags == OrderFlag.STANDING
    assert open_market.buy("ann", 1, at=10, flags=0, time_in_force=TimeInForce.IOC).flags == 0


def test_what_an_ioc_order_cannot_fill_at_once_is_cancelled(open_market):
    open_market.sell("bob", 5, at=100)
    answer = open_market.buy("ann", 8, at=100, time_in_force=TimeInForce.IOC)
    assert answer.exec_type == ExecType.NEW
    last = open_market.of(ExecutionReport)[-1]
    assert (last.exec_type, last.reason) == (ExecType.CANCELED, Reason.CANCELLED_IOC_REMAINDER)
    assert (last.leaves_lots, last.cum_lots) == (0, 5)
    assert open_market.cash("ann") == (9_500, 0, 500)
    assert open_market.book() == []


def test_a_cancel_answers_with_the_orders_last_state_and_frees_what_it_held(open_market):
    open_market.sell("bob", 4, at=100)
    open_market.buy("ann", 10, at=100, id="b")
    answer = open_market.cancel("ann", "b", "c")
    assert (answer.exec_type, answer.reason) == (ExecType.CANCELED, Reason.CANCELLED_BY_REQUEST)
    assert (answer.leaves_lots, answer.cum_lots) == (0, 4)
    assert client_text(answer.client_order_id) == "c"
    assert client_text(answer.original_client_order_id) == "b"
    assert open_market.cash("ann") == (9_600, 0, 400)


def test_a_halted_market_still_takes_cancels(open_market):
    open_market.buy("ann", 10, at=100, id="b")
    open_market.phase(Phase.HALTED)
    assert open_market.cancel("ann", "b", "c").exec_type == ExecType.CANCELED


def test_a_replacement_holds_only_the_difference(open_market):
    open_market.buy("ann", 10, at=100, id="b")
    answer = open_market.replace("ann", "b", "b2", price_ticks=90, quantity_lots=20)
    assert (answer.exec_type, answer.revision, answer.leaves_lots) == (ExecType.REPLACED, 2, 20)
    assert open_market.cash("ann") == (8_200, 1_800, 0)
    open_market.replace("ann", "b", "b3", revision=3, quantity_lots=5, price_ticks=90)
    assert open_market.cash("ann") == (9_550, 450, 0)


def test_a_replacement_may_cross_and_fill_as_the_taker(open_market):
    open_market.sell("bob", 5, at=100)
    open_market.buy("ann", 5, at=90, id="b")
    answer = open_market.replace("ann", "b", "b2", price_ticks=101)
    assert (answer.exec_type, answer.leaves_lots) == (ExecType.REPLACED, 5)
    assert open_market.fills() == [(5, 100)]
    assert open_market.cash("ann") == (9_500, 0, 500)


def test_quantity_of_a_replacement_includes_what_has_filled(open_market):
    open_market.sell("bob", 4, at=100)
    open_market.buy("ann", 10, at=100, id="b")
    assert open_market.replace("ann", "b", "b2", quantity_lots=6).leaves_lots == 2
    assert open_market.book() == [(Side.BUY, 100, 2)]


def test_a_client_order_id_used_again_is_answered_with_its_order_as_it_is_now(open_market):
    open_market.buy("ann", 10, at=100, id="b")
    open_market.sell("bob", 4, at=100)
    before = open_market.cash("ann"), open_market.book()
    again = open_market.buy("ann", 99, at=1, id="b")
    assert (again.exec_type, again.reason) == (ExecType.DUPLICATE, Reason.DUPLICATE_CLIENT_ORDER_ID)
    assert (again.quantity_lots, again.cum_lots, again.price_ticks) == (10, 4, 100)
    assert (open_market.cash("ann"), open_market.book()) == before


def test_a_cancel_sent_again_is_answered_with_the_closed_order(open_market):
    placed = open_market.buy("ann", 10, at=100, id="b")
    open_market.cancel("ann", "b", "c")
    again = open_market.cancel("ann", "b", "c")
    assert (again.exec_type, again.order_status) == (ExecType.DUPLICATE, OrderStatus.CANCELED)
    assert again.order_id == placed.order_id
    assert client_text(again.client_order_id) == "c"


def test_client_order_ids_of_two_accounts_do_not_meet(open_market):
    open_market.sell("bob", 1, at=100, id="same")
    assert open_market.sell("cleo", 1, at=100, id="same").exec_type == ExecType.NEW


def test_a_refused_command_leaves_its_client_order_id_free(open_market):
    assert open_market.buy("ann", 10, at=2_000, id="b").reason == Reason.PRICE_OUT_OF_RANGE
    assert open_market.buy("ann", 10, at=100, id="b").exec_type == ExecType.NEW


def test_a_call_collects_orders_and_uncrosses_at_one_price_when_it_ends(market):
    market.open_tranche(phase=Phase.CALL, reference_price_ticks=100)
    market.investor("ann", cash=10_000)
    market.investor("bob", lots=100)
    market.buy("ann", 10, at=104)
    market.sell("bob", 6, at=96)
    (indicative,) = market.of(AuctionIndicative)
    assert (indicative.price_ticks, indicative.quantity_lots, indicative.surplus_lots) == (104, 6, 4)
    assert market.fills() == []
    market.phase(Phase.CONTINUOUS)
    assert market.fills() == [(6, 104)]
    assert {trade.aggressor for trade in market.of(Trade)} == {0}
    assert {report.liquidity for report in market.of(ExecutionReport)} == {Liquidity.AUCTION}
    (changed,) = market.of(PhaseChanged)
    assert (changed.price_ticks, changed.quantity_lots, changed.surplus_lots) == (104, 6, 4)
    assert (changed.phase, changed.previous) == (Phase.CONTINUOUS, Phase.CALL)
    assert market.book() == [(Side.BUY, 104, 4)]
    assert market.cash("ann") == (10_000 - 1_040, 416, 624)


def test_a_reopening_call_leans_on_the_last_price(open_market):
    open_market.sell("bob", 1, at=120)
    open_market.buy("ann", 1, at=120)
    open_market.phase(Phase.HALTED)
    open_market.phase(Phase.CALL)
    open_market.buy("ann", 5, at=130)
    open_market.sell("bob", 5, at=110)
    open_market.phase(Phase.CONTINUOUS)
    assert open_market.fills() == [(5, 120)]


def test_an_order_ends_with_its_signature_before_what_comes_at_that_time(open_market):
    open_market.buy("ann", 10, at=100, id="b", valid_until_ns=5_000)
    open_market.now_ns = 5_000
    open_market.sell("bob", 10, at=100)
    expired = open_market.last[0]
    assert (expired.exec_type, expired.reason) == (ExecType.EXPIRED, Reason.CANCELLED_SIGNATURE_EXPIRED)
    assert expired.header.source == 0
    assert open_market.fills() == []
    assert open_market.cash("ann") == (10_000, 0, 0)


def test_time_alone_ends_orders_by_deadline_then_by_order(open_market):
    open_market.buy("ann", 1, at=100, id="later", valid_until_ns=5_001)
    open_market.buy("ann", 1, at=100, id="first", valid_until_ns=5_000)
    open_market.buy("ann", 1, at=100, id="second", valid_until_ns=5_000)
    open_market.now_ns = 6_000
    open_market.send(clock())
    ended = [client_text(report.client_order_id) for report in open_market.of(ExecutionReport)]
    assert ended == ["first", "second", "later"]
    assert [type(event) for event in open_market.last].count(Applied) == 1
    assert len(open_market.of(BookLevel)) == 1


def test_a_replacement_moves_the_deadline(open_market):
    open_market.buy("ann", 1, at=100, id="b", valid_until_ns=5_000)
    open_market.replace("ann", "b", "b2", valid_until_ns=7_000)
    open_market.now_ns = 6_000
    open_market.send(clock())
    assert open_market.of(ExecutionReport) == []
    open_market.now_ns = 7_000
    open_market.send(clock())
    assert [report.revision for report in open_market.of(ExecutionReport)] == [2]


def test_a_new_session_shuts_the_earlier_one_out(open_market):
    open_market.send(session_open(open_market.accounts["ann"], 2))
    refused = open_market.buy("ann", 1, at=100, session_epoch=1)
    assert (refused.reason, refused.limit, refused.actual) == (Reason.SESSION_SUPERSEDED, 2, 1)
    assert open_market.buy("ann", 1, at=100, session_epoch=2).exec_type == ExecType.NEW


def test_tranches_share_cash_but_not_lots(open_market):
    open_market.open_tranche(2)
    open_market.investor("ann", lots=7, tranche=2)
    open_market.buy("ann", 99, at=100)
    assert open_market.sell("ann", 7, at=100, tranche=2).exec_type == ExecType.NEW
    assert open_market.buy("ann", 2, at=100, tranche=2).reason == Reason.INSUFFICIENT_CASH
    assert open_market.core.tranches() == [1, 2]


def test_one_account_may_trade_with_itself_and_nothing_is_lost(open_market):
    open_market.investor("ann", lots=5)
    open_market.sell("ann", 5, at=100)
    open_market.buy("ann", 5, at=100)
    open_market.send(settlement_final(1, 1))
    assert (open_market.cash("ann"), open_market.lots("ann")) == ((10_000, 0, 0), (5, 0, 0))


def test_order_ids_carry_shard_and_command(open_market):
    answer = open_market.buy("ann", 1, at=100)
    assert answer.order_id == open_market.SHARD << 47 | open_market.core.last_command


def test_bytes_that_are_no_records_change_nothing(open_market):
    before = open_market.core.digest()
    with pytest.raises(RecordError):
        open_market.core.apply(SNAPSHOT_MAGIC * 9)
    assert open_market.core.digest() == before


def test_what_is_known_of_an_open_market_can_be_asked(open_market):
    open_market.buy("ann", 3, at=100)
    core = open_market.core
    assert core.shard == open_market.SHARD
    assert core.phase(1) == Phase.CONTINUOUS
    assert core.book_levels(1) == [(Side.BUY, 100, 3, 1)]
    assert core.book(1) == (open_market.streams[0, 1], Phase.CONTINUOUS, core.book_levels(1))
    assert core.book(99) == (0, 0, [])
    assert core.last_time_ns == open_market.now_ns - 1
    assert core.source_number(open_market.SOURCE, 1) == core.last_command
    assert core.sources.last_number(open_market.SOURCE, 2) == 0


@pytest.mark.parametrize("shard", [-1, 1 << 16])
def test_a_shard_number_that_ids_cannot_hold_is_refused(shard):
    with pytest.raises(ValueError, match="outside"):
        ShardCore(shard)
