"""The commands of one source that are not yet known to be durable in a shard: numbered, sent, sent again."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final, NamedTuple

from engine import frames
from ext.records import RECORD_VERSION, UNIT_BYTES, UNITS, Kind, RecordError, side_digest

_FRAME_BYTES: Final = 64 * 1024
_SOURCE: Final = struct.Struct("<II")
_NUMBER: Final = struct.Struct("<Q")
_SOURCE_OFFSET: Final = 4
_NUMBER_OFFSET: Final = 16
_DIGEST_OFFSET: Final = 48
_COMMAND_BYTES: Final = {
    int(kind): units * UNIT_BYTES for kind, units in UNITS.items() if kind < Kind.EXECUTION_REPORT
}


class _Command(NamedTuple):
    number: int
    record: bytes
    side: bytes


class UnconfirmedCommands:
    """Commands after ``confirmed_number`` to ``last_number``: sent on this connection, or waiting to be."""

    def __init__(self, source: int, incarnation: int) -> None:
        self.source = source
        self.incarnation = incarnation
        self.last_number = 0
        self.confirmed_number = 0
        self.bytes = 0
        self._sent: deque[_Command] = deque()
        self._unsent: deque[_Command] = deque()

    @property
    def sent(self) -> bool:
        """Whether any command was sent on this connection and is unconfirmed."""
        return bool(self._sent)

    @property
    def unsent(self) -> bool:
        """Whether any command waits to be sent."""
        return bool(self._unsent)

    def add(self, record: bytes, side: bytes) -> int:
        """Make the record the source's next command and return its number.

        Raises:
            RecordError: It is not one whole command record; nothing was added.
        """
        number = self.last_number + 1
        self._unsent.append(_Command(number, self._numbered(record, side, number), side))
        self.last_number = number
        self.bytes += len(record) + len(side)
        return number

    def next_frame(self) -> bytes:
        """Return a COMMANDS frame of what is unsent, up to about 64 KiB of it, and count it as sent."""
        frame_bytes = 0
        taken: list[_Command] = []
        while self._unsent and frame_bytes < _FRAME_BYTES:
            command = self._unsent.popleft()
            taken.append(command)
            frame_bytes += len(command.record) + len(command.side)
        self._sent.extend(taken)
        return frames.commands([command.record for command in taken], (command.side for command in taken))

    def begin_again(self, last_number: int) -> None:
        """On a new connection, to a shard that has the source up to ``last_number``: the rest is unsent."""
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        self.last_number = max(self.last_number, last_number)
        self.confirm(last_number)

    def confirm(self, number: int) -> None:
        """Forget the commands up to ``number``: they are durable."""
        self.confirmed_number = max(self.confirmed_number, number)
        for queue in (self._sent, self._unsent):
            while queue and queue[0].number <= self.confirmed_number:
                done = queue.popleft()
                self.bytes -= len(done.record) + len(done.side)

    def _numbered(self, record: bytes, side: bytes, number: int) -> bytes:
        kind = int.from_bytes(record[:2], "little")
        if len(record) != _COMMAND_BYTES.get(kind, -1) or record[2] != RECORD_VERSION:
            raise RecordError(f"{len(record)} bytes of kind {kind} are not one command")
        numbered = bytearray(record)
        _SOURCE.pack_into(numbered, _SOURCE_OFFSET, self.source, self.incarnation)
        _NUMBER.pack_into(numbered, _NUMBER_OFFSET, number)
        numbered[_DIGEST_OFFSET:UNIT_BYTES] = side_digest(side)
        return bytes(numbered)
