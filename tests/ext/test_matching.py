"""Continuous trading: entry, priority, IOC, cancel, replace, phases, refusals."""

from collections.abc import Callable

import numpy as np
import pytest

from ext.book_records import (
    COMMAND_DTYPE,
    ORDER_ID_MAX,
    PRICE_TICKS_MAX,
    QUANTITY_LOTS_MAX,
    BookOp,
    OrderType,
    Phase,
    Side,
    TimeInForce,
    pack_add,
    pack_cancel,
    pack_replace,
    pack_set_phase,
    pack_uncross,
)
from ext.naive_order_book import NaiveOrderBook
from ext.order_book import OrderBook

Book = OrderBook | NaiveOrderBook
Play = Callable[..., list[str]]


def buy(order_id: int, quantity_lots: int, price_ticks: int, tif: int = TimeInForce.GTC) -> bytes:
    return pack_add(order_id, Side.BUY, price_ticks, quantity_lots, tif)


def sell(order_id: int, quantity_lots: int, price_ticks: int, tif: int = TimeInForce.GTC) -> bytes:
    return pack_add(order_id, Side.SELL, price_ticks, quantity_lots, tif)


# -- entry


def test_an_order_that_meets_nobody_rests(book: Book, play_all: Play) -> None:
    assert play_all(book, buy(1, 5, 100)) == ["added 1 buy 5@100 leaves 5", "level buy 5@100 in 1"]
    assert book.levels(Side.BUY) == [(100, 5, 1)]
    assert book.levels(Side.SELL) == []
    assert book.leaves(1) == 5


def test_a_trade_is_at_the_price_of_the_resting_order(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100))
    assert play(book, buy(2, 5, 105)) == ["fill 2 buy from 1 5@100 leaves 0/0"]
    play(book, buy(3, 5, 100))
    assert play(book, sell(4, 5, 90)) == ["fill 4 sell from 3 5@100 leaves 0/0"]


def test_what_an_order_leaves_rests_at_its_own_price(book: Book, play_all: Play) -> None:
    play_all(book, sell(1, 5, 100), sell(2, 5, 101), sell(3, 5, 103))
    assert play_all(book, buy(4, 12, 102)) == [
        "fill 4 buy from 1 5@100 leaves 7/0",
        "fill 4 buy from 2 5@101 leaves 2/0",
        "added 4 buy 12@102 leaves 2",
        "level sell 0@100 in 0",
        "level sell 0@101 in 0",
        "level buy 2@102 in 1",
    ]
    assert book.levels(Side.SELL) == [(103, 5, 1)]


def test_better_prices_come_first_whenever_they_came(book: Book, play: Play) -> None:
    play(book, buy(1, 1, 99), buy(2, 1, 101), buy(3, 1, 100))
    assert play(book, sell(4, 3, 99)) == [
        "fill 4 sell from 2 1@101 leaves 2/0",
        "fill 4 sell from 3 1@100 leaves 1/0",
        "fill 4 sell from 1 1@99 leaves 0/0",
    ]


def test_at_one_price_first_come_is_first_served(book: Book, play: Play) -> None:
    play(book, sell(7, 2, 100), sell(3, 2, 100), sell(5, 2, 100))
    assert play(book, buy(9, 5, 100)) == [
        "fill 9 buy from 7 2@100 leaves 3/0",
        "fill 9 buy from 3 2@100 leaves 1/0",
        "fill 9 buy from 5 1@100 leaves 0/1",
    ]


def test_a_partly_filled_order_keeps_its_place(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100), sell(2, 5, 100), buy(3, 1, 100))
    assert play(book, buy(4, 5, 100)) == [
        "fill 4 buy from 1 4@100 leaves 1/0",
        "fill 4 buy from 2 1@100 leaves 0/4",
    ]


def test_prices_that_do_not_meet_do_not_trade(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 101))
    assert play(book, buy(2, 5, 100)) == ["added 2 buy 5@100 leaves 5"]


