"""Frames: what is written is read back, whatever the cuts; what is malformed is refused by code."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import frames
from engine.frames import (
    Book,
    ClientFrame,
    ErrorCode,
    Frame,
    FrameError,
    FrameReader,
    Level,
    ShardFrame,
    Welcome,
)


def only(data: bytes) -> Frame:
    (frame,) = FrameReader().feed(data)
    return frame


def test_every_frame_reads_back_as_it_was_written() -> None:
    book = Book(7, 100, 9, 2, (Level(1, 995, 20, 2), Level(2, 1005, 10, 1)))
    secret = bytes(range(32))
    assert frames.read_hello(only(frames.hello(3, 4, secret)).payload) == (3, 4, secret)
    assert frames.read_pull(only(frames.pull(17, 1000)).payload) == (17, 1000)
    assert frames.read_ask_book(only(frames.ask_book(7)).payload) == 7
    assert frames.read_welcome(only(frames.welcome(Welcome(1, 2, 3, 4))).payload) == Welcome(1, 2, 3, 4)
    assert frames.read_events(only(frames.events(18, b"abc")).payload) == (18, b"abc")
    assert frames.read_book(only(frames.book(book)).payload) == book
    assert frames.read_error(only(frames.error(ErrorCode.NUMBER_GAP, "gap")).payload) == (2, "gap")
    assert only(frames.ping(b"x")) == (ClientFrame.PING, b"x")
    assert only(frames.pong(b"x")) == (ShardFrame.PONG, b"x")


def test_commands_carry_their_side_data_in_order() -> None:
    frame = only(frames.commands([b"r" * 64, b"s" * 64], [b"first", b"", b"second"]))
    records, side = frames.read_commands(frame.payload)
    assert records == b"r" * 64 + b"s" * 64
    assert frames.read_sides(side) == [b"first", b"second"]


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_frames_come_out_the_same_however_the_stream_is_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frames.ping(payload) for payload in payloads)
    reader, out, offset = FrameReader(), [], 0
    while offset < len(stream):
        step = cuts[offset % len(cuts)]
        out += [frame.payload for frame in reader.feed(stream[offset : offset + step])]
        offset += step
    assert out == payloads


@pytest.mark.parametrize("length", [0, 1001])
def test_a_length_out_of_bounds_is_refused_before_anything_is_buffered(length: int) -> None:
    with pytest.raises(FrameError) as refused:
        list(FrameReader(1000).feed(struct.pack("<I", length)))
    assert refused.value.code is ErrorCode.MALFORMED_FRAME


@given(st.binary(max_size=64))
def test_any_payload_is_understood_or_refused_by_a_frame_error(payload: bytes) -> None:
    for read in (
        frames.read_hello, frames.read_commands, frames.read_pull, frames.read_ask_book, frames.read_welcome,
        frames.read_events, frames.read_book, frames.read_error, frames.read_sides,
    ):  # fmt: skip
        with suppress(FrameError):
            read(payload)
