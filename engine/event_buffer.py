"""The recent durable events of a shard, in memory, up to a number of bytes; older ones are in the journal."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Final, NamedTuple

from ext.records import UNIT_BYTES

DEFAULT_BYTES_MAX: Final = 64 * 2**20


class EventRun(NamedTuple):
    """Events dense in sequence, and the one that follows them."""

    next_event: int
    records: bytes


class EventBuffer:
    """Runs of events, dense from ``first_event`` to ``last_event``; empty where first is above last."""

    def __init__(self, last_event: int, *, bytes_max: int = DEFAULT_BYTES_MAX) -> None:
        self.first_event = last_event + 1
        self.last_event = last_event
        self.bytes = 0
        self._bytes_max = bytes_max
        self._runs: deque[bytes] = deque()
        self._last_events: deque[int] = deque()

    def add(self, last_event: int, records: bytes) -> None:
        """Add the events after those held, up to ``last_event``; the oldest make room. O(1)."""
        if last_event == self.last_event:
            return
        self.last_event = last_event
        self._runs.append(records)
        self._last_events.append(last_event)
        self.bytes += len(records)
        while self.bytes > self._bytes_max and len(self._runs) > 1:
            self.bytes -= len(self._runs.popleft())
            self.first_event = self._last_events.popleft() + 1

    def read(self, from_event: int, bytes_max: int) -> EventRun | None:
        """Read about ``bytes_max`` bytes from ``from_event`` on; None if it is older than what is held.

        At least one event comes where there is one. O(log n) in the runs held, and in the length of what is
        read.
        """
        if from_event < self.first_event:
            return None
        index = bisect_left(self._last_events, from_event)
        parts: list[bytes] = []
        next_event = from_event
        while index < len(self._runs) and bytes_max > 0:
            first = self._last_events[index - 1] + 1 if index else self.first_event
            run = cut(self._runs[index], first, self._last_events[index], next_event, bytes_max)
            if not run.records or (parts and len(run.records) > bytes_max):
                break
            parts.append(run.records)
            next_event = run.next_event
            bytes_max -= len(run.records)
            if next_event <= self._last_events[index]:
                break
            index += 1
        return EventRun(next_event, b"".join(parts))


def cut(records: bytes, first_event: int, last_event: int, from_event: int, bytes_max: int) -> EventRun:
    """Cut out of events ``first_event`` to ``last_event`` those from ``from_event`` on that fit into
    ``bytes_max``.

    At least one event comes where there is one, however small ``bytes_max``.
    """
    begin = _skip(records, 0, from_event - first_event)
    if len(records) - begin <= bytes_max:
        return EventRun(last_event + 1, records[begin:] if begin else records)
    end, next_event = begin, from_event
    while end < len(records):
        after = end + records[end + 3] * UNIT_BYTES
        if after - begin > bytes_max and end > begin:
            break
        end, next_event = after, next_event + 1
    return EventRun(next_event, records[begin:end])


def _skip(records: bytes, offset: int, count: int) -> int:
    for _ in range(count):
        offset += records[offset + 3] * UNIT_BYTES
    return offset
