"""Order types and times in force: market, FOK, minimum, post-only, iceberg, stop, DAY and GTD."""

from collections.abc import Callable

import pytest

from ext.book_records import (
    PRICE_TICKS_MAX,
    CommandFlag,
    OrderType,
    Phase,
    Side,
    TimeInForce,
    pack_add,
    pack_cancel,
    pack_clock,
    pack_replace,
    pack_set_phase,
    pack_uncross,
)
from ext.naive_order_book import NaiveOrderBook
from ext.order_book import OrderBook

Book = OrderBook | NaiveOrderBook
Play = Callable[..., list[str]]
POST_ONLY = CommandFlag.POST_ONLY
REPRICE = CommandFlag.POST_ONLY | CommandFlag.REPRICE


def buy(order_id: int, lots: int, price_ticks: int, tif: int = TimeInForce.GTC, **more: int) -> bytes:
    return pack_add(order_id, Side.BUY, price_ticks, lots, tif, **more)


def sell(order_id: int, lots: int, price_ticks: int, tif: int = TimeInForce.GTC, **more: int) -> bytes:
    return pack_add(order_id, Side.SELL, price_ticks, lots, tif, **more)


# -- market


def test_a_market_order_trades_up_to_its_protection_price(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100), sell(2, 5, 101), sell(3, 5, 103))
    assert play(book, buy(4, 12, 102, TimeInForce.IOC, order_type=OrderType.MARKET)) == [
        "fill 4 buy from 1 5@100 leaves 7/0",
        "fill 4 buy from 2 5@101 leaves 2/0",
        "cancelled 4 buy 2@102 IOC_REMAINDER",
    ]


@pytest.mark.parametrize("tif", [TimeInForce.GTC, TimeInForce.DAY, TimeInForce.GTD])
def test_a_market_order_may_not_ask_to_rest(book: Book, play: Play, tif: TimeInForce) -> None:
    assert play(book, buy(1, 5, 100, tif, order_type=OrderType.MARKET)) == ["rejected 1 BAD_COMBINATION"]


def test_a_market_order_without_a_protection_price_is_refused(book: Book, play: Play) -> None:
    market = buy(1, 5, 0, TimeInForce.IOC, order_type=OrderType.MARKET)
    assert play(book, market) == ["rejected 1 BAD_PRICE"]


# -- all or none at entry


def test_fill_or_kill_fills_whole_over_several_prices(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100), sell(2, 5, 101))
    assert play(book, buy(3, 10, 101, TimeInForce.FOK)) == [
        "fill 3 buy from 1 5@100 leaves 5/0",
        "fill 3 buy from 2 5@101 leaves 0/0",
    ]


def test_fill_or_kill_that_cannot_fill_whole_leaves_the_book_as_it_was(book: Book, play_all: Play) -> None:
    play_all(book, sell(1, 5, 100), sell(2, 5, 102))
    before = book.digest()
    assert play_all(book, buy(3, 6, 101, TimeInForce.FOK)) == ["cancelled 3 buy 6@101 FOK_NOT_FILLABLE"]
    assert book.digest() == before


def test_fill_or_kill_counts_what_icebergs_hide(book: Book, play: Play) -> None:
    play(book, sell(1, 10, 100, peak_lots=2))
    assert play(book, buy(2, 10, 100, TimeInForce.FOK))[-1] == "fill 2 buy from 1 2@100 leaves 0/0"


# -- minimum quantity


def test_less_than_the_minimum_fills_nothing(book: Book, play: Play) -> None:
    play(book, sell(1, 3, 100))
    assert play(book, buy(2, 9, 100, minimum_lots=4)) == ["cancelled 2 buy 9@100 MINIMUM_NOT_MET"]


def test_with_the_minimum_there_the_order_fills_and_rests_as_any_other(book: Book, play: Play) -> None:
    play(book, sell(1, 4, 100))
    assert play(book, buy(2, 9, 100, minimum_lots=4)) == [
        "fill 2 buy from 1 4@100 leaves 5/0",
        "added 2 buy 9@100 leaves 5",
    ]


# -- post-only


def test_a_post_only_order_that_would_trade_is_refused(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100))
    assert play(book, buy(2, 5, 100, flags=POST_ONLY)) == ["rejected 2 WOULD_TRADE"]
    assert play(book, buy(2, 5, 99, flags=POST_ONLY)) == ["added 2 buy 5@99 leaves 5"]


