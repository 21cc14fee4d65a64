"""Frames between a shard and its clients, without I/O: ``u32`` length, ``u8`` type, payload
(docs/ARCHITECTURE.md).

The functions named for a frame return its bytes; the ``read_*`` functions take a payload apart.
:class:`FrameReader` cuts what arrives into frames.

Errors: :class:`FrameError`, with the code that the shard answers in an ERROR frame.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

FRAME_BYTES_MAX: Final = 16 * 2**20
"""Longest frame from a shard."""
CLIENT_FRAME_BYTES_MAX: Final = 2**20
"""Longest frame from a client; the commands of one are applied at a stretch."""

_HEAD: Final = struct.Struct("<IB")
_U32: Final = struct.Struct("<I")
_HELLO: Final = struct.Struct("<II32s")
_PULL: Final = struct.Struct("<QI")
_WELCOME: Final = struct.Struct("<IQQQ")
_EVENTS: Final = struct.Struct("<Q")
_BOOK: Final = struct.Struct("<IQQBI")
_LEVEL: Final = struct.Struct("<BqqI")
_ERROR: Final = struct.Struct("<H")


class ClientFrame(IntEnum):
    """Types of frames from a client."""

    HELLO = 1
    COMMANDS = 2
    PULL = 3
    BOOK = 4
    PING = 5


class ShardFrame(IntEnum):
    """Types of frames from a shard."""

    WELCOME = 1
    EVENTS = 2
    BOOK = 4
    PONG = 5
    ERROR = 9


class ErrorCode(IntEnum):
    """Why a shard ends a connection."""

    MALFORMED_FRAME = 1
    NUMBER_GAP = 2
    INCARNATION_OVER = 3
    NOT_READY = 4
    MALFORMED_RECORDS = 5
    WRONG_SECRET = 6


class FrameError(ValueError):
    """The peer broke the protocol; ``code`` says how."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class Frame(NamedTuple):
    """A frame as it arrived; ``type`` is not yet known to be one."""

    type: int
    payload: bytes


class Hello(NamedTuple):
    """Who a client says it is; ``secret`` is to prove it."""

    source: int
    incarnation: int
    secret: bytes


class Welcome(NamedTuple):
    """What a shard answers to HELLO; number and event are durable."""

    shard: int
    epoch: int
    last_number: int
    last_event: int


class Level(NamedTuple):
    """One price of a book and what rests there."""

    side: int
    price_ticks: int
    quantity_lots: int
    orders: int


class Book(NamedTuple):
    """A tranche's public book as it was after ``event``; buys, then sells, each from the best on."""

    tranche: int
    event: int
    book_sequence: int
    phase: int
    levels: tuple[Level, ...]


class FrameReader:
    """Cuts a stream of bytes into frames; holds at most one unfinished frame and what came with it.

    ``frame_bytes_max`` is the longest frame, its length field apart.
    """

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._frame_bytes_max = frame_bytes_max

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take what arrived and return the frames it completes, one after another.

        Raises:
            FrameError: A length is 0 or over the maximum; nothing after it can be understood.
        """
        self._buffer += data
        begin = 0
        while len(self._buffer) - begin >= 4:
            (length,) = _U32.unpack_from(self._buffer, begin)
            if not 0 < length <= self._frame_bytes_max:
                raise FrameError(ErrorCode.MALFORMED_FRAME, f"a frame of {length} bytes")
            end = begin + 4 + length
            if len(self._buffer) < end:
                break
            with memoryview(self._buffer) as view:
                frame = Frame(view[begin + 4], bytes(view[begin + 5 : end]))
            begin = end
            yield frame
        del self._buffer[:begin]


def _frame(frame_type: int, *parts: bytes) -> bytes:
    return b"".join((_HEAD.pack(1 + sum(map(len, parts)), frame_type), *parts))


def _read(layout: struct.Struct, payload: bytes, what: str) -> tuple[Any, ...]:
    if len(payload) != layout.size:
        raise FrameError(
            ErrorCode.MALFORMED_FRAME, f"{what} of {len(payload)} bytes instead of {layout.size}"
        )
    return layout.unpack(payload)


# -- from a client


def hello(source: int, incarnation: int, secret: bytes) -> bytes:
    """Say who sends, and prove it by the source's 32-byte secret; source 0 only reads."""
    return _frame(ClientFrame.HELLO, _HELLO.pack(source, incarnation, secret))


def read_hello(payload: bytes) -> Hello:
    """Return who sends."""
    return Hello(*_read(_HELLO, payload, "HELLO"))


def commands(records: Sequence[bytes], sides: Iterable[bytes]) -> bytes:
    """Send commands; ``sides`` are the side data of those that have any, in order."""
    run = b"".join(records)
    return _frame(ClientFrame.COMMANDS, _U32.pack(len(run)), run, side_block(sides))


