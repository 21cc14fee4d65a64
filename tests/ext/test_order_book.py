"""The book as Python sees it: batches, buffers, snapshots, threads, and a real exchange's flow."""

import csv
import gzip
import hashlib
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ext.book_records import (
    EVENT_DTYPE,
    ORDER_DTYPE,
    ORDER_STRUCT,
    RULES_TAIL_DTYPE,
    SNAPSHOT_MAGIC,
    SNAPSHOT_STRUCT,
    BookEventFlag,
    BookEventKind,
    CommandFlag,
    OrderType,
    Phase,
    Side,
    TimeInForce,
    pack_add,
    pack_cancel,
    pack_replace,
    pack_set_phase,
    pack_set_rules,
    pack_uncross,
)
from ext.naive_order_book import NaiveOrderBook
from ext.order_book import OrderBook

Book = OrderBook | NaiveOrderBook
DATA = Path(__file__).parent.parent / "data"
TICK = 25
STATE_AFTER_TAPE = "9960668a8d1f0101a3b89662101a50bcde8833455c196c84779e750edb13013f"


def some_orders() -> bytes:
    return b"".join(
        [
            pack_add(1, Side.BUY, 100, 5),
            pack_add(2, Side.BUY, 101, 6),
            pack_add(3, Side.SELL, 103, 7),
            pack_add(4, Side.SELL, 103, 8),
            pack_add(5, Side.SELL, 101, 2),
            pack_add(6, Side.BUY, 100, 9),
        ]
    )


# -- batches and buffers


def test_no_commands_give_no_events(book: Book) -> None:
    assert book.apply(b"") == b""


@pytest.mark.parametrize("size", [1, 63, 65, 127])
def test_bytes_that_are_not_whole_commands_are_refused_before_anything_changes(book: Book, size: int) -> None:
    before = book.digest()
    with pytest.raises(ValueError, match="not whole commands"):
        book.apply((some_orders() * 2)[:size])
    assert book.digest() == before


def test_commands_come_in_any_contiguous_buffer(make_book: type[Book]) -> None:
    commands = pack_set_phase(Phase.CONTINUOUS) + some_orders()
    expected = make_book().apply(commands)
    unaligned = memoryview(b"x" + commands)[1:]
    for buffer in (bytearray(commands), unaligned, np.frombuffer(commands, np.uint8).data):
        assert make_book().apply(buffer) == expected


def test_the_last_event_of_each_command_is_flagged(book: Book) -> None:
    events = np.frombuffer(book.apply(some_orders()), EVENT_DTYPE)
    last = (events["flags"] & BookEventFlag.LAST) != 0
    assert last.sum() == 6
    assert last[-1]
    assert (events["kind"][last] == BookEventKind.LEVEL).all()


@pytest.mark.parametrize("wrong", [None, "text", 5, [b""]])
def test_what_is_no_buffer_is_a_type_error(wrong: object) -> None:
    with pytest.raises(TypeError):
        OrderBook().apply(wrong)  # type: ignore[arg-type]


def test_an_order_id_that_no_order_can_have_has_no_leaves(book: Book) -> None:
    assert [book.leaves(order_id) for order_id in (0, 2**63, 2**64 - 1, 2**80, -1)] == [0] * 5


@pytest.mark.parametrize("side", [0, 3, -1, 256])
def test_levels_of_no_side_are_a_value_error(book: Book, side: int) -> None:
    with pytest.raises(ValueError, match="side"):
        book.levels(side)


def test_a_book_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(OrderBook())