def test_a_post_only_order_may_be_repriced_next_to_the_other_side(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100), buy(2, 5, 90))
    assert play(book, buy(3, 5, 105, flags=REPRICE)) == ["added 3 buy 5@99 leaves 5 repriced"]
    assert play(book, sell(4, 5, 1, flags=REPRICE)) == ["added 4 sell 5@100 leaves 5 repriced"]


def test_where_there_is_no_price_left_to_move_to_it_is_refused(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 1))
    assert play(book, buy(2, 5, 1, flags=REPRICE)) == ["rejected 2 WOULD_TRADE"]
    play(book, pack_cancel(1), buy(3, 5, PRICE_TICKS_MAX))
    assert play(book, sell(4, 5, 9, flags=REPRICE)) == ["rejected 4 WOULD_TRADE"]


def test_a_post_only_order_stays_one_when_replaced(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100), buy(2, 5, 90, flags=POST_ONLY), buy(3, 5, 91, flags=REPRICE))
    assert play(book, pack_replace(2, 100, 5)) == ["rejected 2 WOULD_TRADE"]
    assert play(book, pack_replace(3, 101, 5)) == ["replaced 3 buy 5@99 leaves 5 repriced"]


def test_in_the_post_only_phase_nothing_trades(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100), pack_set_phase(Phase.POST_ONLY))
    assert play(book, buy(2, 5, 100), buy(3, 5, 100, flags=REPRICE), buy(4, 5, 98)) == [
        "rejected 2 WOULD_TRADE",
        "added 3 buy 5@99 leaves 5 repriced",
        "added 4 buy 5@98 leaves 5",
    ]
    assert play(book, pack_replace(4, 100, 5), buy(5, 5, 100, TimeInForce.IOC)) == [
        "rejected 4 WOULD_TRADE",
        "rejected 5 IOC_IN_CALL",
    ]


# -- iceberg


def test_an_iceberg_shows_its_peak_only(book: Book, play_all: Play) -> None:
    assert play_all(book, sell(1, 10, 100, peak_lots=3)) == [
        "added 1 sell 10@100 leaves 10 showing 3",
        "level sell 3@100 in 1",
    ]
    assert book.levels(Side.SELL) == [(100, 3, 1)]
    assert book.leaves(1) == 10


def test_a_refilled_peak_goes_to_the_back_of_its_queue(book: Book, play_all: Play) -> None:
    play_all(book, sell(1, 10, 100, peak_lots=3), sell(2, 4, 100))
    assert play_all(book, buy(3, 5, 100)) == [
        "fill 3 buy from 1 3@100 leaves 2/7",
        "refilled 1 sell 10@100 leaves 7 showing 3",
        "fill 3 buy from 2 2@100 leaves 0/2",
        "level sell 5@100 in 2",
    ]
    assert play_all(book, buy(4, 3, 100))[0] == "fill 4 buy from 2 2@100 leaves 1/0"


def test_the_last_peak_of_an_iceberg_is_what_is_left(book: Book, play: Play) -> None:
    play(book, sell(1, 7, 100, peak_lots=3))
    assert play(book, buy(2, 7, 100)) == [
        "fill 2 buy from 1 3@100 leaves 4/4",
        "refilled 1 sell 7@100 leaves 4 showing 3",
        "fill 2 buy from 1 3@100 leaves 1/1",
        "refilled 1 sell 7@100 leaves 1",
        "fill 2 buy from 1 1@100 leaves 0/0",
    ]


def test_an_iceberg_that_trades_on_entry_trades_whole_and_hides_the_rest(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100))
    assert play(book, buy(2, 12, 100, peak_lots=3)) == [
        "fill 2 buy from 1 5@100 leaves 7/0",
        "added 2 buy 12@100 leaves 7 showing 3",
    ]


def test_a_smaller_iceberg_gives_up_hidden_lots_first_and_keeps_its_place(book: Book, play_all: Play) -> None:
    play_all(book, sell(1, 10, 100, peak_lots=3), sell(2, 1, 100))
    assert play_all(book, pack_replace(1, 100, 5)) == ["replaced 1 sell 5@100 leaves 5 showing 3 kept"]
    assert play_all(book, pack_replace(1, 100, 2)) == [
        "replaced 1 sell 2@100 leaves 2 kept",
        "level sell 3@100 in 2",
    ]


