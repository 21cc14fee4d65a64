"""The naive book is the oracle: the fast one gives the same bytes for any stream of commands."""

import os
from collections import Counter

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ext.book_records import (
    COMMAND_STRUCT,
    EVENT_DTYPE,
    ORDER_ID_MAX,
    PRICE_TICKS_MAX,
    QUANTITY_LOTS_MAX,
    Allocation,
    BookEventFlag,
    BookEventKind,
    CancelReason,
    CommandFlag,
    OrderType,
    Phase,
    SelfTrade,
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

EXAMPLES = int(os.environ.get("BOOK_EXAMPLES", "300"))
ORDER_IDS = st.integers(1, 24)
PRICES_TICKS = st.integers(1, 12)
QUANTITIES_LOTS = st.integers(1, 20)
SIDES = st.sampled_from(Side)
OWNERS = st.integers(0, 2)
TIMES_NS = st.integers(0, 60)
RESTING = st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY])
IMMEDIATE = st.sampled_from([TimeInForce.IOC, TimeInForce.FOK])
POST_ONLY = st.sampled_from([CommandFlag.POST_ONLY, CommandFlag.POST_ONLY | CommandFlag.REPRICE])


@st.composite
def orders(draw: st.DrawFn) -> bytes:
    """Orders of every type, nearly all of them possible."""
    kind = draw(
        st.sampled_from(["plain"] * 4 + ["iceberg", "immediate", "minimum", "stop", "post only", "any"])
    )
    order_type, tif, more = OrderType.LIMIT, TimeInForce.GTC, {}
    if kind in ("plain", "iceberg"):
        tif = draw(RESTING)
    if kind in ("iceberg", "any"):
        more["peak_lots"] = draw(st.integers(1, 6))
    if kind == "immediate":
        order_type, tif = draw(st.sampled_from([OrderType.LIMIT, OrderType.MARKET])), draw(IMMEDIATE)
    if kind in ("minimum", "any"):
        more["minimum_lots"] = draw(st.integers(1, 12))
    if kind in ("stop", "any"):
        order_type, tif = draw(st.sampled_from([OrderType.STOP, OrderType.STOP_LIMIT])), draw(RESTING)
        more["stop_price_ticks"] = draw(PRICES_TICKS)
    if tif in (TimeInForce.GTD, TimeInForce.DAY):
        more["expiry_ns"] = draw(TIMES_NS)
    if kind in ("post only", "any"):
        more["flags"] = draw(POST_ONLY)
    if draw(st.booleans()):
        more |= {"owner": draw(OWNERS), "group": draw(OWNERS), "self_trade": draw(st.sampled_from(SelfTrade))}
    numbers = (draw(ORDER_IDS), draw(SIDES), draw(PRICES_TICKS), draw(QUANTITIES_LOTS))
    return pack_add(*numbers, tif, order_type, **more)


CANCELS = st.builds(pack_cancel, ORDER_IDS)
REPLACES = st.builds(pack_replace, ORDER_IDS, PRICES_TICKS, QUANTITIES_LOTS)
REFERENCES_TICKS = st.integers(0, 13)
PHASES = st.builds(pack_set_phase, st.sampled_from(Phase), REFERENCES_TICKS, TIMES_NS)
OPENINGS = st.builds(
    lambda reference, phase: pack_uncross(reference) + pack_set_phase(phase),
    REFERENCES_TICKS,
    st.sampled_from([Phase.CONTINUOUS, Phase.CALL]),
)
CLOCKS = st.builds(pack_clock, TIMES_NS)
MASS_CANCELS = st.builds(pack_mass_cancel, OWNERS, st.integers(0, 2), OWNERS)
RULES = st.builds(
    pack_set_rules,
    static_collar_ticks=st.sampled_from([0, 0, 2, 4]),
    dynamic_collar_ticks=st.sampled_from([0, 0, 1, 3]),
    interruption_ns=st.sampled_from([0, 5]),
    random_end_ns=st.sampled_from([0, 7]),
    minimum_allocation_lots=st.integers(0, 3),
    seed=st.integers(0, 2**64 - 1),
    allocation=st.sampled_from(Allocation),
    flags=st.integers(0, 1),
)
EDGES = st.sampled_from(
    [0, 1, -1, ORDER_ID_MAX, PRICE_TICKS_MAX, PRICE_TICKS_MAX + 1, QUANTITY_LOTS_MAX, -(2**63)]
)
SMALL_OR_EDGE = st.one_of(st.integers(0, 12), EDGES)
MOSTLY_ZERO = st.sampled_from([0, 0, 0, 1, 2**32 - 1])
MALFORMED = st.builds(
    lambda head, numbers, rest, tail: (
        COMMAND_STRUCT.pack(*head, numbers[0] % 2**64, *numbers[1:], *rest) + tail
    ),
    st.tuples(*(st.integers(0, most) for most in (9, 3, 7, 8, 5, 5, 9))),
    st.tuples(*[SMALL_OR_EDGE] * 4),
    st.tuples(MOSTLY_ZERO, MOSTLY_ZERO, MOSTLY_ZERO, MOSTLY_ZERO, SMALL_OR_EDGE),
    st.one_of(
        st.just(b""),
        st.lists(SMALL_OR_EDGE, min_size=8, max_size=8).map(
            lambda numbers: b"".join((number % 2**64).to_bytes(8, "little") for number in numbers)
        ),
    ),
)
ORDERS = orders()
COMMANDS = st.one_of(
    ORDERS, ORDERS, ORDERS, ORDERS, ORDERS, REPLACES, CANCELS, PHASES, OPENINGS, CLOCKS, MASS_CANCELS, RULES,
    MALFORMED,
)  # fmt: skip
STARTS = st.sampled_from([pack_set_phase(Phase.CONTINUOUS), pack_set_phase(Phase.CALL, 6)])
STREAMS = st.builds(lambda start, rest: [start, *rest], STARTS, st.lists(COMMANDS, max_size=80))
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(STREAMS)
def test_both_books_give_the_same_events_and_digest(stream: list[bytes]) -> None:
    fast, naive = OrderBook(), NaiveOrderBook()
    for commands in stream:
        assert fast.apply(commands) == naive.apply(commands)
        fast._check()
        naive._check()
        assert fast.digest() == naive.digest()
        assert fast.next_deadline_ns() == naive.next_deadline_ns()


