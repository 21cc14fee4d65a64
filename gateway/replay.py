"""Replaying a private stream from the records until it joins live: no gap, no double. Without I/O.

The records (``engine.stream_event``) are written behind the live events, so at the moment a stream is
resumed some events may be in neither: passed live before, not yet recorded. :class:`Replay` holds what
comes live from that moment on and takes pages of records until they meet: either the records reach the
first event it holds, or the records are known to contain all that had passed when it began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

HELD_MAX: Final = 10_000
HELD_BYTES_MAX: Final = 4 * 2**20


class StreamKey(NamedTuple):
    """A private stream: (account, tranche), or tranche 0 for the account's cash in a shard."""

    account: int
    tranche: int
    shard: int


class Replay:
    """One stream of one session, being replayed after sequence ``after``.

    ``passed_event`` is the last event of the shard that had been delivered live when holding began. While
    ``dropping``, nothing is held, and holding has to begin anew before the replay can join.
    """

    def __init__(self, after: int, passed_event: int) -> None:
        self.last = after
        self.passed_event = passed_event
        self.dropping = False
        self._held: deque[tuple[int, bytes]] = deque()
        self._held_bytes = 0

    def live(self, sequence: int, frame: bytes) -> None:
        """Hold an event that came live; too many drop them all: the records have them soon."""
        if self.dropping:
            return
        if len(self._held) >= HELD_MAX or self._held_bytes + len(frame) > HELD_BYTES_MAX:
            self.drop()
            return
        self._held.append((sequence, frame))
        self._held_bytes += len(frame)

    def drop(self) -> None:
        """Hold nothing for now: too much came, or it is not this stream's turn yet."""
        self._held.clear()
        self._held_bytes = 0
        self.dropping = True

    def hold_anew(self, passed_event: int) -> None:
        """Begin to hold after dropping; all up to ``passed_event`` will come from the records."""
        self.dropping = False
        self.passed_event = passed_event

    def recorded(self, rows: Iterable[tuple[int, bytes]]) -> list[bytes]:
        """Take a page of records (sequence, frame) in order; return the frames to send now."""
        frames = []
        for sequence, frame in rows:
            if sequence == self.last + 1:
                self.last = sequence
                frames.append(frame)
        return frames

    def joined(self, recorded_event: int) -> bool:
        """Whether records and live meet, given the event up to which the records were complete when
        read.
        """
        if self.dropping:
            return False
        if recorded_event >= self.passed_event:
            return True
        return bool(self._held) and self._held[0][0] <= self.last + 1

    def rest(self) -> list[bytes]:
        """Return the held frames that come after what was sent; from here on the stream is live."""
        frames = [frame for sequence, frame in self._held if sequence > self.last]
        if self._held:
            self.last = max(self.last, self._held[-1][0])
        self._held.clear()
        self._held_bytes = 0
        return frames
