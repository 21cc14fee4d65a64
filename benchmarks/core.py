"""How many order book operations a second, on a recorded flow?

    python -m benchmarks.core FLOW.bin [--mode batch|call] [--runs 5] [--json]

Reads flows of the OFLOW1 format (header, then records of 24 bytes: operation, side,
symbol, id, new id, price, quantity). One set holds a book per symbol; the flow is applied in its own
order. ``batch`` applies it in batches of 256 operations, ``call`` makes one Python call per operation.
The preload is not timed. A replace of the flow is a cancel and a new order in one operation.
Trades, volume and hash are taken from the FILL events of a run of their own and must equal the
header's; timed runs must all give equally many events. Percentiles are of single operations, by the
processor's clock inside the loop, in a run of their own; its reading is taken off, a replace has it
taken off twice. ``bytes_per_order`` is all memory of the set at the end by the orders that rest then.
Exit code 1 if anything differs.
"""

import argparse
import json
import statistics
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ext.book_records import (
    COMMAND_DTYPE,
    EVENT_DTYPE,
    ORDER_STRUCT,
    SNAPSHOT_STRUCT,
    BookEventKind,
    BookOp,
    OrderType,
    Phase,
    TimeInForce,
    pack_set_phase,
)
from ext.order_book import BookSet, read_ticks, tick_overhead

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
BATCH_OPERATIONS = 256
FNV_OFFSET, FNV_PRIME, MASK_64 = 0xCBF29CE484222325, 0x100000001B3, 2**64 - 1

Array = npt.NDArray[np.void]


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
    commands["book"] = source["symbol"]
    commands["quantity_lots"] = source["qty"]
    return commands, operation


def cut(records: Array, batch_operations: int) -> list[bytes]:
    """Cut a flow into batches of commands, in its own order."""
    starts = range(0, len(records), batch_operations)
    return [book_commands(records[start : start + batch_operations])[0].tobytes() for start in starts]


def opened_books(flow: Flow) -> BookSet:
    """Return a book per symbol, in continuous trading, all in one set."""
    books = BookSet(flow.symbols)
    books.apply(b"".join(pack_set_phase(Phase.CONTINUOUS, book=book) for book in range(flow.symbols)))
    return books


def apply_all(books: BookSet, batches: list[bytes]) -> int:
    """Make the calls; return the bytes of events."""
    size = 0
    apply = books.apply
    for commands in batches:
        size += len(apply(commands))
    return size


def trades_of(flow: Flow) -> Trades:
    """Run the whole flow once and sum up its trades."""
    books = opened_books(flow)
    trades = volume = 0
    hash_ = FNV_OFFSET
    for commands in cut(flow.preload, BATCH_OPERATIONS) + cut(flow.timed, BATCH_OPERATIONS):
        events = np.frombuffer(books.apply(commands), EVENT_DTYPE)
        fills = events[events["kind"] == BookEventKind.FILL]
        trades += len(fills)
        volume += int(fills["quantity_lots"].sum())
        fields = ("other_order_id", "order_id", "price_ticks", "quantity_lots")
        values = np.stack([fills[field].astype(np.uint64) for field in fields], axis=1)
        for value in values.ravel().tolist():
            hash_ = (hash_ ^ value) * FNV_PRIME & MASK_64
    return Trades(trades, volume, hash_)


def measure(flow: Flow, mode: str, runs: int) -> tuple[list[float], set[int], float]:
    """Return operations a second of each run, fresh books each, the sizes of the events they gave, and the
    bytes held for each order at the end."""
    preload = cut(flow.preload, BATCH_OPERATIONS)
    timed = cut(flow.timed, 1 if mode == "call" else BATCH_OPERATIONS)
    rates, sizes, bytes_per_order = [], set(), 0.0
    for _ in range(runs):
        books = opened_books(flow)
        apply_all(books, preload)
        started_ns = time.perf_counter_ns()
        sizes.add(apply_all(books, timed))
        rates.append(len(flow.timed) * 1e9 / (time.perf_counter_ns() - started_ns))
        orders = (len(books.snapshot()) - flow.symbols * SNAPSHOT_STRUCT.size) // ORDER_STRUCT.size
        bytes_per_order = books.memory() / max(orders, 1)
    return rates, sizes, bytes_per_order


def ticks_per_ns() -> float:
    """Hold the processor's clock against the system's for 50 ms."""
    started_ns, started = time.perf_counter_ns(), read_ticks()
    while time.perf_counter_ns() - started_ns < 50_000_000:
        pass
    return (read_ticks() - started) / (time.perf_counter_ns() - started_ns)


def latencies_ns(flow: Flow) -> dict[str, float]:
    """Return percentiles of the time one operation takes inside the loop, the clock's own taken off."""
    books = opened_books(flow)
    apply_all(books, cut(flow.preload, BATCH_OPERATIONS))
    commands, operation = book_commands(flow.timed)
    ticks = np.frombuffer(books.apply_timed(commands.tobytes()), np.uint32).astype(np.float64)
    ticks = np.maximum(ticks - tick_overhead(), 0)
    taken = np.bincount(operation, ticks, len(flow.timed)) / ticks_per_ns()
    at = {"p50_ns": 50, "p99_ns": 99, "p999_ns": 99.9}
    return {name: round(float(np.percentile(taken, share)), 1) for name, share in at.items()}


def run(path: Path, mode: str, runs: int) -> tuple[dict[str, object], bool]:
    """Measure one flow; return the report and whether all that must be equal is."""
    flow = read_flow(path)
    found = trades_of(flow)
    rates, sizes, bytes_per_order = measure(flow, mode, runs)
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
        **latencies_ns(flow),
        "bytes_per_order": round(bytes_per_order, 1),
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
