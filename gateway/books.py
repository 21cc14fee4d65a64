"""The public book of a tranche, built from a snapshot and changes, and the checksum that proves it.

Both ends use it: the gateway builds it from the engine's events, the client from notifications. Prices are
ticks, quantities lots. A change costs O(levels of its side) in memory moves, a checksum O(all levels).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from zlib import crc32

from ext.records import Phase, Side

SIDE_LETTER: Final = {Side.BUY: "b", Side.SELL: "a"}


class Level(NamedTuple):
    """All that rests at one price of one side; 0 lots in a change: the level is gone."""

    side: int
    price_ticks: int
    quantity_lots: int
    orders: int


class BookSide:
    """The levels of one side, best first."""

    __slots__ = ("_keys", "_letter", "_levels", "_sign", "_texts", "side")

    def __init__(self, side: Side) -> None:
        self.side = side
        self._sign = -1 if side == Side.BUY else 1
        self._letter = SIDE_LETTER[side]
        self._keys: list[int] = []
        self._levels: list[Level] = []
        self._texts: list[bytes] = []

    def change(self, level: Level) -> None:
        """Put the level in its place, or take it out where it has no lots."""
        key = level.price_ticks * self._sign
        index = bisect_left(self._keys, key)
        present = index < len(self._keys) and self._keys[index] == key
        if level.quantity_lots == 0:
            if present:
                del self._keys[index], self._levels[index], self._texts[index]
            return
        text = f"{self._letter}:{level.price_ticks}:{level.quantity_lots}:{level.orders};".encode()
        if present:
            self._levels[index], self._texts[index] = level, text
            return
        self._keys.insert(index, key)
        self._levels.insert(index, level)
        self._texts.insert(index, text)

    def __iter__(self) -> Iterator[Level]:
        return iter(self._levels)

    def __len__(self) -> int:
        return len(self._levels)

    def best(self) -> Level | None:
        """Return the best level, if there is any."""
        return self._levels[0] if self._levels else None

    def text(self) -> bytes:
        """Return the side as the checksum sees it."""
        return b"".join(self._texts)


class PublicBook:
    """Both sides of a tranche's book at ``sequence``, and its phase."""

    __slots__ = ("asks", "bids", "phase", "sequence")

    def __init__(self, sequence: int = 0, phase: Phase = Phase.CLOSED, levels: Iterable[Level] = ()) -> None:
        self.sequence = sequence
        self.phase = phase
        self.bids = BookSide(Side.BUY)
        self.asks = BookSide(Side.SELL)
        for level in levels:
            self.change(level)

    def change(self, level: Level) -> None:
        """Apply one changed level; the caller keeps ``sequence``."""
        (self.bids if level.side == Side.BUY else self.asks).change(level)

    def checksum(self) -> int:
        """CRC-32 over all levels, bids best first then asks best first, each
        ``side:price_ticks:lots:orders;``.
        """
        return crc32(self.asks.text(), crc32(self.bids.text()))
