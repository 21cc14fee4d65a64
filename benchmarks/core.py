"""How many order book operations a second, on a recorded flow?

    python -m benchmarks.core FLOW.bin [--mode batch|call] [--runs 5] [--json]

Reads flows of the OFLOW1 format (header, then records of 24 bytes: operation, side,
symbol, id, new id, price, quantity). One book per symbol. ``batch`` applies the flow in
batches, in each of which the commands of a book go in one call; ``call`` makes one Python
call per operation. The preload is not timed. A replace of the flow is a cancel and a new
order in one operation. Trades, volume and hash are taken from the FILL events of a run of
their own and must equal the header's; timed runs must give as many events as that run.
Exit code 1 if anything differs.
"""

import argparse
import json
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ext.book_records import (
    COMMAND_DTYPE,
    EVENT_DTYPE,
    RECORD_BYTES,
    BookEventFlag,
    BookEventKind,
    BookOp,
    OrderType,
    Phase,
    TimeInForce,
    pack_set_phase,
)
from ext.order_book import OrderBook

HEADER = struct.Struct("<8sIIQQQIIQQQ")
MAGIC = b"OFLOW1\0\0"
FLOW_DTYPE = np.dtype(
    [
        ("op", "u1"),
        ("side", "u1"),
        ("pad", "<u2"),
        ("symbol", "<u4"),
        ("id", "<u4"),
        ("new_id", "<u4"),
        ("price", "<u4"),
        ("qty", "<u4"),
    ]
)
FLOW_CANCEL, FLOW_REPLACE = 2, 3
BATCH_OPERATIONS = {1: 4096}
BATCH_OPERATIONS_MANY = 65536
FNV_OFFSET, FNV_PRIME, MASK_64 = 0xCBF29CE484222325, 0x100000001B3, 2**64 - 1

Array = npt.NDArray[np.void]
Step = tuple[int, bytes]
"""A call to make: number of the book, its commands."""


@dataclass(frozen=True)
class Flow:
    """A recorded flow and the trades that price-time priority gives for it."""

    symbols: int
    preload: Array
    timed: Array
    trades: int
    volume: int
    hash: int


@dataclass(frozen=True)
class Trades:
    """Number, volume and order-sensitive hash of trades."""

    trades: int
    volume: int
    hash: int


def read_flow(path: Path) -> Flow:
    """Read a flow file.

    Raises:
        ValueError: It is not a whole OFLOW1 file.
    """
    raw = path.read_bytes()
    if len(raw) < HEADER.size or not raw.startswith(MAGIC):
        raise ValueError(f"{path} is not an OFLOW1 file")
    _, _, symbols, preload, operations, _, _, _, trades, volume, hash_ = HEADER.unpack_from(raw)
    if len(raw) != HEADER.size + (preload + operations) * FLOW_DTYPE.itemsize:
        raise ValueError(f"{path} is cut short")
    records = np.frombuffer(raw, FLOW_DTYPE, offset=HEADER.size)
    return Flow(symbols, records[:preload], records[preload:], trades, volume, hash_)


