"""Tapes: recorded order flow and the fills it must give, as CSV files, plain or gzip.

Three files, each with a header line: orders (``ts_ns, op, order_id, side, price, qty, tif``), fills of
continuous trading (``taker_order_id, maker_order_id, price, qty``, in order), and fills of the auction
(``side, order_id, qty``). A row's number is its place after the header, from 1; order ids may be used again
once the order is closed.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar

from ext.records import Phase, Side, TimeInForce
from venue.problems import ProblemNumber, VenueError

ORDERS_HEADER = ("ts_ns", "op", "order_id", "side", "price", "qty", "tif")
FILLS_HEADER = ("taker_order_id", "maker_order_id", "price", "qty")
AUCTION_HEADER = ("side", "order_id", "qty")

_SIDES = {"B": Side.BUY, "S": Side.SELL}
_TIMES_IN_FORCE = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC}
_PHASES = {"CALL": Phase.CALL, "CONTINUOUS": Phase.CONTINUOUS}

Row = TypeVar("Row")


class TapeOp(StrEnum):
    """What a row of an order tape asks."""

    PHASE = "phase"
    NEW = "new"
    CANCEL = "cancel"
    REPLACE = "replace"


class OrderRow(NamedTuple):
    """One command of a tape. What its op does not use is None or 0; ``quantity`` of a replace is the new
    open quantity.
    """

    row: int
    op: TapeOp
    order_id: int
    side: Side | None
    price: int
    quantity: int
    time_in_force: TimeInForce | None
    phase: Phase | None


class FillRow(NamedTuple):
    """One fill of continuous trading."""

    taker_order_id: int
    maker_order_id: int
    price: int
    quantity: int


class AuctionRow(NamedTuple):
    """What one order got in the auction."""

    side: Side
    order_id: int
    quantity: int


def read_orders(path: Path) -> list[OrderRow]:
    """Read an order tape. Raises VenueError 902 for a missing file, 903 naming the line for a malformed
    one.
    """
    return _read(path, ORDERS_HEADER, _order_row)


def read_fills(path: Path) -> list[FillRow]:
    """Read the fills a tape must give in continuous trading; raises as :func:`read_orders`."""
    return _read(path, FILLS_HEADER, lambda row, cells: FillRow(*map(_positive, cells)))


def read_auction(path: Path) -> list[AuctionRow]:
    """Read the fills a tape must give in its auction; raises as :func:`read_orders`."""
    return _read(
        path,
        AUCTION_HEADER,
        lambda row, cells: AuctionRow(_SIDES[cells[0]], _positive(cells[1]), _positive(cells[2])),
    )


def _order_row(row: int, cells: list[str]) -> OrderRow:
    op = TapeOp(cells[1])
    if op is TapeOp.PHASE:
        return OrderRow(row, op, 0, None, 0, 0, None, _PHASES[cells[3]])
    order_id = _positive(cells[2])
    if op is TapeOp.CANCEL:
        return OrderRow(row, op, order_id, None, 0, 0, None, None)
    side, time_in_force = (_SIDES[cells[3]], _TIMES_IN_FORCE[cells[6]])
    return OrderRow(row, op, order_id, side, _positive(cells[4]), _positive(cells[5]), time_in_force, None)


def _positive(cell: str) -> int:
    value = int(cell)
    if value <= 0:
        raise ValueError(f"{cell} is not above 0")
    return value


def _read(path: Path, header: tuple[str, ...], parse: Callable[[int, list[str]], Row]) -> list[Row]:
    if not path.is_file():
        raise VenueError(
            ProblemNumber.FILE_MISSING, f"there is no file {path}", "Check the path and its spelling."
        )
    try:
        with _open_text(path) as lines:
            return list(_parse_rows(path, csv.reader(lines), header, parse))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise VenueError(ProblemNumber.FILE_MALFORMED, f"{path} cannot be read: {error}") from error


def _open_text(path: Path) -> io.TextIOWrapper:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), "ascii", newline="")
    return path.open(encoding="ascii", newline="")


def _parse_rows(
    path: Path, reader: Iterator[list[str]], header: tuple[str, ...], parse: Callable[[int, list[str]], Row]
) -> Iterator[Row]:
    expected = f"the header must be {','.join(header)}"
    if tuple(next(reader, ())) != header:
        raise VenueError(ProblemNumber.FILE_MALFORMED, f"{path}, line 1: {expected}")
    for row, cells in enumerate(reader, start=1):
        try:
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} cells, not {len(header)}")
            yield parse(row, cells)
        except (KeyError, ValueError) as error:
            raise VenueError(ProblemNumber.FILE_MALFORMED, f"{path}, line {row + 1}: {error}") from error
