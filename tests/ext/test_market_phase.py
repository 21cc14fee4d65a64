"""Phases, timed calls, collars, volatility interruptions, allocation by size, mass cancel."""

from collections.abc import Callable

import numpy as np
import pytest

from ext.book_records import (
    EVENT_DTYPE,
    ORDER_DTYPE,
    Allocation,
    BookEventFlag,
    BookEventKind,
    OrderType,
    Phase,
    RuleFlag,
    Side,
    TimeInForce,
    pack_add,
    pack_cancel,
    pack_clock,
    pack_mass_cancel,
    pack_replace,
    pack_set_phase,
    pack_set_rules,
    pack_uncross,
)
from ext.naive_order_book import NaiveOrderBook
from ext.order_book import OrderBook

Book = OrderBook | NaiveOrderBook
Play = Callable[..., list[str]]


def buy(order_id: int, lots: int, price_ticks: int, tif: int = TimeInForce.GTC, **more: int) -> bytes:
    return pack_add(order_id, Side.BUY, price_ticks, lots, tif, **more)


def sell(order_id: int, lots: int, price_ticks: int, tif: int = TimeInForce.GTC, **more: int) -> bytes:
    return pack_add(order_id, Side.SELL, price_ticks, lots, tif, **more)


# -- phases


def test_before_the_opening_orders_collect_and_nothing_is_told_of_a_price(
    make_book: type[Book], play: Play
) -> None:
    book = make_book()
    play(book, pack_set_phase(Phase.PRE_OPEN))
    assert play(book, buy(1, 5, 101), sell(2, 3, 100), pack_uncross()) == [
        "added 1 buy 5@101 leaves 5",
        "added 2 sell 3@100 leaves 3",
        "rejected 0 WRONG_PHASE",
    ]
    assert play(book, pack_set_phase(Phase.CALL)) == [
        "phase CALL reference 0",
        "indicative 3@101 surplus +2",
    ]


def test_the_cancel_only_phase_takes_cancels_only(book: Book, play: Play) -> None:
    play(book, buy(1, 5, 100), pack_set_phase(Phase.CANCEL_ONLY))
    assert play(book, buy(2, 5, 100), pack_replace(1, 100, 4), pack_cancel(1)) == [
        "rejected 2 WRONG_PHASE",
        "rejected 1 WRONG_PHASE",
        "cancelled 1 buy 5@100 BY_REQUEST",
    ]


@pytest.mark.parametrize("phase", [Phase.CONTINUOUS, Phase.POST_ONLY])
def test_a_crossed_book_goes_on_only_through_an_uncross(
    make_book: type[Book], play: Play, phase: Phase
) -> None:
    book = make_book()
    play(book, pack_set_phase(Phase.PRE_OPEN), buy(1, 5, 101), sell(2, 5, 100))
    assert play(book, pack_set_phase(phase)) == ["rejected 0 BOOK_CROSSED"]


# -- timed calls


def test_a_timed_call_uncrosses_and_opens_by_the_clock(make_book: type[Book], play: Play) -> None:
    book = make_book()
    play(book, pack_set_phase(Phase.CALL, 99, end_ns=50), buy(1, 5, 101), sell(2, 5, 100))
    assert book.next_deadline_ns() == 50
    assert play(book, pack_clock(49)) == ["clock expired 0"]
    assert play(book, pack_clock(50)) == [
        "uncrossed 5@100 surplus +0",
        "fill 1 buy from 2 5@100 leaves 0/0",
        "phase CONTINUOUS reference 100",
        "clock expired 0",
    ]


def test_what_is_due_first_happens_first(make_book: type[Book], play: Play) -> None:
    book = make_book()
    play(book, pack_set_phase(Phase.CALL, end_ns=50), sell(9, 5, 100))
    play(book, buy(1, 1, 100, TimeInForce.GTD, expiry_ns=50), buy(2, 2, 100, TimeInForce.GTD, expiry_ns=51))
    assert play(book, pack_clock(60)) == [
        "cancelled 1 buy 1@100 EXPIRED",
        "uncrossed 2@100 surplus -3",
        "fill 2 buy from 9 2@100 leaves 0/3",
        "phase CONTINUOUS reference 100",
        "clock expired 1",
    ]