def test_a_larger_iceberg_goes_to_the_back_with_a_whole_peak(book: Book, play: Play) -> None:
    play(book, sell(1, 10, 100, peak_lots=3), sell(2, 1, 100), buy(3, 1, 100))
    assert play(book, pack_replace(1, 100, 11)) == [
        "replaced 1 sell 11@100 leaves 10",
        "refilled 1 sell 11@100 leaves 10 showing 3",
    ]
    assert play(book, buy(4, 2, 100))[0] == "fill 4 buy from 2 1@100 leaves 1/0"


def test_hidden_lots_take_part_in_an_auction(make_book: type[Book], play: Play) -> None:
    book = make_book()
    play(book, pack_set_phase(Phase.CALL), sell(1, 10, 100, peak_lots=3), sell(2, 4, 100))
    assert play(book, buy(3, 12, 100))[-1] == "indicative 12@100 surplus -2"
    assert play(book, pack_uncross()) == [
        "uncrossed 12@100 surplus -2",
        "fill 3 buy from 1 3@100 leaves 9/7",
        "refilled 1 sell 10@100 leaves 7 showing 3",
        "fill 3 buy from 2 4@100 leaves 5/0",
        "fill 3 buy from 1 3@100 leaves 2/4",
        "refilled 1 sell 10@100 leaves 4 showing 3",
        "fill 3 buy from 1 2@100 leaves 0/2",
        "indicative 0@0 surplus +0",
    ]


# -- stop


def stop(
    order_id: int, side: Side, lots: int, price_ticks: int, stop_ticks: int, limit: bool = False
) -> bytes:
    order_type = OrderType.STOP_LIMIT if limit else OrderType.STOP
    return pack_add(order_id, side, price_ticks, lots, order_type=order_type, stop_price_ticks=stop_ticks)


def test_a_stop_order_waits_unseen(book: Book, play_all: Play) -> None:
    assert play_all(book, stop(1, Side.BUY, 5, 110, 105)) == ["added 1 buy 5@110 leaves 5 showing 0 stop"]
    assert book.levels(Side.BUY) == []
    assert book.leaves(1) == 5
    assert play_all(book, pack_cancel(1)) == ["cancelled 1 buy 5@110 BY_REQUEST"]


def test_a_buy_stop_triggers_at_or_above_its_price_and_a_sell_stop_at_or_below(
    book: Book, play: Play
) -> None:
    play(book, stop(1, Side.BUY, 1, 110, 105), stop(2, Side.SELL, 1, 90, 95), sell(3, 9, 104), buy(4, 1, 104))
    assert book.leaves(1) == book.leaves(2) == 1
    play(book, sell(5, 2, 105))
    assert play(book, pack_cancel(3), buy(6, 1, 105))[1:] == [
        "fill 6 buy from 5 1@105 leaves 0/1",
        "triggered 1 buy 1@110 leaves 1",
        "fill 1 buy from 5 1@105 leaves 0/0",
    ]
    play(book, buy(7, 2, 95))
    assert play(book, sell(8, 1, 95)) == [
        "fill 8 sell from 7 1@95 leaves 0/1",
        "triggered 2 sell 1@90 leaves 1",
        "fill 2 sell from 7 1@95 leaves 0/0",
    ]


def test_what_a_triggered_stop_cannot_fill_within_its_protection_is_cancelled(book: Book, play: Play) -> None:
    play(book, sell(1, 1, 105), sell(2, 9, 111), stop(3, Side.BUY, 5, 110, 105))
    assert play(book, buy(4, 1, 105))[1:] == [
        "triggered 3 buy 5@110 leaves 5",
        "cancelled 3 buy 5@110 IOC_REMAINDER",
    ]


def test_a_triggered_stop_limit_rests_at_its_limit(book: Book, play: Play) -> None:
    play(book, sell(1, 1, 105), stop(2, Side.BUY, 5, 103, 105, limit=True))
    assert play(book, buy(3, 1, 105))[1:] == [
        "triggered 2 buy 5@103 leaves 5",
        "added 2 buy 5@103 leaves 5",
    ]


