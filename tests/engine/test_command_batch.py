"""Runs of commands: form is checked before anything is journalled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.command import account_open, numbered
from engine.command_batch import CommandBatch
from engine.frames import ErrorCode, FrameError, side_block
from ext.records import HEADER_STRUCT, Applied, Kind, decode_all, encode, header, side_digest

SOURCE, INCARNATION = 5, 2


def command(number: int, side: bytes = b"", source: int = SOURCE, incarnation: int = INCARNATION) -> bytes:
    record = numbered(account_open(number, owner=1), source, incarnation, number)
    return encode(record._replace(header=record.header._replace(side_digest=side_digest(side))))


def batch(first: int, last: int) -> CommandBatch:
    """Commands first to last; the even ones have side data."""
    sides = [b"side %d" % number if number % 2 == 0 else b"" for number in range(first, last + 1)]
    records = b"".join(
        command(number, side) for number, side in zip(range(first, last + 1), sides, strict=True)
    )
    return CommandBatch(SOURCE, INCARNATION, records, side_block(sides))


def code_of(records: bytes, side: bytes = b"") -> ErrorCode:
    with pytest.raises(FrameError) as refused:
        CommandBatch(SOURCE, INCARNATION, records, side)
    return refused.value.code


def test_stamps_are_dense_and_the_rest_of_the_records_stays() -> None:
    run = batch(1, 4)
    run.stamp(100, 12345)
    stamped = list(decode_all(bytes(run.records)))
    assert [(record.header.sequence, record.header.time_ns) for record in stamped] == [
        (100, 12345), (101, 12345), (102, 12345), (103, 12345),
    ]  # fmt: skip
    assert [record.header.number for record in stamped] == [1, 2, 3, 4]
    assert stamped[3].header.side_digest == side_digest(b"side 4")


@given(st.integers(1, 20), st.integers(1, 12), st.integers(0, 40))
def test_only_what_follows_the_last_number_is_kept_with_its_side_data(
    first: int, count: int, last_seen: int
) -> None:
    run, last = batch(first, first + count - 1), first + count - 1
    if first > last_seen + 1:
        with pytest.raises(FrameError) as refused:
            run.admit_after(last_seen)
        assert refused.value.code is ErrorCode.NUMBER_GAP
    elif last <= last_seen:
        assert not run.admit_after(last_seen)
    else:
        assert run.admit_after(last_seen)
        kept = batch(max(first, last_seen + 1), last)
        assert (run.records, run.side, run.first_number, len(run)) == (
            kept.records, kept.side, kept.first_number, len(kept),
        )  # fmt: skip


def test_an_incarnation_that_is_over_is_refused() -> None:
    with pytest.raises(FrameError) as refused:
        batch(1, 1).admit_after(None)
    assert refused.value.code is ErrorCode.INCARNATION_OVER


@pytest.mark.parametrize(
    "records",
    [
        b"",
        command(1)[:-1],
        command(1) + b"\0" * 10,
        command(1, source=SOURCE + 1),
        command(1, incarnation=INCARNATION + 1),
        b"\xff\xff" + command(1)[2:],
        command(1)[:2] + b"\x09" + command(1)[3:],
        command(1)[:3] + b"\x00" + command(1)[4:],
        encode(Applied(header(Kind.APPLIED, source=SOURCE, incarnation=INCARNATION, number=1), *[0] * 10)),
    ],
    ids=["none", "cut", "tail", "source", "incarnation", "kind", "version", "length", "an event"],
)
def test_what_is_no_run_of_commands_of_the_source_is_refused(records: bytes) -> None:
    assert code_of(records) is ErrorCode.MALFORMED_RECORDS


@pytest.mark.parametrize("records", [command(1) + command(3), command(2) + command(1), command(0)])
def test_numbers_that_are_not_dense_from_1_are_a_gap(records: bytes) -> None:
    assert code_of(records) is ErrorCode.NUMBER_GAP


@pytest.mark.parametrize(
    "side",
    [
        b"",
        side_block([b"forged"]),
        side_block([b"side"])[:-1],
        side_block([b"side", b"more"]),
        b"\xff\xff\xff\xff",
    ],
    ids=["missing", "forged", "cut", "too many", "long"],
)
def test_side_data_that_does_not_match_its_record_is_refused(side: bytes) -> None:
    assert code_of(command(1, b"side"), side) is ErrorCode.MALFORMED_RECORDS


@given(st.binary(min_size=1, max_size=300), st.integers(0, 200))
def test_any_bytes_are_a_run_or_refused(noise: bytes, at: int) -> None:
    good = bytearray(command(1) + command(2))
    good[at : at + len(noise)] = noise
    try:
        run = CommandBatch(SOURCE, INCARNATION, bytes(good), b"")
    except FrameError:
        return
    assert len(run.records) % HEADER_STRUCT.size == 0