def side_block(sides: Iterable[bytes]) -> bytes:
    """Return side data as it stands in a COMMANDS frame and in the journal, each after its length."""
    return b"".join(_U32.pack(len(side)) + side for side in sides if side)


def read_sides(block: bytes) -> list[bytes]:
    """Take a block of side data apart.

    Raises:
        FrameError: A length runs past the end.
    """
    sides = []
    offset = 0
    while offset < len(block):
        end = offset + 4
        if end <= len(block):
            end += _U32.unpack_from(block, offset)[0]
        if end > len(block) or end == offset + 4:
            raise FrameError(ErrorCode.MALFORMED_FRAME, "side data is cut short or empty")
        sides.append(block[offset + 4 : end])
        offset = end
    return sides


def read_commands(payload: bytes) -> tuple[bytes, bytes]:
    """Return (run of records, block of side data)."""
    if len(payload) < 4:
        raise FrameError(ErrorCode.MALFORMED_FRAME, "COMMANDS without a length of records")
    end = 4 + _U32.unpack_from(payload)[0]
    if end > len(payload):
        raise FrameError(ErrorCode.MALFORMED_FRAME, "COMMANDS shorter than its records")
    return payload[4:end], payload[end:]


def pull(from_event: int, bytes_max: int) -> bytes:
    """Ask for events from ``from_event`` on."""
    return _frame(ClientFrame.PULL, _PULL.pack(from_event, bytes_max))


def read_pull(payload: bytes) -> tuple[int, int]:
    """Return (from_event, bytes_max)."""
    from_event, bytes_max = _read(_PULL, payload, "PULL")
    return from_event, bytes_max


def ask_book(tranche: int) -> bytes:
    """Ask for the book of a tranche."""
    return _frame(ClientFrame.BOOK, _U32.pack(tranche))


def read_ask_book(payload: bytes) -> int:
    """Return the tranche asked for."""
    tranche: int = _read(_U32, payload, "BOOK")[0]
    return tranche


def ping(payload: bytes = b"") -> bytes:
    """Ask for a PONG with the same payload."""
    return _frame(ClientFrame.PING, payload)


# -- from a shard


def welcome(answer: Welcome) -> bytes:
    """Answer HELLO."""
    return _frame(ShardFrame.WELCOME, _WELCOME.pack(*answer))


def read_welcome(payload: bytes) -> Welcome:
    """Return the answer to HELLO."""
    return Welcome(*_read(_WELCOME, payload, "WELCOME"))


def events(next_event: int, records: bytes) -> bytes:
    """Answer PULL."""
    return _frame(ShardFrame.EVENTS, _EVENTS.pack(next_event), records)


def read_events(payload: bytes) -> tuple[int, bytes]:
    """Return (event to ask for next, event records)."""
    if len(payload) < _EVENTS.size:
        raise FrameError(ErrorCode.MALFORMED_FRAME, "EVENTS without its next event")
    return _EVENTS.unpack_from(payload)[0], payload[_EVENTS.size :]


def book(answer: Book) -> bytes:
    """Answer BOOK."""
    head = _BOOK.pack(answer.tranche, answer.event, answer.book_sequence, answer.phase, len(answer.levels))
    return _frame(ShardFrame.BOOK, head, *(_LEVEL.pack(*level) for level in answer.levels))


def read_book(payload: bytes) -> Book:
    """Return the book that answers BOOK."""
    if len(payload) < _BOOK.size:
        raise FrameError(ErrorCode.MALFORMED_FRAME, "BOOK is cut short")
    tranche, event, book_sequence, phase, count = _BOOK.unpack_from(payload)
    if len(payload) != _BOOK.size + count * _LEVEL.size:
        raise FrameError(ErrorCode.MALFORMED_FRAME, f"BOOK of {count} levels has {len(payload)} bytes")
    levels = tuple(Level(*level) for level in _LEVEL.iter_unpack(payload[_BOOK.size :]))
    return Book(tranche, event, book_sequence, phase, levels)


def pong(payload: bytes) -> bytes:
    """Answer PING."""
    return _frame(ShardFrame.PONG, payload)


def error(code: ErrorCode, text: str) -> bytes:
    """Say why the connection ends."""
    return _frame(ShardFrame.ERROR, _ERROR.pack(code), text.encode())


def read_error(payload: bytes) -> tuple[int, str]:
    """Return (code, text)."""
    if len(payload) < _ERROR.size:
        raise FrameError(ErrorCode.MALFORMED_FRAME, "ERROR without a code")
    return _ERROR.unpack_from(payload)[0], payload[_ERROR.size :].decode(errors="replace")
