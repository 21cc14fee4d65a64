"""The Python and the C description of the book's records say the same."""

import re
from enum import IntEnum
from pathlib import Path

import numpy as np
import pytest

import ext.book_records as records
from ext.book_records import (
    COMMAND_DTYPE,
    COMMAND_STRUCT,
    EVENT_DTYPE,
    EVENT_STRUCT,
    ORDER_DTYPE,
    ORDER_STRUCT,
    RECORD_BYTES,
    SNAPSHOT_STRUCT,
    BookEventFlag,
    BookEventKind,
    BookOp,
    CancelReason,
    Phase,
    RejectReason,
    Side,
    TimeInForce,
)

PXD = Path(records.__file__).with_suffix(".pxd").read_text()
PREFIXES: dict[str, type[IntEnum] | type[BookEventFlag]] = {
    "OP": BookOp,
    "SIDE": Side,
    "TIF": TimeInForce,
    "PHASE": Phase,
    "KIND": BookEventKind,
    "REJECT": RejectReason,
    "CANCEL": CancelReason,
    "FLAG": BookEventFlag,
}
C_TYPES = {"uint8_t": "u1", "uint16_t": "<u2", "uint32_t": "<u4", "uint64_t": "<u8", "int64_t": "<i8"}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_numbers_are_the_same_in_python_and_in_c(prefix: str) -> None:
    in_c = re.findall(rf"^    {prefix}_(\w+) = (\d+)$", PXD, re.MULTILINE)
    in_python = {member.name: member.value for member in PREFIXES[prefix]}
    assert {name: int(number) for name, number in in_c} == in_python


@pytest.mark.parametrize(
    ("struct_name", "dtype"),
    [("BookCommand", COMMAND_DTYPE), ("BookEvent", EVENT_DTYPE), ("RestingOrderRecord", ORDER_DTYPE)],
)
def test_fields_are_the_same_in_python_and_in_c(struct_name: str, dtype: np.dtype[np.void]) -> None:
    body = re.search(rf"cdef struct {struct_name}:\n((?:    .+\n)+)", PXD)
    assert body is not None
    in_c = [
        (name, np.dtype((C_TYPES[c_type], (int(count),)) if count else C_TYPES[c_type]))
        for c_type, name, count in re.findall(r"    (\w+) (\w+)(?:\[(\d+)\])?\n", body[1])
    ]
    assert in_c == [(name, dtype[name]) for name in dtype.names or ()]


@pytest.mark.parametrize("dtype", [COMMAND_DTYPE, EVENT_DTYPE, ORDER_DTYPE])
def test_records_are_64_bytes_with_every_field_where_c_aligns_it(dtype: np.dtype[np.void]) -> None:
    assert dtype.itemsize == RECORD_BYTES
    assert dtype.fields is not None
    assert all(field[1] % field[0].base.itemsize == 0 for field in dtype.fields.values())


@pytest.mark.parametrize("packed", [COMMAND_STRUCT, EVENT_STRUCT, ORDER_STRUCT, SNAPSHOT_STRUCT])
def test_struct_formats_are_64_bytes(packed: object) -> None:
    assert packed.size == RECORD_BYTES  # type: ignore[attr-defined]


def test_packed_commands_read_back_by_name() -> None:
    raw = records.pack_add(7, Side.SELL, 101, 5, TimeInForce.IOC) + records.pack_set_phase(Phase.CALL, 99)
    add, set_phase = np.frombuffer(raw, COMMAND_DTYPE)
    assert (add["op"], add["order_id"], add["side"], add["time_in_force"]) == (BookOp.ADD, 7, 2, 3)
    assert (add["price_ticks"], add["quantity_lots"]) == (101, 5)
    assert (set_phase["op"], set_phase["phase"], set_phase["reference_price_ticks"]) == (4, 1, 99)