def test_a_cascade_runs_to_its_end_within_the_command(book: Book, play_all: Play) -> None:
    play_all(book, sell(1, 1, 100), sell(2, 1, 101), sell(3, 1, 102))
    play_all(book, stop(11, Side.BUY, 1, 110, 100), stop(12, Side.BUY, 1, 110, 101))
    assert play_all(book, buy(9, 1, 100)) == [
        "fill 9 buy from 1 1@100 leaves 0/0",
        "level sell 0@100 in 0",
        "triggered 11 buy 1@110 leaves 1",
        "fill 11 buy from 2 1@101 leaves 0/0",
        "level sell 0@101 in 0",
        "triggered 12 buy 1@110 leaves 1",
        "fill 12 buy from 3 1@102 leaves 0/0",
        "level sell 0@102 in 0",
    ]


def test_stops_trade_buys_first_then_by_nearness_then_by_time(book: Book, play: Play) -> None:
    play(book, buy(1, 1, 100), sell(2, 9, 120), buy(3, 9, 80))
    play(book, stop(11, Side.SELL, 1, 1, 100), stop(12, Side.SELL, 1, 1, 101), stop(13, Side.SELL, 1, 1, 101))
    play(
        book, stop(14, Side.BUY, 1, 200, 100), stop(15, Side.BUY, 1, 200, 99), stop(16, Side.BUY, 1, 200, 99)
    )
    triggered = [line.split()[1] for line in play(book, sell(4, 1, 100)) if line.startswith("triggered")]
    assert triggered == ["15", "16", "14", "12", "13", "11"]


def test_every_trade_of_a_sweep_counts_not_only_the_last(book: Book, play: Play) -> None:
    play(book, sell(1, 1, 100), sell(2, 1, 110), stop(3, Side.SELL, 1, 1, 100), buy(4, 1, 50))
    assert play(book, buy(5, 2, 110))[2] == "triggered 3 sell 1@1 leaves 1"


def test_a_stop_that_the_last_trade_has_reached_trades_at_once(book: Book, play: Play) -> None:
    play(book, sell(1, 2, 100), buy(2, 1, 100))
    assert play(book, stop(3, Side.BUY, 1, 110, 99)) == [
        "added 3 buy 1@110 leaves 1 showing 0 stop",
        "triggered 3 buy 1@110 leaves 1",
        "fill 3 buy from 1 1@100 leaves 0/0",
    ]


def test_stops_reached_by_an_auction_trade_when_continuous_trading_begins(
    make_book: type[Book], play: Play
) -> None:
    book = make_book()
    play(book, pack_set_phase(Phase.CALL), buy(1, 5, 100), sell(2, 4, 100), sell(3, 5, 105))
    play(book, stop(4, Side.BUY, 1, 110, 99))
    assert not any(line.startswith("triggered") for line in play(book, pack_uncross()))
    assert play(book, pack_set_phase(Phase.CONTINUOUS)) == [
        "phase CONTINUOUS reference 0",
        "triggered 4 buy 1@110 leaves 1",
        "fill 4 buy from 3 1@105 leaves 0/4",
    ]


def test_a_stop_order_is_replaced_without_losing_its_stop_price(book: Book, play: Play) -> None:
    play(book, stop(1, Side.BUY, 5, 110, 105), sell(2, 9, 105))
    assert play(book, pack_replace(1, 110, 3)) == ["replaced 1 buy 3@110 leaves 3 showing 0 stop kept"]
    assert play(book, pack_replace(1, 120, 4)) == ["replaced 1 buy 4@120 leaves 4 showing 0 stop"]
    assert play(book, buy(3, 1, 105))[1] == "triggered 1 buy 4@120 leaves 4"


@pytest.mark.parametrize("stop_ticks", [0, -1, PRICE_TICKS_MAX + 1])
def test_a_stop_without_a_stop_price_is_refused(book: Book, play: Play, stop_ticks: int) -> None:
    assert play(book, stop(1, Side.BUY, 5, 100, stop_ticks)) == ["rejected 1 BAD_STOP_PRICE"]


# -- expiry