@settings(max_examples=EXAMPLES // 3, deadline=None, suppress_health_check=SLOW)
@given(STREAMS)
def test_one_batch_gives_what_its_commands_give_one_by_one(stream: list[bytes]) -> None:
    whole, single = OrderBook(), OrderBook()
    stream = [commands for commands in stream if not ends_inside_a_command(commands)]
    assert whole.apply(b"".join(stream)) == b"".join([single.apply(commands) for commands in stream])
    assert whole.digest() == single.digest()


def ends_inside_a_command(commands: bytes) -> bool:
    """Whether the next bytes would be taken for the tail of the last command."""
    at = 0
    while at < len(commands):
        at += 128 if commands[at + 6] & CommandFlag.TAIL else 64
    return at > len(commands)


@settings(max_examples=EXAMPLES // 3, deadline=None, suppress_health_check=SLOW)
@given(STREAMS, st.data())
def test_a_book_restored_anywhere_goes_on_as_if_it_had_never_stopped(
    stream: list[bytes], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    book, restored = OrderBook(), OrderBook()
    book.apply(b"".join(stream[:cut]))
    restored.apply(pack_set_phase(Phase.CALL) + pack_add(1, Side.BUY, 5, 5))
    restored.restore(book.snapshot())
    restored._check()
    assert restored.apply(b"".join(stream[cut:])) == book.apply(b"".join(stream[cut:]))
    assert restored.snapshot() == book.snapshot()


# -- what holds of any stream


def lots_by_order(events: np.ndarray) -> dict[int, Counter[str]]:
    """Return what happened to the lots of each order id, over all orders that had it."""
    lots: dict[int, Counter[str]] = {}
    for event in events:
        kind, order_id = BookEventKind(event["kind"]), int(event["order_id"])
        if kind is BookEventKind.FILL:
            lots.setdefault(order_id, Counter())["filled"] += int(event["quantity_lots"])
            lots.setdefault(int(event["other_order_id"]), Counter())["filled"] += int(event["quantity_lots"])
        elif kind is BookEventKind.CANCELLED:
            lots.setdefault(order_id, Counter())["cancelled"] += int(event["quantity_lots"])
    return lots


@settings(max_examples=EXAMPLES // 3, deadline=None, suppress_health_check=SLOW)
@given(st.lists(ORDERS, max_size=60), st.sampled_from(Allocation))
def test_every_lot_is_filled_cancelled_or_still_there(entered: list[bytes], allocation: Allocation) -> None:
    book = OrderBook()
    book.apply(pack_set_rules(allocation=allocation) + pack_set_phase(Phase.CONTINUOUS))
    total = filled = cancelled = 0
    for command in entered:
        events = np.frombuffer(book.apply(command), EVENT_DTYPE)
        prevented = events[(events["kind"] == BookEventKind.PREVENTED) & (events["reason"] == 4)]
        if BookEventKind.REJECTED not in events["kind"]:
            total += int.from_bytes(command[24:32], "little") - 2 * int(prevented["quantity_lots"].sum())
        for sums in lots_by_order(events).values():
            filled += sums["filled"]
            cancelled += sums["cancelled"]
    resting = sum(book.leaves(order_id) for order_id in range(1, 25))
    assert total == filled + cancelled + resting


@settings(max_examples=EXAMPLES // 3, deadline=None, suppress_health_check=SLOW)
@given(STREAMS)
def test_nobody_who_asks_for_it_trades_with_himself_in_continuous_trading(stream: list[bytes]) -> None:
    book = OrderBook()
    modes: dict[int, int] = {}
    for commands in stream:
        if commands[0] == 1 and not ends_inside_a_command(commands):
            order_id = int.from_bytes(commands[8:16], "little")
            modes[order_id] = commands[5] if book.leaves(order_id) == 0 else modes.get(order_id, 0)
        for event in np.frombuffer(book.apply(commands), EVENT_DTYPE):
            own = event["kind"] == BookEventKind.FILL and event["flags"] & BookEventFlag.SAME_OWNER
            if own and not event["flags"] & BookEventFlag.AUCTION:
                assert modes[int(event["order_id"])] == SelfTrade.ALLOWED
            if event["kind"] == BookEventKind.CANCELLED and event["reason"] == CancelReason.FOK_NOT_FILLABLE:
                assert event["quantity_lots"] > 0
