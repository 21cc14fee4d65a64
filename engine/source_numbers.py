"""Which commands of which source a shard has taken: each source numbers its commands densely from 1 (DESIGN
D5).

The shell asks for a :class:`Verdict` before it journals a command; the core takes only what is admitted.
Source 0 is the shard itself, whose clock commands have no number.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ext.records import Header, Kind

SHARD_ITSELF: Final = 0


class Verdict(IntEnum):
    """What is to be done with a command, by its source, incarnation and number."""

    ADMIT = 0
    SEEN = 1
    """Taken before: drop it."""
    GAP = 2
    """A number before it is missing, or it has none: refuse the connection."""
    OVER = 3
    """A later incarnation of the source has been heard: refuse the connection."""


class SourceNumbers:
    """The live incarnation and the last number of every source."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int]] = {}

    def verdict(self, header: Header) -> Verdict:
        """Say what is to be done with a command; changes nothing."""
        if header.source == SHARD_ITSELF:
            return Verdict.ADMIT if header.kind == Kind.CLOCK and header.number == 0 else Verdict.GAP
        return self._verdict(header.source, header.incarnation, header.number)

    def _verdict(self, source: int, incarnation: int, number: int) -> Verdict:
        live, last = self._last.get(source, (0, 0))
        if incarnation < live or incarnation == 0:
            return Verdict.OVER
        if incarnation > live:
            last = 0
        if number == last + 1:
            return Verdict.ADMIT
        return Verdict.SEEN if 0 < number <= last else Verdict.GAP

    def take(self, header: Header) -> None:
        """Count an admitted command."""
        if header.source != SHARD_ITSELF:
            self._last[header.source] = (header.incarnation, header.number)

    def last_number(self, source: int, incarnation: int) -> int | None:
        """The last number taken of an incarnation, 0 for a new one, None for one that is over."""
        live, last = self._last.get(source, (0, 0))
        if incarnation == live:
            return last
        return 0 if incarnation > live else None

    def rows(self) -> list[tuple[int, int, int]]:
        """(source, incarnation, last number) of every source, by source."""
        return [(source, *self._last[source]) for source in sorted(self._last)]

    def load(self, source: int, incarnation: int, number: int) -> None:
        """Take one of :meth:`rows` back."""
        self._last[source] = (incarnation, number)