def test_day_and_gtd_orders_expire_by_the_clock_in_order_of_deadline_and_id(book: Book, play: Play) -> None:
    play(book, buy(3, 1, 99, TimeInForce.GTD, expiry_ns=20), buy(2, 1, 98, TimeInForce.DAY, expiry_ns=20))
    play(book, buy(5, 1, 97, TimeInForce.GTD, expiry_ns=10), buy(1, 1, 96, TimeInForce.GTD, expiry_ns=21))
    assert book.next_deadline_ns() == 10
    assert play(book, pack_clock(9)) == ["clock expired 0"]
    assert play(book, pack_clock(20)) == [
        "cancelled 5 buy 1@97 EXPIRED",
        "cancelled 2 buy 1@98 EXPIRED",
        "cancelled 3 buy 1@99 EXPIRED",
        "clock expired 3",
    ]
    assert book.next_deadline_ns() == 21


def test_an_order_that_ended_takes_its_deadline_along(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100, TimeInForce.GTD, expiry_ns=20), buy(2, 5, 100))
    assert book.next_deadline_ns() == 0
    assert play(book, pack_clock(30)) == ["clock expired 0"]


def test_a_stop_order_expires_too(book: Book, play: Play) -> None:
    more = {"order_type": OrderType.STOP, "stop_price_ticks": 105, "expiry_ns": 5}
    play(book, buy(1, 5, 110, TimeInForce.GTD, **more))
    assert play(book, pack_clock(5)) == ["cancelled 1 buy 5@110 EXPIRED", "clock expired 1"]


def test_an_order_that_has_expired_already_is_refused(book: Book, play: Play) -> None:
    play(book, pack_clock(10))
    assert play(book, buy(1, 5, 100, TimeInForce.GTD, expiry_ns=10)) == ["rejected 1 BAD_EXPIRY"]
    assert play(book, buy(1, 5, 100, TimeInForce.GTC, expiry_ns=11)) == ["rejected 1 BAD_EXPIRY"]


def test_time_does_not_run_backwards(book: Book, play: Play) -> None:
    play(book, pack_clock(10))
    assert play(book, pack_clock(9), pack_clock(2**62), pack_clock(-1)) == ["rejected 0 BAD_TIME"] * 3


# -- what excludes each other

STOP_LIMIT = {"order_type": OrderType.STOP_LIMIT, "stop_price_ticks": 100}
REFUSED = [
    (buy(9, 5, 100, TimeInForce.IOC, peak_lots=2), "BAD_PEAK"),
    (buy(9, 5, 100, peak_lots=6), "BAD_PEAK"),
    (buy(9, 5, 100, peak_lots=-1), "BAD_PEAK"),
    (buy(9, 5, 100, peak_lots=2, order_type=OrderType.STOP, stop_price_ticks=100), "BAD_PEAK"),
    (buy(9, 5, 100, minimum_lots=6), "BAD_MINIMUM"),
    (buy(9, 5, 100, minimum_lots=-1), "BAD_MINIMUM"),
    (buy(9, 5, 100, minimum_lots=1, **STOP_LIMIT), "BAD_COMBINATION"),
    (buy(9, 5, 100, TimeInForce.IOC, **STOP_LIMIT), "BAD_COMBINATION"),
    (buy(9, 5, 100, flags=POST_ONLY, **STOP_LIMIT), "BAD_COMBINATION"),
    (buy(9, 5, 100, TimeInForce.IOC, flags=POST_ONLY), "BAD_COMBINATION"),
    (buy(9, 5, 100, flags=POST_ONLY, minimum_lots=1), "BAD_COMBINATION"),
    (buy(9, 5, 100, flags=CommandFlag.REPRICE), "BAD_COMBINATION"),
    (buy(9, 5, 100, stop_price_ticks=100), "BAD_STOP_PRICE"),
]


@pytest.mark.parametrize(("refused", "reason"), REFUSED)
def test_attributes_that_exclude_each_other_are_refused(
    book: Book, play: Play, refused: bytes, reason: str
) -> None:
    before = book.digest()
    assert play(book, refused) == [f"rejected 9 {reason}"]
    assert book.digest() == before


@pytest.mark.parametrize("phase", [Phase.CALL, Phase.PRE_OPEN])
def test_what_must_trade_at_once_is_refused_where_nothing_trades(
    make_book: type[Book], play: Play, phase: Phase
) -> None:
    book = make_book()
    play(book, pack_set_phase(phase))
    for order in (buy(1, 5, 100, TimeInForce.FOK), buy(1, 5, 100, minimum_lots=1)):
        assert play(book, order) == ["rejected 1 IOC_IN_CALL"]