# -- immediate or cancel


def test_the_remainder_of_an_ioc_order_is_cancelled(book: Book, play_all: Play) -> None:
    play_all(book, sell(1, 5, 100), sell(2, 5, 102))
    assert play_all(book, buy(3, 8, 101, TimeInForce.IOC)) == [
        "fill 3 buy from 1 5@100 leaves 3/0",
        "cancelled 3 buy 3@101 IOC_REMAINDER",
        "level sell 0@100 in 0",
    ]
    assert book.leaves(3) == 0


def test_an_ioc_order_that_meets_nobody_is_cancelled_whole(book: Book, play_all: Play) -> None:
    assert play_all(book, sell(1, 5, 100, TimeInForce.IOC)) == ["cancelled 1 sell 5@100 IOC_REMAINDER"]


def test_an_ioc_order_that_fills_leaves_nothing_to_cancel(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100))
    assert play(book, buy(2, 3, 100, TimeInForce.IOC)) == ["fill 2 buy from 1 3@100 leaves 0/2"]


# -- cancel


def test_a_cancel_takes_what_is_left_of_the_order(book: Book, play_all: Play) -> None:
    play_all(book, sell(1, 5, 100), sell(2, 1, 100), buy(3, 2, 100))
    assert play_all(book, pack_cancel(1)) == ["cancelled 1 sell 3@100 BY_REQUEST", "level sell 1@100 in 1"]
    assert book.levels(Side.SELL) == [(100, 1, 1)]


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_the_queue_closes_over_a_cancelled_order(book: Book, play: Play, gone: int) -> None:
    play(book, sell(1, 1, 100), sell(2, 1, 100), sell(3, 1, 100), pack_cancel(gone), sell(4, 1, 100))
    left = [order for order in (1, 2, 3, 4) if order != gone]
    assert [line.split()[4] for line in play(book, buy(9, 3, 100))] == [str(order) for order in left]


def test_a_filled_order_cannot_be_cancelled(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100), buy(2, 5, 100))
    assert play(book, pack_cancel(1), pack_cancel(2)) == [
        "rejected 1 UNKNOWN_ORDER",
        "rejected 2 UNKNOWN_ORDER",
    ]


def test_an_order_id_may_come_again_once_its_order_has_ended(book: Book, play: Play) -> None:
    play(book, sell(1, 5, 100), pack_cancel(1))
    assert play(book, buy(1, 2, 99)) == ["added 1 buy 2@99 leaves 2"]


# -- replace


def test_fewer_lots_at_the_same_price_keep_priority(book: Book, play_all: Play, play: Play) -> None:
    play(book, sell(1, 5, 100), sell(2, 5, 100))
    assert play_all(book, pack_replace(1, 100, 3)) == [
        "replaced 1 sell 3@100 leaves 3 kept",
        "level sell 8@100 in 2",
    ]
    assert play(book, buy(3, 1, 100)) == ["fill 3 buy from 1 1@100 leaves 0/2"]


def test_a_replace_that_changes_nothing_keeps_priority_and_the_book(book: Book, play_all: Play) -> None:
    play_all(book, sell(1, 5, 100), sell(2, 5, 100))
    assert play_all(book, pack_replace(1, 100, 5)) == ["replaced 1 sell 5@100 leaves 5 kept"]


def test_more_lots_go_to_the_back_of_the_queue(book: Book, play_all: Play, play: Play) -> None:
    play(book, sell(1, 5, 100), sell(2, 5, 100))
    assert play_all(book, pack_replace(1, 100, 6)) == [
        "replaced 1 sell 6@100 leaves 6",
        "level sell 11@100 in 2",
    ]
    assert play(book, buy(3, 6, 100))[0] == "fill 3 buy from 2 5@100 leaves 1/0"


