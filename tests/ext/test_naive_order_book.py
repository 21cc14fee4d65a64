"""The naive book is the oracle: the fast one gives the same bytes for any stream of commands."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ext.book_records import (
    COMMAND_STRUCT,
    ORDER_ID_MAX,
    PRICE_TICKS_MAX,
    QUANTITY_LOTS_MAX,
    RECORD_BYTES,
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

ORDER_IDS = st.integers(1, 24)
PRICES_TICKS = st.integers(1, 12)
QUANTITIES_LOTS = st.integers(1, 20)
SIDES = st.sampled_from(Side)

TIMES_IN_FORCE = st.sampled_from([*[TimeInForce.GTC] * 4, TimeInForce.IOC])

ADDS = st.builds(pack_add, ORDER_IDS, SIDES, PRICES_TICKS, QUANTITIES_LOTS, TIMES_IN_FORCE)
CANCELS = st.builds(pack_cancel, ORDER_IDS)
REPLACES = st.builds(pack_replace, ORDER_IDS, PRICES_TICKS, QUANTITIES_LOTS)
REFERENCES_TICKS = st.integers(0, 13)
PHASES = st.builds(pack_set_phase, st.sampled_from(Phase), REFERENCES_TICKS)
OPENINGS = st.builds(
    lambda reference, phase: pack_uncross(reference) + pack_set_phase(phase),
    REFERENCES_TICKS,
    st.sampled_from([Phase.CONTINUOUS, Phase.CALL]),
)
EDGES = st.sampled_from(
    [0, 1, -1, ORDER_ID_MAX, PRICE_TICKS_MAX, PRICE_TICKS_MAX + 1, QUANTITY_LOTS_MAX, -(2**63)]
)
SMALL_OR_EDGE = st.one_of(st.integers(0, 12), EDGES)
UNSIGNED = SMALL_OR_EDGE.map(lambda number: number % 2**64)
MALFORMED = st.builds(
    COMMAND_STRUCT.pack,
    st.integers(0, 7),
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(0, 5),
    st.sampled_from([0, 0, 0, 1]),
    UNSIGNED,
    SMALL_OR_EDGE,
    SMALL_OR_EDGE,
    SMALL_OR_EDGE,
    st.sampled_from([0, 0, 0, 7]),
    st.just(0),
    st.just(0),
)
COMMANDS = st.one_of(ADDS, ADDS, ADDS, ADDS, REPLACES, CANCELS, PHASES, OPENINGS, MALFORMED)
STARTS = st.sampled_from([pack_set_phase(Phase.CONTINUOUS), pack_set_phase(Phase.CALL, 6)])
STREAMS = st.builds(lambda start, rest: [start, *rest], STARTS, st.lists(COMMANDS, max_size=80))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STREAMS)
def test_both_books_give_the_same_events_and_digest(stream: list[bytes]) -> None:
    fast, naive = OrderBook(), NaiveOrderBook()
    for commands in stream:
        assert fast.apply(commands) == naive.apply(commands)
        fast._check()
        naive._check()
        assert fast.digest() == naive.digest()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STREAMS)
def test_one_batch_gives_what_its_commands_give_one_by_one(stream: list[bytes]) -> None:
    whole, single = OrderBook(), OrderBook()
    batch = b"".join(stream)
    one_by_one = [single.apply(batch[at : at + RECORD_BYTES]) for at in range(0, len(batch), RECORD_BYTES)]
    assert whole.apply(batch) == b"".join(one_by_one)
    assert whole.digest() == single.digest()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
