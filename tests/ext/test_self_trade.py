"""Self-trade prevention: who of one owner gives way, and how it is told."""

from collections.abc import Callable

import pytest

from ext.book_records import (
    Allocation,
    Phase,
    SelfTrade,
    Side,
    TimeInForce,
    pack_add,
    pack_set_phase,
    pack_set_rules,
    pack_uncross,
)
from ext.naive_order_book import NaiveOrderBook
from ext.order_book import OrderBook

Book = OrderBook | NaiveOrderBook
Play = Callable[..., list[str]]


def buy(order_id: int, lots: int, price_ticks: int, mode: SelfTrade, tif: int = TimeInForce.GTC) -> bytes:
    """Return a buy of owner 7."""
    return pack_add(order_id, Side.BUY, price_ticks, lots, tif, owner=7, self_trade=mode)


def sell(order_id: int, lots: int, price_ticks: int, owner: int, peak_lots: int = 0) -> bytes:
    return pack_add(order_id, Side.SELL, price_ticks, lots, owner=owner, peak_lots=peak_lots)


def test_without_prevention_an_owner_trades_with_himself_and_the_fill_says_so(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100, owner=7))
    assert play(book, buy(2, 5, 100, SelfTrade.ALLOWED)) == ["fill 2 buy from 1 5@100 leaves 0/0 same_owner"]


def test_cancel_newest_ends_the_taker_where_it_meets_its_owner(book: Book, play_all: Play) -> None:
    play_all(book, sell(1, 2, 100, owner=8), sell(2, 5, 100, owner=7), sell(3, 5, 100, owner=8))
    assert play_all(book, buy(4, 9, 100, SelfTrade.CANCEL_NEWEST)) == [
        "fill 4 buy from 1 2@100 leaves 7/0",
        "prevented 4 buy from 2 5@100 CANCEL_NEWEST leaves 7/5",
        "cancelled 4 buy 7@100 SELF_TRADE",
        "level sell 10@100 in 2",
    ]


def test_cancel_oldest_takes_the_maker_out_and_goes_on(book: Book, play_all: Play) -> None:
    play_all(book, sell(2, 5, 100, owner=7), sell(3, 5, 100, owner=8))
    assert play_all(book, buy(4, 6, 100, SelfTrade.CANCEL_OLDEST)) == [
        "prevented 4 buy from 2 5@100 CANCEL_OLDEST leaves 6/5",
        "cancelled 2 sell 5@100 SELF_TRADE",
        "fill 4 buy from 3 5@100 leaves 1/0",
        "added 4 buy 6@100 leaves 1",
        "level sell 0@100 in 0",
        "level buy 1@100 in 1",
    ]


def test_cancel_both_ends_both(book: Book, play: Play) -> None:
    play(book, sell(2, 5, 100, owner=7), sell(3, 5, 100, owner=8))
    assert play(book, buy(4, 6, 100, SelfTrade.CANCEL_BOTH)) == [
        "prevented 4 buy from 2 5@100 CANCEL_BOTH leaves 6/5",
        "cancelled 2 sell 5@100 SELF_TRADE",
        "cancelled 4 buy 6@100 SELF_TRADE",
    ]


def test_decrement_takes_the_smaller_off_both(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100, owner=7), sell(2, 5, 100, owner=8))
    assert play(book, buy(3, 7, 100, SelfTrade.DECREMENT)) == [
        "prevented 3 buy from 1 5@100 DECREMENT leaves 2/0",
        "cancelled 1 sell 0@100 SELF_TRADE",
        "fill 3 buy from 2 2@100 leaves 0/3",
    ]
    play(book, sell(4, 9, 99, owner=7))
    assert play(book, buy(5, 2, 99, SelfTrade.DECREMENT)) == [
        "prevented 5 buy from 4 2@99 DECREMENT leaves 0/7",
        "cancelled 5 buy 0@99 SELF_TRADE",
    ]


def test_nothing_is_prevented_that_the_taker_would_not_reach(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100, owner=8), sell(2, 5, 100, owner=7), sell(3, 5, 101, owner=7))
    assert play(book, buy(4, 5, 100, SelfTrade.CANCEL_NEWEST)) == ["fill 4 buy from 1 5@100 leaves 0/0"]


def test_owner_0_is_nobody(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100, owner=0))
    anonymous = pack_add(2, Side.BUY, 100, 5, self_trade=SelfTrade.CANCEL_BOTH)
    assert play(book, anonymous) == ["fill 2 buy from 1 5@100 leaves 0/0"]


@pytest.mark.parametrize(
    ("mode", "fills"),
    [
        (SelfTrade.ALLOWED, True),
        (SelfTrade.CANCEL_OLDEST, False),
        (SelfTrade.CANCEL_NEWEST, False),
        (SelfTrade.DECREMENT, False),
    ],
)
def test_fill_or_kill_counts_only_makers_it_may_trade_with(
    book: Book, play: Play, mode: SelfTrade, fills: bool
) -> None:
    play(book, sell(1, 3, 100, owner=8), sell(2, 3, 100, owner=7), sell(3, 2, 101, owner=8))
    before = book.digest()
    lines = play(book, buy(4, 6, 101, mode, TimeInForce.FOK))
    assert (lines[0] == "cancelled 4 buy 6@101 FOK_NOT_FILLABLE") == (not fills)
    assert (book.digest() == before) == (not fills)


def test_fill_or_kill_passes_over_makers_that_give_way(book: Book, play: Play) -> None:
    play(book, sell(1, 3, 100, owner=8), sell(2, 3, 100, owner=7), sell(3, 2, 101, owner=8))
    assert play(book, buy(4, 5, 101, SelfTrade.CANCEL_OLDEST, TimeInForce.FOK))[-1] == (
        "fill 4 buy from 3 2@101 leaves 0/0"
    )


def test_by_size_own_orders_are_dealt_with_before_anything_is_shared_out(book: Book, play: Play) -> None:
    play(book, pack_set_rules(allocation=Allocation.PRO_RATA))
    play(book, sell(1, 6, 100, owner=8), sell(2, 6, 100, owner=7, peak_lots=2), sell(3, 2, 100, owner=8))
    assert play(book, buy(4, 4, 100, SelfTrade.CANCEL_OLDEST)) == [
        "prevented 4 buy from 2 2@100 CANCEL_OLDEST leaves 4/6",
        "cancelled 2 sell 6@100 SELF_TRADE",
        "fill 4 buy from 1 3@100 leaves 1/3",
        "fill 4 buy from 3 1@100 leaves 0/1",
    ]


def test_in_an_auction_nobody_takes_and_nothing_is_prevented(make_book: type[Book], play: Play) -> None:
    book = make_book()
    play(book, pack_set_phase(Phase.CALL), sell(1, 5, 100, owner=7), buy(2, 5, 100, SelfTrade.CANCEL_BOTH))
    assert play(book, pack_uncross())[1] == "fill 2 buy from 1 5@100 leaves 0/0 same_owner"