def test_more_lots_of_the_only_order_at_a_price_change_that_price_once(book: Book, play_levels: Play) -> None:
    play_levels(book, sell(1, 5, 100))
    assert play_levels(book, pack_replace(1, 100, 6)) == ["level sell 6@100 in 1"]


def test_another_price_goes_to_the_back_of_its_queue(book: Book, play_all: Play, play: Play) -> None:
    play(book, sell(1, 5, 101), sell(2, 5, 100))
    assert play_all(book, pack_replace(1, 100, 2)) == [
        "replaced 1 sell 2@100 leaves 2",
        "level sell 0@101 in 0",
        "level sell 7@100 in 2",
    ]
    assert play(book, buy(3, 6, 100))[0] == "fill 3 buy from 2 5@100 leaves 1/0"


def test_the_quantity_of_a_replace_includes_what_has_filled(book: Book, play: Play) -> None:
    play(book, sell(1, 10, 100), buy(2, 4, 100))
    assert play(book, pack_replace(1, 100, 7)) == ["replaced 1 sell 7@100 leaves 3 kept"]
    assert play(book, pack_replace(1, 101, 9)) == ["replaced 1 sell 9@101 leaves 5"]


@pytest.mark.parametrize("quantity_lots", [1, 4])
def test_a_replace_down_to_what_has_filled_ends_the_order(
    book: Book, play_all: Play, quantity_lots: int
) -> None:
    play_all(book, sell(1, 10, 100), buy(2, 4, 100))
    assert play_all(book, pack_replace(1, 90, quantity_lots)) == [
        "cancelled 1 sell 6@100 QUANTITY_NOT_ABOVE_FILLED",
        "level sell 0@100 in 0",
    ]
    assert book.leaves(1) == 0


def test_a_replace_into_the_other_side_trades_at_once(book: Book, play_all: Play) -> None:
    play_all(book, sell(1, 3, 102), sell(2, 5, 103), buy(3, 6, 100))
    assert play_all(book, pack_replace(3, 103, 7)) == [
        "replaced 3 buy 7@103 leaves 7",
        "fill 3 buy from 1 3@102 leaves 4/0",
        "fill 3 buy from 2 4@103 leaves 0/1",
        "level buy 0@100 in 0",
        "level sell 0@102 in 0",
        "level sell 1@103 in 1",
    ]
    assert play_all(book, pack_cancel(3)) == ["rejected 3 UNKNOWN_ORDER"]


def test_what_a_replaced_order_leaves_rests(book: Book, play: Play, play_levels: Play) -> None:
    play(book, sell(1, 3, 102), buy(3, 6, 100))
    assert play_levels(book, pack_replace(3, 102, 8)) == [
        "level buy 0@100 in 0",
        "level sell 0@102 in 0",
        "level buy 5@102 in 1",
    ]
    assert play(book, pack_replace(3, 102, 4)) == ["replaced 3 buy 4@102 leaves 1 kept"]


# -- phases


def test_a_new_book_is_closed(make_book: type[Book]) -> None:
    assert make_book().phase == Phase.CLOSED


@pytest.mark.parametrize("phase", [Phase.CLOSED, Phase.HALTED])
def test_a_closed_or_halted_book_takes_only_cancels(book: Book, play: Play, phase: Phase) -> None:
    play(book, buy(1, 5, 100))
    assert play(book, pack_set_phase(phase, 77)) == [f"phase {phase.name} reference 77"]
    assert book.phase == phase
    assert play(book, buy(2, 5, 100), pack_replace(1, 100, 4), pack_uncross(), pack_cancel(1)) == [
        "rejected 2 WRONG_PHASE",
        "rejected 1 WRONG_PHASE",
        "rejected 0 WRONG_PHASE",
        "cancelled 1 buy 5@100 BY_REQUEST",
    ]