OUT_OF_MEMORY = """
import resource
from ext.book_records import pack_add, pack_set_phase
from ext.order_book import OrderBook

def grow(book, first):
    while True:
        book.apply(b"".join(pack_add(order_id, 1, order_id, 1) for order_id in range(first, first + 20)))
        first += 20

book = OrderBook()
book.apply(pack_set_phase(2) + pack_add(1, 2, 10**9, 7))
snapshot = book.snapshot()
with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 48 * 2**20, resource.RLIM_INFINITY))
try:
    grow(book, 2)
except MemoryError:
    pass
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
try:
    book.apply(pack_add(1, 1, 1, 1))
except RuntimeError as error:
    print(error)
book.restore(snapshot)
book._check()
print(book.levels(2), book.levels(1))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_a_book_out_of_memory_is_lost_until_it_is_restored() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "the order book is lost: replay it\n[(1000000000, 7, 1)] []\n"


def test_a_second_thread_is_told_that_the_book_is_at_work() -> None:
    book = OrderBook()
    rest_and_go = pack_add(1, Side.BUY, 100, 5) + pack_cancel(1)
    commands = pack_set_phase(Phase.CONTINUOUS) + rest_and_go * 150_000
    refusal = ""
    while not refusal:
        worker = threading.Thread(target=book.apply, args=(commands,))
        worker.start()
        while worker.is_alive():
            try:
                book.levels(Side.BUY)
            except RuntimeError as error:
                refusal = str(error)
        worker.join()
    assert refusal == "the order book is at work in another thread"
    book._check()


# -- snapshots


def test_orders_are_given_by_side_price_and_time(book: Book) -> None:
    book.apply(some_orders())
    orders = np.frombuffer(book.orders(), ORDER_DTYPE)
    assert orders["order_id"].tolist() == [2, 1, 6, 3, 4]
    assert orders["side"].tolist() == [1, 1, 1, 2, 2]
    assert orders["leaves_lots"].tolist() == [4, 5, 9, 7, 8]
    assert orders["cum_lots"].tolist() == [2, 0, 0, 0, 0]


def test_the_digest_is_of_the_snapshot(book: Book) -> None:
    book.apply(some_orders())
    assert book.digest() == hashlib.sha256(book.snapshot()).digest()


def test_books_that_reach_the_same_state_by_other_ways_have_equal_digests(make_book: type[Book]) -> None:
    straight, winding = make_book(), make_book()
    last = pack_add(8, Side.SELL, 101, 1) + pack_add(9, Side.BUY, 101, 1)
    straight.apply(pack_set_phase(Phase.CONTINUOUS) + pack_add(1, Side.BUY, 100, 5) + last)
    winding.apply(pack_set_phase(Phase.CONTINUOUS) + some_orders() + b"".join(map(pack_cancel, range(2, 7))))
    assert straight.digest() == winding.digest()


def test_a_snapshot_of_one_book_restores_the_other(book: Book) -> None:
    book.apply(some_orders())
    for made in (OrderBook(), NaiveOrderBook()):
        made.restore(book.snapshot())
        made._check()
        assert made.snapshot() == book.snapshot()
        assert made.phase == book.phase


def test_a_call_goes_on_after_a_restore_with_its_indicative_price(make_book: type[Book]) -> None:
    book, restored = make_book(), make_book()
    book.apply(pack_set_phase(Phase.CALL, 100) + some_orders())
    restored.restore(book.snapshot())
    assert restored.apply(pack_cancel(4)) == book.apply(pack_cancel(4))
    assert restored.apply(pack_uncross()) == book.apply(pack_uncross())


HEAD_DTYPE = np.dtype(
    [
        ("magic", "S8"),
        *((name, "<i8") for name in ("phase", "reference", "buys", "sells", "buy_stops", "sell_stops")),
        *((name, "<i8") for name in ("last", "high", "low", "now", "call_end", "random")),
        ("rules", RULES_TAIL_DTYPE),
        ("reserved", "<u8", (3,)),
    ]
)
RESTING = {"order_id": 1, "price_ticks": 100, "leaves_lots": 5, "side": 1, "order_type": OrderType.LIMIT}
RESTING |= {"time_in_force": TimeInForce.GTC, "visible_lots": 5}
WAITING = RESTING | {"order_type": OrderType.STOP, "stop_price_ticks": 90, "visible_lots": 0}
GOOD_RECORDS = [
    RESTING,
    RESTING | {"peak_lots": 3, "visible_lots": 2},
    RESTING | {"time_in_force": TimeInForce.GTD, "expiry_ns": 9, "self_trade": 4, "owner": 7, "group": 8},
    RESTING | {"flags": CommandFlag.POST_ONLY | CommandFlag.REPRICE},
    WAITING,
    WAITING | {"order_type": OrderType.STOP_LIMIT, "peak_lots": 3},
]
BAD_FIELDS: list[dict[str, int]] = [
    {"order_id": 0},
    {"order_id": 2**63},
    {"price_ticks": 0},
    {"price_ticks": 2**62 + 1},
    {"leaves_lots": 0},
    {"cum_lots": -1},
    {"leaves_lots": 2**63 - 1, "visible_lots": 2**63 - 1, "cum_lots": 1},
    {"side": 3},
    {"side": 0},
    {"order_type": OrderType.MARKET},
    {"order_type": 5},
    {"order_type": OrderType.STOP},
    {"stop_price_ticks": 90},
    {"time_in_force": TimeInForce.IOC},
    {"time_in_force": TimeInForce.GTD},
    {"expiry_ns": 9},
    {"self_trade": 5},
    {"flags": CommandFlag.TAIL},
    {"flags": CommandFlag.REPRICE},
    {"visible_lots": 4},
    {"visible_lots": 6},
    {"peak_lots": 4},
    {"peak_lots": -1},
    {"peak_lots": 3, "visible_lots": 0},
    {"reserved": 1},
    WAITING | {"stop_price_ticks": 0},
    WAITING | {"visible_lots": 1},
    WAITING | {"peak_lots": 1},
    WAITING | {"flags": CommandFlag.POST_ONLY},
]
BAD_HEADS: list[dict[str, int]] = [
    {"phase": 7},
    {"phase": -1},
    {"reference": -1},
    {"reference": 2**62 + 1},
    {"last": -1},
    {"high": 5},
    {"low": 5},
    {"high": 4, "low": 5},
    {"now": -1},
    {"now": 2**62},
    {"call_end": -1},
    {"now": 5, "call_end": 5},
    {"buys": 2},
    {"buys": 0, "sells": 1},
    {"buys": -1},
    {"buys": 2**63 - 1, "sells": 2**63 - 1, "buy_stops": 3},
    {"reserved": 1},
]


def head(phase: int, **fields: int) -> bytes:
    """Return the head of a snapshot, all zero but for the fields."""
    made = np.zeros(1, HEAD_DTYPE)
    made["magic"], made["phase"] = SNAPSHOT_MAGIC, phase
    for name, value in fields.items():
        made[name] = value
    raw: bytes = made.tobytes()
    return raw


def one_order(record: dict[str, int], **fields: int) -> bytes:
    """Return the snapshot of a book in its call with one order."""
    made = np.zeros(1, ORDER_DTYPE)
    for name, value in record.items():
        made[name] = value
    side = "buys" if record["side"] == Side.BUY else "sells"
    count = "buy_stops" if record["order_type"] == OrderType.STOP else side
    if record["order_type"] == OrderType.STOP_LIMIT:
        count = "buy_stops"
    raw: bytes = made.tobytes()
    return head(**({"phase": Phase.CALL, count: 1} | fields)) + raw


@pytest.mark.parametrize("record", GOOD_RECORDS)
def test_a_snapshot_of_any_order_that_may_rest_is_taken(
    make_book: type[Book], record: dict[str, int]
) -> None:
    book = make_book()
    book.restore(one_order(record))
    book._check()
    assert book.snapshot() == one_order(record)
    assert book.leaves(1) == 5


def bad_snapshots() -> Iterator[tuple[str, bytes]]:
    book = NaiveOrderBook()
    book.apply(pack_set_phase(Phase.CONTINUOUS) + some_orders())
    good = book.snapshot()
    size = SNAPSHOT_STRUCT.size
    start, orders = good[:size], good[size:]
    wide = ORDER_STRUCT.size
    yield "empty", b""
    yield "cut short", good[:-1]
    yield "an order missing", good[:-wide]
    yield "an order too many", good + good[-wide:]
    yield "wrong magic", b"X" + good[1:]
    yield "the first version's magic", b"ABSTBK01" + good[8:]
    yield "priority upset", start + orders[wide : 2 * wide] + orders[:wide] + orders[2 * wide :]
    for fields in BAD_FIELDS:
        yield f"order with {fields}", one_order(RESTING | fields)
    for fields in BAD_HEADS:
        yield f"head with {fields}", one_order(RESTING, **fields)
    yield (
        "rules out of range",
        head(Phase.CLOSED)[:104] + pack_set_rules(static_collar_ticks=-1)[64:] + bytes(24),
    )
    full = one_order(RESTING | {"leaves_lots": 2**63 - 1, "visible_lots": 2**63 - 1}, buys=2)
    yield "a side with too many lots", full + one_order(RESTING | {"order_id": 2})[size:]
    yield "the same order twice", one_order(RESTING, buys=2) + one_order(RESTING)[size:]
    yield (
        "an order that had expired",
        one_order(RESTING | {"time_in_force": TimeInForce.GTD, "expiry_ns": 9}, now=9),
    )
    yield "a stop order that was reached", one_order(WAITING, phase=Phase.CONTINUOUS, last=95)
    yield "a call's end outside a call", head(Phase.CONTINUOUS, call_end=9)
    crossed = NaiveOrderBook()
    crossed.apply(pack_set_phase(Phase.CALL) + some_orders())
    for phase in (Phase.CONTINUOUS, Phase.POST_ONLY):
        yield f"crossed in {phase.name}", crossed.snapshot()[:8] + bytes([phase]) + crossed.snapshot()[9:]


@pytest.mark.parametrize("snapshot", [pytest.param(bad, id=name) for name, bad in bad_snapshots()])
def test_what_is_no_snapshot_is_refused_and_the_book_stays(book: Book, snapshot: bytes) -> None:
    book.apply(some_orders())
    before = book.snapshot()
    with pytest.raises(ValueError, match="not a snapshot"):
        book.restore(snapshot)
    book._check()
    assert book.snapshot() == before


# -- the flow of a real exchange


def rows(name: str) -> list[dict[str, str]]:
    with gzip.open(DATA / f"tape-{name}.csv.gz", "rt") as lines:
        return list(csv.DictReader(lines))


class Tape:
    """Plays the tape's commands, keeping what filled in the auction and after it."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.fills: list[tuple[int, int, int, int]] = []
        self.auction: dict[tuple[str, int], int] = {}
        self.kinds: set[int] = set()
        self._cum_lots: dict[int, int] = {}

    def play(self, row: dict[str, str]) -> None:
        for command in self._commands(row):
            events = np.frombuffer(self.book.apply(command), EVENT_DTYPE)
            self.kinds |= set(events["kind"].tolist())
            for fill in events[events["kind"] == BookEventKind.FILL]:
                self._note(fill)

    def _commands(self, row: dict[str, str]) -> list[bytes]:
        if row["op"] == "phase":
            if row["side"] == "CALL":
                return [pack_set_phase(Phase.CALL)]
            return [pack_uncross(), pack_set_phase(Phase.CONTINUOUS)]
        order_id = int(row["order_id"])
        if row["op"] == "cancel":
            return [pack_cancel(order_id)]
        price_ticks, lots = int(row["price"]) // TICK, int(row["qty"])
        if row["op"] == "replace":
            return [pack_replace(order_id, price_ticks, lots + self._cum_lots[order_id])]
        self._cum_lots[order_id] = 0
        side = Side.BUY if row["side"] == "B" else Side.SELL
        return [pack_add(order_id, side, price_ticks, lots, TimeInForce[row["tif"]])]

    def _note(self, fill: np.void) -> None:
        taker, maker, lots = int(fill["order_id"]), int(fill["other_order_id"]), int(fill["quantity_lots"])
        for order_id in (taker, maker):
            self._cum_lots[order_id] += lots
        if fill["flags"] & BookEventFlag.AUCTION:
            for key in (("B", taker), ("S", maker)):
                self.auction[key] = self.auction.get(key, 0) + lots
        else:
            self.fills.append((taker, maker, int(fill["price_ticks"]) * TICK, lots))


def test_the_real_tape_fills_one_by_one_as_it_should(make_book: type[Book]) -> None:
    tape = Tape(make_book())
    for row in rows("orders"):
        tape.play(row)
    tape.book._check()
    assert tape.book.digest().hex() == STATE_AFTER_TAPE
    columns = ("taker_order_id", "maker_order_id", "price", "qty")
    assert BookEventKind.REJECTED not in tape.kinds
    assert tape.fills == [tuple(int(row[column]) for column in columns) for row in rows("fills")]
    assert tape.auction == {(row["side"], int(row["order_id"])): int(row["qty"]) for row in rows("auction")}
