"""The Python and the C description of the book's records say the same."""

import re
import struct
from enum import IntEnum, IntFlag
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
    ORDER_TAIL_DTYPE,
    ORDER_TAIL_STRUCT,
    RECORD_BYTES,
    RULES_TAIL_DTYPE,
    RULES_TAIL_STRUCT,
    SNAPSHOT_STRUCT,
    Allocation,
    BookEventFlag,
    BookEventKind,
    BookOp,
    CancelReason,
    CommandFlag,
    OrderType,
    Phase,
    RejectReason,
    RuleFlag,
    SelfTrade,
    Side,
    TimeInForce,
)

PXD = Path(records.__file__).with_suffix(".pxd").read_text()
PREFIXES: dict[str, type[IntEnum] | type[IntFlag]] = {
    "OP": BookOp,
    "SIDE": Side,
    "TYPE": OrderType,
    "TIF": TimeInForce,
    "SELF_TRADE": SelfTrade,
    "COMMAND": CommandFlag,
    "PHASE": Phase,
    "ALLOCATION": Allocation,
    "RULE": RuleFlag,
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
    [
        ("BookCommand", COMMAND_DTYPE),
        ("OrderTail", ORDER_TAIL_DTYPE),
        ("RulesTail", RULES_TAIL_DTYPE),
        ("BookEvent", EVENT_DTYPE),
        ("RestingOrderRecord", ORDER_DTYPE),
    ],
)
def test_fields_are_the_same_in_python_and_in_c(struct_name: str, dtype: np.dtype[np.void]) -> None:
    body = re.search(rf"cdef struct {struct_name}:\n((?:    .+\n)+)", PXD)
    assert body is not None
    in_c = [
        (name, np.dtype((C_TYPES[c_type], (int(count),)) if count else C_TYPES[c_type]))
        for c_type, name, count in re.findall(r"    (\w+) (\w+)(?:\[(\d+)\])?\n", body[1])
    ]
    assert in_c == [(name, dtype[name]) for name in dtype.names or ()]


UNITS = [
    (COMMAND_DTYPE, COMMAND_STRUCT, 1),
    (ORDER_TAIL_DTYPE, ORDER_TAIL_STRUCT, 1),
    (RULES_TAIL_DTYPE, RULES_TAIL_STRUCT, 1),
    (EVENT_DTYPE, EVENT_STRUCT, 1),
    (ORDER_DTYPE, ORDER_STRUCT, 2),
]


@pytest.mark.parametrize(("dtype", "packed", "units"), UNITS)
def test_records_are_whole_units_with_every_field_where_c_aligns_it(
    dtype: np.dtype[np.void], packed: struct.Struct, units: int
) -> None:
    assert dtype.itemsize == packed.size == units * RECORD_BYTES
    assert dtype.fields is not None
    assert all(field[1] % field[0].base.itemsize == 0 for field in dtype.fields.values())


def test_the_head_of_a_snapshot_is_whole_units() -> None:
    assert SNAPSHOT_STRUCT.size == 3 * RECORD_BYTES


def test_packed_commands_read_back_by_name() -> None:
    raw = records.pack_add(7, Side.SELL, 101, 5, TimeInForce.IOC) + records.pack_set_phase(Phase.CALL, 99)
    add, set_phase = np.frombuffer(raw, COMMAND_DTYPE)
    assert (add["op"], add["order_id"], add["side"], add["time_in_force"]) == (BookOp.ADD, 7, 2, 3)
    assert (add["price_ticks"], add["quantity_lots"]) == (101, 5)
    assert (set_phase["op"], set_phase["phase"], set_phase["reference_price_ticks"]) == (4, 1, 99)