def test_orders_outlive_a_halt_with_their_priority(book: Book, play: Play) -> None:
    play(book, buy(1, 5, 100), buy(2, 5, 100), pack_set_phase(Phase.HALTED), pack_set_phase(Phase.CONTINUOUS))
    assert play(book, sell(3, 1, 100)) == ["fill 3 sell from 1 1@100 leaves 0/4"]


def test_a_reference_price_of_zero_keeps_the_one_before(book: Book, play: Play) -> None:
    play(book, pack_set_phase(Phase.HALTED, 77))
    assert play(book, pack_set_phase(Phase.CALL)) == ["phase CALL reference 77"]


def test_a_crossed_book_does_not_open_without_an_uncross(make_book: type[Book], play: Play) -> None:
    book = make_book()
    play(book, pack_set_phase(Phase.CALL), buy(1, 5, 101), sell(2, 5, 100), pack_set_phase(Phase.HALTED))
    assert play(book, pack_set_phase(Phase.CONTINUOUS)) == ["rejected 0 BOOK_CROSSED"]
    assert book.phase == Phase.HALTED


# -- refusals


def command(**fields: int) -> bytes:
    """Return an ADD of 5 lots at 100, order 9, but for ``fields``."""
    record = dict.fromkeys(COMMAND_DTYPE.names or (), 0) | {"order_type": OrderType.LIMIT}
    record |= {"op": BookOp.ADD, "side": Side.BUY, "time_in_force": TimeInForce.GTC, "order_id": 9}
    record |= {"price_ticks": 100, "quantity_lots": 5} | fields
    return np.array([tuple(record[name] for name in COMMAND_DTYPE.names or ())], COMMAND_DTYPE).tobytes()


REFUSED = [
    (command(op=0), "UNKNOWN_OP"),
    (command(op=9), "UNKNOWN_OP"),
    (command(op=255), "UNKNOWN_OP"),
    (command(flags=8), "RESERVED_NOT_ZERO"),
    (command(flags=2**15), "RESERVED_NOT_ZERO"),
    (command(op=BookOp.CANCEL, flags=2), "RESERVED_NOT_ZERO"),
    (command(reserved=1), "RESERVED_NOT_ZERO"),
    (command(flags=1), "MISSING_TAIL"),
    (command(flags=1) + bytes(56) + b"\x01" + bytes(7), "RESERVED_NOT_ZERO"),
    (command(book=1), "UNKNOWN_BOOK"),
    (command(book=2**32 - 1), "UNKNOWN_BOOK"),
    (command(order_type=0), "UNKNOWN_ORDER_TYPE"),
    (command(order_type=5), "UNKNOWN_ORDER_TYPE"),
    (command(self_trade=5), "UNKNOWN_SELF_TRADE"),
    (command(side=0), "UNKNOWN_SIDE"),
    (command(side=3), "UNKNOWN_SIDE"),
    (command(time_in_force=2), "UNKNOWN_TIME_IN_FORCE"),
    (command(time_in_force=5), "UNKNOWN_TIME_IN_FORCE"),
    (command(time_in_force=7), "UNKNOWN_TIME_IN_FORCE"),
    (command(time_in_force=TimeInForce.DAY), "BAD_EXPIRY"),
    (command(order_id=0), "BAD_ORDER_ID"),
    (command(order_id=ORDER_ID_MAX + 1), "BAD_ORDER_ID"),
    (command(order_id=2**64 - 1), "BAD_ORDER_ID"),
    (command(order_id=1), "DUPLICATE_ORDER_ID"),
    (command(price_ticks=0), "BAD_PRICE"),
    (command(price_ticks=-1), "BAD_PRICE"),
    (command(price_ticks=PRICE_TICKS_MAX + 1), "BAD_PRICE"),
    (command(price_ticks=-(2**63)), "BAD_PRICE"),
    (command(quantity_lots=0), "BAD_QUANTITY"),
    (command(quantity_lots=-5), "BAD_QUANTITY"),
    (command(quantity_lots=-(2**63)), "BAD_QUANTITY"),
    (command(quantity_lots=QUANTITY_LOTS_MAX), "QUANTITY_OVERFLOW"),
    (command(op=BookOp.CANCEL), "UNKNOWN_ORDER"),
    (command(op=BookOp.CANCEL, order_id=0), "UNKNOWN_ORDER"),
    (command(op=BookOp.REPLACE), "UNKNOWN_ORDER"),
    (command(op=BookOp.REPLACE, order_id=1, price_ticks=0), "BAD_PRICE"),
    (command(op=BookOp.REPLACE, order_id=1, quantity_lots=0), "BAD_QUANTITY"),
    (command(op=BookOp.REPLACE, order_id=1, quantity_lots=QUANTITY_LOTS_MAX), "QUANTITY_OVERFLOW"),
    (command(op=BookOp.SET_PHASE, phase=7), "UNKNOWN_PHASE"),
    (command(op=BookOp.SET_PHASE, phase=1, reference_price_ticks=-1), "BAD_PRICE"),
    (command(op=BookOp.SET_PHASE, phase=1, reference_price_ticks=PRICE_TICKS_MAX + 1), "BAD_PRICE"),
    (command(op=BookOp.UNCROSS), "WRONG_PHASE"),
]


