"""Where a client stands in each private stream, so that it sees every event once, in order, across
connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final

STREAMS_AT_ONCE: Final = 500
"""As many streams are resumed by one request: with the longest names they fit a frame."""


class StreamPositions:
    """The last sequence delivered per stream, named as on the wire (``ACCOUNT:SYMBOL``,
    ``ACCOUNT:@SHARD``).
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._based = False

    def log_on(self, streams: Mapping[str, int]) -> dict[str, int]:
        """Take in where the venue's streams stand at log-on; return those to resume, with our positions.

        The first log-on sets the positions: the client's life begins there. Later ones show what was
        missed.
        """
        if not self._based:
            self._based = True
            self._last.update(streams)
        return {
            name: self._last.get(name, 0) for name, last in streams.items() if self._last.get(name, 0) < last
        }

    def take(self, name: str, sequence: int) -> bool | None:
        """Say what to do with an event: True deliver, False seen before, None there is a gap before it."""
        expected = self._last.get(name, 0) + 1
        if sequence == expected:
            self._last[name] = sequence
            return True
        return False if sequence < expected else None

    def last(self, name: str) -> int:
        """Return the last sequence delivered on a stream."""
        return self._last.get(name, 0)


class Resumption:
    """Which streams are being resumed and which wait for their turn: a session resumes once at a time.

    ``ask`` is called with the streams to resume and our positions in them.
    """

    def __init__(self, positions: StreamPositions, ask: Callable[[dict[str, int]], None]) -> None:
        self._positions = positions
        self._ask = ask
        self._under_way: set[str] = set()
        self._waiting: dict[str, None] = {}

    def want(self, streams: Iterable[str]) -> None:
        """Have streams resumed that lack events, unless they are being resumed now."""
        self._waiting.update((name, None) for name in streams if name not in self._under_way)
        self._go_on()

    def complete(self, streams: Iterable[str]) -> None:
        """Take in that streams are live again."""
        self._under_way.difference_update(streams)
        self._go_on()

    def forget(self) -> None:
        """The connection is gone, and what was asked on it."""
        self._under_way.clear()
        self._waiting.clear()

    def _go_on(self) -> None:
        if self._under_way or not self._waiting:
            return
        next_ones = list(islice(self._waiting, STREAMS_AT_ONCE))
        for name in next_ones:
            del self._waiting[name]
        self._under_way.update(next_ones)
        self._ask({name: self._positions.last(name) for name in next_ones})