@pytest.mark.parametrize("end_ns", [-1, 10, 2**62])
def test_a_call_ends_after_now(make_book: type[Book], play: Play, end_ns: int) -> None:
    book = make_book()
    play(book, pack_clock(10))
    assert play(book, pack_set_phase(Phase.CALL, end_ns=end_ns)) == ["rejected 0 BAD_TIME"]


def ends_of_calls(book: Book, seed: int) -> list[int]:
    book.apply(pack_set_rules(random_end_ns=30, seed=seed))
    ends = []
    for _ in range(20):
        book.apply(pack_set_phase(Phase.CALL, end_ns=100))
        ends.append(book.next_deadline_ns())
    return ends


def test_a_random_end_lies_within_its_range_and_comes_from_the_seed_alone(make_book: type[Book]) -> None:
    ends = ends_of_calls(make_book(), seed=5)
    assert ends == ends_of_calls(make_book(), seed=5)
    assert ends != ends_of_calls(make_book(), seed=6)
    assert len(set(ends)) > 5
    assert all(100 <= end <= 130 for end in ends)


# -- collars


def test_a_static_collar_stops_an_order_at_its_distance_from_the_reference(book: Book, play: Play) -> None:
    play(book, pack_set_phase(Phase.CONTINUOUS, 100), pack_set_rules(static_collar_ticks=5))
    play(book, sell(1, 2, 105), sell(2, 2, 106))
    assert play(book, buy(3, 4, 110)) == [
        "fill 3 buy from 1 2@105 leaves 2/0",
        "cancelled 3 buy 2@110 OUTSIDE_COLLAR",
    ]


def test_a_dynamic_collar_lies_around_the_last_trade_before_the_order(book: Book, play: Play) -> None:
    play(book, sell(1, 1, 100), buy(2, 1, 100), pack_set_rules(dynamic_collar_ticks=2))
    play(book, buy(3, 1, 98), buy(4, 1, 97))
    assert play(book, sell(5, 2, 90)) == [
        "fill 5 sell from 3 1@98 leaves 1/0",
        "cancelled 5 sell 1@90 OUTSIDE_COLLAR",
    ]
    assert play(book, sell(6, 2, 97)) == ["fill 6 sell from 4 1@97 leaves 1/0", "added 6 sell 2@97 leaves 1"]


def test_a_resting_order_beyond_the_collar_is_no_breach(book: Book, play: Play) -> None:
    play(book, pack_set_phase(Phase.CONTINUOUS, 100), pack_set_rules(static_collar_ticks=5))
    assert play(book, buy(1, 1, 50)) == ["added 1 buy 1@50 leaves 1"]


def test_fill_or_kill_counts_only_what_lies_within_the_collar(book: Book, play: Play) -> None:
    play(book, pack_set_phase(Phase.CONTINUOUS, 100), pack_set_rules(static_collar_ticks=5), sell(1, 2, 106))
    assert play(book, buy(2, 2, 110, TimeInForce.FOK)) == ["cancelled 2 buy 2@110 FOK_NOT_FILLABLE"]


def test_an_interruption_turns_to_a_call_that_reopens_by_itself(book: Book, play: Play) -> None:
    rules = {"static_collar_ticks": 5, "interruption_ns": 40, "flags": RuleFlag.INTERRUPT}
    play(book, pack_set_phase(Phase.CONTINUOUS, 100), pack_set_rules(**rules), pack_clock(10))
    play(book, sell(1, 2, 105), sell(2, 2, 108))
    assert play(book, buy(3, 4, 110)) == [
        "fill 3 buy from 1 2@105 leaves 2/0",
        "phase CALL reference 100 interruption",
        "added 3 buy 4@110 leaves 2",
        "indicative 2@108 surplus +0",
    ]
    assert book.next_deadline_ns() == 50
    assert play(book, pack_clock(50)) == [
        "uncrossed 2@108 surplus +0",
        "fill 3 buy from 2 2@108 leaves 0/0",
        "phase CONTINUOUS reference 108",
        "clock expired 0",
    ]


