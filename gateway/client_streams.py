"""Where a client stands in each private stream, so that it sees every event once, in order, across
connections.
"""

from __future__ import annotations

from collections.abc import Mapping


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
