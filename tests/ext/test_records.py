"""The records are part of the journal: their layout may grow, never move."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ext import records
from ext.records import Kind


def example(kind: Kind, fill: int = 1) -> records.Record:
    layout = records.LAYOUTS[kind]
    values: list[int | bytes] = []
    for code in records.struct_format(layout)[1:].replace("36s", "c"):
        values.append(records.client_id("id-1") if code == "c" else fill)
    return layout(records.header(kind, account=7, tranche=3, number=9), *values)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_comes_back_as_it_was_written(kind: Kind) -> None:
    record = example(kind)
    raw = records.encode(record)
    assert len(raw) == records.UNITS[kind] * records.UNIT_BYTES
    assert records.decode(raw) == record


@pytest.mark.parametrize("kind", list(Kind))
def test_numpy_reads_the_same_fields_from_the_same_bytes(kind: Kind) -> None:
    raw = records.encode(example(kind, fill=5))
    dtype = records.DTYPES[kind]
    assert dtype.itemsize == len(raw)
    assert int.from_bytes(raw[40:44], "little") == 7
    rows = memoryview(raw * 3)
    import numpy as np

    array = np.frombuffer(rows, dtype=dtype)
    assert array["account"].tolist() == [7, 7, 7]
    assert array["kind"].tolist() == [kind] * 3


def test_layout_of_the_order_is_what_journals_hold() -> None:
    fields = records.DTYPES[Kind.ORDER_PLACE].fields
    assert fields is not None
    offsets = {name: fields[name][1] for name in ("time_ns", "account", "side_digest")}
    assert offsets == {"time_ns": 32, "account": 40, "side_digest": 48}
    assert records.struct_format(records.OrderPlace) == "<36s36sQqqqqqqqqqQQIIIIBBBBI"
    assert records.struct_format(records.ExecutionReport) == "<36s36sQQQQqqqqqqqIIHBBBBBBIIQ"
    assert records.struct_format(records.Trade) == "<QQQqqqQQIIIIQQIIIBBBBqq"


def test_a_run_of_records_is_read_one_after_another() -> None:
    run = records.encode_all([example(kind) for kind in Kind])
    assert [record.header.kind for record in records.decode_all(run)] == list(Kind)
    assert b"".join(bytes(part) for part in records.split(run)) == run


@given(st.binary(max_size=300))
def test_any_bytes_are_records_or_a_record_error(raw: bytes) -> None:
    try:
        decoded = list(records.decode_all(raw))
    except records.RecordError:
        return
    assert records.encode_all(decoded) == raw


@given(st.integers(0, 255), st.integers(0, 191))
def test_a_damaged_record_never_reads_past_its_end(byte: int, position: int) -> None:
    raw = bytearray(records.encode(example(Kind.TRADE)))
    raw[position] = byte
    try:
        assert len(records.encode(records.decode(bytes(raw)))) == len(raw)
    except records.RecordError:
        assert position < 4


def test_a_value_out_of_its_range_is_refused_before_it_is_written() -> None:
    order = example(Kind.ORDER_PLACE)
    with pytest.raises(struct.error):
        records.encode(order._replace(price_ticks=1 << 63))  # type: ignore[call-arg]


@pytest.mark.parametrize("text", ["", "x" * 37, "tab\tinside", "snow☃"])
def test_a_client_order_id_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 36 printable ASCII"):
        records.client_id(text)


def test_a_client_order_id_comes_back_as_text() -> None:
    assert records.client_text(records.client_id("mm1-000017")) == "mm1-000017"


def test_side_data_is_bound_by_its_digest_and_nothing_by_zeros() -> None:
    assert records.side_digest(b"") == records.NO_SIDE_DATA
    assert records.side_digest(b"a") != records.side_digest(b"b")