@pytest.mark.parametrize(("refused", "reason"), REFUSED)
def test_a_bad_command_is_refused_with_its_reason_and_changes_nothing(
    book: Book, play_all: Play, refused: bytes, reason: str
) -> None:
    play_all(book, buy(1, 5, 100), buy(2, 5, 100), sell(3, 5, 101))
    before = book.digest()
    (line,) = play_all(book, refused)
    assert line.endswith(" " + reason)
    assert book.digest() == before


def test_an_uncross_with_a_bad_reference_price_is_refused(make_book: type[Book], play_all: Play) -> None:
    book = make_book()
    play_all(book, pack_set_phase(Phase.CALL))
    assert play_all(book, pack_uncross(-1)) == ["rejected 0 BAD_PRICE"]
    assert play_all(book, pack_uncross(PRICE_TICKS_MAX + 1)) == ["rejected 0 BAD_PRICE"]


# -- limits of the numbers


def test_ids_prices_and_quantities_work_at_their_limits(book: Book, play: Play) -> None:
    top = f"{QUANTITY_LOTS_MAX}@{PRICE_TICKS_MAX}"
    assert play(book, sell(ORDER_ID_MAX, QUANTITY_LOTS_MAX, PRICE_TICKS_MAX)) == [
        f"added {ORDER_ID_MAX} sell {top} leaves {QUANTITY_LOTS_MAX}"
    ]
    assert play(book, buy(1, 1, 1)) == ["added 1 buy 1@1 leaves 1"]
    assert play(book, buy(2, QUANTITY_LOTS_MAX - 1, PRICE_TICKS_MAX)) == [
        f"fill 2 buy from {ORDER_ID_MAX} {QUANTITY_LOTS_MAX - 1}@{PRICE_TICKS_MAX} leaves 0/1"
    ]
    assert book.levels(Side.SELL) == [(PRICE_TICKS_MAX, 1, 1)]


def test_a_side_never_holds_more_lots_than_a_record_can_say(book: Book, play: Play) -> None:
    play(book, buy(1, QUANTITY_LOTS_MAX - 10, 100))
    assert play(book, buy(2, 11, 99)) == ["rejected 2 QUANTITY_OVERFLOW"]
    assert play(book, buy(2, 10, 99)) == ["added 2 buy 10@99 leaves 10"]
    assert play(book, pack_replace(2, 99, 11)) == ["rejected 2 QUANTITY_OVERFLOW"]
    assert play(book, pack_replace(1, 100, 5), pack_replace(2, 99, 11))[1] == "replaced 2 buy 11@99 leaves 11"