def test_an_interruption_ends_a_cascade_and_what_was_reached_waits(book: Book, play: Play) -> None:
    rules = {"static_collar_ticks": 5, "flags": RuleFlag.INTERRUPT}
    play(book, pack_set_phase(Phase.CONTINUOUS, 100), pack_set_rules(**rules))
    play(book, sell(1, 1, 101), sell(2, 9, 120))
    for order_id in (11, 12):
        play(book, buy(order_id, 1, 130, order_type=OrderType.STOP, stop_price_ticks=101))
    assert play(book, buy(3, 1, 101)) == [
        "fill 3 buy from 1 1@101 leaves 0/0",
        "triggered 11 buy 1@130 leaves 1",
        "phase CALL reference 100 interruption",
        "cancelled 11 buy 1@130 IOC_REMAINDER",
    ]
    assert play(book, pack_uncross(), pack_set_phase(Phase.CONTINUOUS, 120))[2:] == [
        "triggered 12 buy 1@130 leaves 1",
        "fill 12 buy from 2 1@120 leaves 0/8",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"static_collar_ticks": -1},
        {"dynamic_collar_ticks": 2**61 + 1},
        {"interruption_ns": -1},
        {"random_end_ns": 2**61 + 1},
        {"minimum_allocation_lots": -1},
        {"allocation": 2},
        {"flags": 2},
    ],
)
def test_rules_out_of_range_are_refused(book: Book, play: Play, wrong: dict[str, int]) -> None:
    before = book.digest()
    assert play(book, pack_set_rules(**wrong)) == ["rejected 0 BAD_RULES"]
    assert book.digest() == before


# -- allocation by size


def test_by_size_each_gets_its_share_and_what_is_left_over_goes_by_time(book: Book, play_all: Play) -> None:
    play_all(book, pack_set_rules(allocation=Allocation.PRO_RATA))
    play_all(book, sell(1, 10, 100), sell(2, 30, 100), sell(3, 60, 100))
    assert play_all(book, buy(4, 9, 100)) == [
        "fill 4 buy from 1 2@100 leaves 7/8",
        "fill 4 buy from 2 2@100 leaves 5/28",
        "fill 4 buy from 3 5@100 leaves 0/55",
        "level sell 91@100 in 3",
    ]


def test_a_share_under_the_minimum_is_none(book: Book, play: Play) -> None:
    play(book, pack_set_rules(allocation=Allocation.PRO_RATA, minimum_allocation_lots=3))
    play(book, sell(1, 60, 100), sell(2, 30, 100), sell(3, 10, 100))
    assert play(book, buy(4, 9, 100)) == ["fill 4 buy from 1 9@100 leaves 0/51"]


def test_shares_of_the_largest_quantities_do_not_overflow(book: Book, play: Play) -> None:
    play(book, pack_set_rules(allocation=Allocation.PRO_RATA))
    play(book, sell(1, 2**62 - 1, 100), sell(2, 2**62, 100))
    assert play(book, buy(3, 2**62, 100)) == [
        f"fill 3 buy from 1 {2**61}@100 leaves {2**61}/{2**61 - 1}",
        f"fill 3 buy from 2 {2**61}@100 leaves 0/{2**61}",
    ]


# -- mass cancel