def book_commands(records: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return the book commands of flow records, and for each the operation it belongs to."""
    is_replace = records["op"] == FLOW_REPLACE
    operation = np.repeat(np.arange(len(records)), 1 + is_replace)
    source = records[operation]
    second = np.zeros(len(operation), bool)
    second[1:] = operation[1:] == operation[:-1]
    is_cancel = (source["op"] == FLOW_CANCEL) | ((source["op"] == FLOW_REPLACE) & ~second)
    commands = np.zeros(len(operation), COMMAND_DTYPE)
    commands["op"] = np.where(is_cancel, BookOp.CANCEL, BookOp.ADD)
    commands["side"] = source["side"] + 1
    commands["time_in_force"] = TimeInForce.GTC
    commands["order_type"] = OrderType.LIMIT
    commands["order_id"] = np.where(second, source["new_id"], source["id"])
    commands["price_ticks"] = source["price"]
    commands["quantity_lots"] = source["qty"]
    return commands, operation


def batch_steps(records: Array, batch_operations: int) -> list[tuple[list[Step], npt.NDArray[np.int64]]]:
    """Cut a flow into batches: the calls of each, and each command's operation in the order of the calls."""
    batches = []
    for start in range(0, len(records), batch_operations):
        commands, operation = book_commands(records[start : start + batch_operations])
        symbols = records["symbol"][start + operation]
        by_book = np.argsort(symbols, kind="stable")
        numbers, first = np.unique(symbols[by_book], return_index=True)
        raw = commands[by_book].tobytes()
        ends = [*(first[1:] * RECORD_BYTES), len(raw)]
        cuts = zip(first * RECORD_BYTES, ends, strict=True)
        steps = [(int(number), raw[a:b]) for number, (a, b) in zip(numbers, cuts, strict=True)]
        batches.append((steps, operation[by_book]))
    return batches


def call_steps(records: Array) -> list[Step]:
    """Return one call per operation."""
    commands, operation = book_commands(records)
    raw = commands.tobytes()
    first = np.searchsorted(operation, np.arange(len(records))) * RECORD_BYTES
    ends = [*first[1:].tolist(), len(raw)]
    symbols = records["symbol"].tolist()
    return [(symbol, raw[a:b]) for symbol, a, b in zip(symbols, first.tolist(), ends, strict=True)]


def fresh_books(flow: Flow) -> list[OrderBook]:
    """Return a book per symbol, in continuous trading."""
    books = [OrderBook() for _ in range(flow.symbols)]
    for book in books:
        book.apply(pack_set_phase(Phase.CONTINUOUS))
    return books


def apply_steps(books: Sequence[OrderBook], steps: Iterable[Step]) -> int:
    """Make the calls; return the bytes of events."""
    applies: list[Callable[[bytes], bytes]] = [book.apply for book in books]
    size = 0
    for number, commands in steps:
        size += len(applies[number](commands))
    return size


def fills_in_flow_order(events: Array, operation: npt.NDArray[np.int64]) -> Array:
    """Return the FILL events of a batch sorted by the operation that caused them."""
    last = (events["flags"] & BookEventFlag.LAST) != 0
    command = np.cumsum(last) - last
    is_fill = events["kind"] == BookEventKind.FILL
    fills: Array = events[is_fill][np.argsort(operation[command[is_fill]], kind="stable")]
    return fills


def trades_of(flow: Flow, batch_operations: int) -> Trades:
    """Run the whole flow once and sum up its trades."""
    books = fresh_books(flow)
    trades = volume = 0
    hash_ = FNV_OFFSET
    for records in (flow.preload, flow.timed):
        for steps, operation in batch_steps(records, batch_operations):
            raw = b"".join([books[number].apply(commands) for number, commands in steps])
            fills = fills_in_flow_order(np.frombuffer(raw, EVENT_DTYPE), operation)
            trades += len(fills)
            volume += int(fills["quantity_lots"].sum())
            fields = ("other_order_id", "order_id", "price_ticks", "quantity_lots")
            values = np.stack([fills[field].astype(np.uint64) for field in fields], axis=1)
            for value in values.ravel().tolist():
                hash_ = (hash_ ^ value) * FNV_PRIME & MASK_64
    return Trades(trades, volume, hash_)


def measure(flow: Flow, mode: str, runs: int, batch_operations: int) -> tuple[list[float], set[int]]:
    """Return operations a second of each run, fresh books each, and the sizes of the events they gave."""
    preload = [step for steps, _ in batch_steps(flow.preload, batch_operations) for step in steps]
    if mode == "call":
        timed = call_steps(flow.timed)
    else:
        timed = [step for steps, _ in batch_steps(flow.timed, batch_operations) for step in steps]
    rates, sizes = [], set()
    for _ in range(runs):
        books = fresh_books(flow)
        apply_steps(books, preload)
        started_ns = time.perf_counter_ns()
        sizes.add(apply_steps(books, timed))
        rates.append(len(flow.timed) * 1e9 / (time.perf_counter_ns() - started_ns))
    return rates, sizes


def run(path: Path, mode: str, runs: int) -> tuple[dict[str, object], bool]:
    """Measure one flow; return the report and whether all that must be equal is."""
    flow = read_flow(path)
    batch_operations = BATCH_OPERATIONS.get(flow.symbols, BATCH_OPERATIONS_MANY)
    found = trades_of(flow, batch_operations)
    rates, sizes = measure(flow, mode, runs, batch_operations)
    equal = (found.trades, found.volume, found.hash) == (flow.trades, flow.volume, flow.hash)
    report: dict[str, object] = {
        "flow": path.name,
        "mode": mode,
        "symbols": flow.symbols,
        "operations": len(flow.timed),
        "runs": runs,
        "ops_per_s": round(statistics.median(rates)),
        "ops_per_s_min": round(min(rates)),
        "ops_per_s_max": round(max(rates)),
        "trades": found.trades,
        "volume": found.volume,
        "hash": f"{found.hash:016x}",
        "equal": equal and len(sizes) == 1,
    }
    return report, equal and len(sizes) == 1


def main() -> int:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.core", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("flow", type=Path)
    parser.add_argument("--mode", choices=["batch", "call"], default="batch")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="last line is one JSON object")
    arguments = parser.parse_args()
    try:
        report, equal = run(arguments.flow, arguments.mode, arguments.runs)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{error}\n")
    for name, value in report.items():
        print(f"{name:15} {value}")
    if arguments.json:
        print(json.dumps(report))
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
