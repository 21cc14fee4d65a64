"""A run of commands as one frame brought it: checked, numbered by its source, ready to be stamped.

The check is of form alone: whole known command records of the right source, dense numbers, side data that
matches its digest. What a command means, the shard core judges.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from engine.frames import ErrorCode, FrameError
from ext.records import NO_SIDE_DATA, RECORD_VERSION, UNIT_BYTES, UNITS, Kind

_NUMBERED: Final = struct.Struct("<IIIIQ")
_STAMP: Final = struct.Struct("<Qq")
_U32: Final = struct.Struct("<I")
_STAMP_OFFSET: Final = 24
_DIGEST_OFFSET: Final = 48
_KNOWN_HEADS: Final = {
    kind | RECORD_VERSION << 16 | units << 24 for kind, units in UNITS.items() if kind < Kind.EXECUTION_REPORT
}
"""First four bytes of a command record: kind, version, units."""


class CommandBatch:
    """Commands ``first_number`` to ``last_number`` of one source, with side data as in a COMMANDS frame."""

    __slots__ = ("_offsets", "first_number", "incarnation", "records", "side", "source")

    def __init__(self, source: int, incarnation: int, records: bytes, side: bytes) -> None:
        """Check the run.

        Raises:
            FrameError: MALFORMED_RECORDS or NUMBER_GAP (within the run).
        """
        self.source = source
        self.incarnation = incarnation
        self.records = bytearray(records)
        self.side = side
        self._offsets = self._check_records()
        self.first_number: int = _NUMBERED.unpack_from(records)[4]
        self._check_side(0)

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def last_number(self) -> int:
        """Number of the last command."""
        return self.first_number + len(self._offsets) - 1

    def admit_after(self, last_number: int | None) -> bool:
        """Keep what follows the last number the shard has of this source; return whether anything does.

        ``last_number`` is None where a later incarnation of the source was heard.

        Raises:
            FrameError: INCARNATION_OVER or NUMBER_GAP.
        """
        if last_number is None:
            raise FrameError(
                ErrorCode.INCARNATION_OVER,
                f"source {self.source} was heard after incarnation {self.incarnation}",
            )
        if self.first_number > last_number + 1:
            gap = f"command {self.first_number} of source {self.source} follows {last_number}"
            raise FrameError(ErrorCode.NUMBER_GAP, gap)
        if self.last_number <= last_number:
            return False
        if self.first_number <= last_number:
            self._drop(last_number - self.first_number + 1)
        return True

    def _drop(self, count: int) -> None:
        begin = self._offsets[count]
        self.side = self.side[self._side_bytes(count) :]
        self.records = self.records[begin:]
        self._offsets = [offset - begin for offset in self._offsets[count:]]
        self.first_number += count

    def stamp(self, first_sequence: int, time_ns: int) -> None:
        """Write the shard's sequence, dense from ``first_sequence``, and its time into the records."""
        pack_into = _STAMP.pack_into
        for sequence, offset in enumerate(self._offsets, first_sequence):
            pack_into(self.records, offset + _STAMP_OFFSET, sequence, time_ns)

    def _check_records(self) -> list[int]:
        offsets: list[int] = []
        records, unpack = self.records, _NUMBERED.unpack_from
        offset, end, expected = 0, len(records), -1
        while offset < end:
            if end - offset < UNIT_BYTES:
                raise _malformed(offset, "is cut short")
            head, source, incarnation, _, number = unpack(records, offset)
            if head not in _KNOWN_HEADS:
                raise _malformed(offset, f"is no known command ({head:#010x})")
            if source != self.source or incarnation != self.incarnation:
                raise _malformed(offset, f"is of source {source}, incarnation {incarnation}")
            if number != expected and expected >= 0:
                raise FrameError(ErrorCode.NUMBER_GAP, f"command {number} follows {expected - 1}")
            offsets.append(offset)
            offset += (head >> 24) * UNIT_BYTES
            expected = number + 1
        if offset != end or not offsets:
            raise _malformed(offset, "is cut short" if offsets else "is missing")
        if expected == len(offsets):
            raise FrameError(ErrorCode.NUMBER_GAP, "commands are numbered from 1")
        return offsets

    def _check_side(self, offset: int) -> None:
        side, records = self.side, self.records
        for begin in self._offsets:
            digest = records[begin + _DIGEST_OFFSET : begin + UNIT_BYTES]
            if digest == NO_SIDE_DATA:
                continue
            end = _side_end(side, offset)
            if hashlib.sha256(side[offset + 4 : end]).digest()[:16] != digest:
                raise _malformed(begin, "does not match its side data")
            offset = end
        if offset != len(side):
            raise FrameError(ErrorCode.MALFORMED_RECORDS, f"{len(side) - offset} bytes of side data too many")

    def _side_bytes(self, count: int) -> int:
        """Length of the side data of the first ``count`` commands."""
        offset = 0
        for begin in self._offsets[:count]:
            if self.records[begin + _DIGEST_OFFSET : begin + UNIT_BYTES] != NO_SIDE_DATA:
                offset = _side_end(self.side, offset)
        return offset


def _side_end(side: bytes, offset: int) -> int:
    if len(side) - offset < 4:
        raise FrameError(ErrorCode.MALFORMED_RECORDS, "side data is missing")
    end: int = offset + 4 + _U32.unpack_from(side, offset)[0]
    if end > len(side):
        raise FrameError(ErrorCode.MALFORMED_RECORDS, "side data is cut short")
    return end


def _malformed(offset: int, what: str) -> FrameError:
    return FrameError(ErrorCode.MALFORMED_RECORDS, f"the record at byte {offset} {what}")