def test_a_mass_cancel_names_owner_side_and_group(book: Book, play: Play) -> None:
    play(book, buy(1, 5, 99, owner=7, group=1), buy(2, 5, 98, owner=7), sell(3, 5, 101, owner=7, group=1))
    play(book, sell(4, 5, 102, owner=8, group=1), sell(5, 5, 103))
    assert play(book, pack_mass_cancel(owner=7, group=1)) == [
        "cancelled 1 buy 5@99 BY_MASS_CANCEL",
        "cancelled 3 sell 5@101 BY_MASS_CANCEL",
        "mass cancelled 2",
    ]
    assert play(book, pack_mass_cancel(side=Side.SELL)) == [
        "cancelled 4 sell 5@102 BY_MASS_CANCEL",
        "cancelled 5 sell 5@103 BY_MASS_CANCEL",
        "mass cancelled 2",
    ]
    assert play(book, pack_mass_cancel(side=3), pack_mass_cancel(owner=9)) == [
        "rejected 0 UNKNOWN_SIDE",
        "mass cancelled 0",
    ]


def test_a_mass_cancel_reaches_stop_orders_and_works_in_a_halt(book: Book, play: Play) -> None:
    play(book, buy(1, 5, 110, order_type=OrderType.STOP, stop_price_ticks=105), pack_set_phase(Phase.HALTED))
    assert play(book, pack_mass_cancel()) == ["cancelled 1 buy 5@110 BY_MASS_CANCEL", "mass cancelled 1"]


# -- the book order by order


class OrderByOrder:
    """The visible book, kept from events alone."""

    def __init__(self) -> None:
        self.queues: dict[int, tuple[int, int, int]] = {}

    def take(self, event: np.void) -> None:
        kind, order_id = BookEventKind(event["kind"]), int(event["order_id"])
        stop = bool(event["flags"] & BookEventFlag.STOP)
        shown = (int(event["side"]), int(event["price_ticks"]), int(event["other_leaves_lots"]))
        if kind in (BookEventKind.FILL, BookEventKind.PREVENTED):
            trades = kind is BookEventKind.FILL or event["reason"] == 4
            for named in (order_id, int(event["other_order_id"])):
                self._reduce(named, int(event["quantity_lots"]) if trades else 0)
        elif kind is BookEventKind.CANCELLED:
            self.queues.pop(order_id, None)
        elif stop:
            return
        elif kind is BookEventKind.REPLACED and event["flags"] & BookEventFlag.PRIORITY_KEPT:
            self.queues[order_id] = shown
        elif kind in (BookEventKind.ADDED, BookEventKind.REFILLED, BookEventKind.REPLACED):
            self.queues.pop(order_id, None)
            self.queues[order_id] = shown

    def _reduce(self, order_id: int, lots: int) -> None:
        if order_id in self.queues:
            side, price, visible = self.queues[order_id]
            self.queues[order_id] = (side, price, visible - lots)
            if visible == lots:
                del self.queues[order_id]

    def by_priority(self) -> list[tuple[int, int]]:
        key = {1: -1, 2: 1}
        queues = sorted(self.queues.items(), key=lambda item: (item[1][0], key[item[1][0]] * item[1][1]))
        return [(order_id, visible) for order_id, (_, _, visible) in queues]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("allocation", Allocation)
def test_events_alone_tell_the_book_order_by_order(book: Book, seed: int, allocation: Allocation) -> None:
    chance = np.random.default_rng(seed)
    kept = OrderByOrder()
    book.apply(pack_set_rules(allocation=allocation, minimum_allocation_lots=2))
    for order_id in range(1, 250):
        kind, price, lots = chance.random(), int(chance.integers(1, 12)), int(chance.integers(1, 15))
        side, more = (
            int(chance.integers(1, 3)),
            {"owner": int(chance.integers(0, 3)), "self_trade": order_id % 5},
        )
        command = pack_add(order_id, side, price, lots, peak_lots=int(chance.integers(0, lots + 1)), **more)
        if kind < 0.15:
            command = pack_cancel(int(chance.integers(1, order_id + 1)))
        elif kind < 0.35:
            command = pack_replace(int(chance.integers(1, order_id + 1)), price, lots)
        for event in np.frombuffer(book.apply(command), EVENT_DTYPE):
            kept.take(event)
        orders = np.frombuffer(book.orders(), ORDER_DTYPE)
        assert kept.by_priority() == list(
            zip(orders["order_id"].tolist(), orders["visible_lots"].tolist(), strict=True)
        )
