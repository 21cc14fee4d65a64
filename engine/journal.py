"""The journal of a shard: what it must do for the shard, whatever keeps it.

One row per group of commands, chained by hash. A row is appended under the epoch of a lease, exactly one
after the last; whoever took the lease over since makes the append fail and write nothing.

Errors::

    JournalError
    ├── FencedError          another incarnation holds the lease; nothing was written
    ├── CommitInDoubtError   the append may or may not have happened; only reading under a new lease will tell
    └── JournalBrokenError   the rows do not chain, or are not there
"""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

ZERO_HASH = bytes(32)
_PREFIX = struct.Struct("<QQQ")


class JournalError(RuntimeError):
    """The journal did not do what it was asked."""


class FencedError(JournalError):
    """Another incarnation holds the lease. Nothing was written; this incarnation is over."""


class CommitInDoubtError(JournalError):
    """Nobody can say whether the row was written. This incarnation is over; the next one reads the truth."""


class JournalBrokenError(JournalError):
    """Rows are missing, or do not chain to each other."""


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One group of commands with all that came of it; ``side`` is laid out as in a COMMANDS frame."""

    shard: int
    row: int
    epoch: int
    first_command: int
    last_command: int
    first_event: int
    last_event: int
    commands: bytes
    side: bytes
    events: bytes
    previous_hash: bytes
    hash: bytes
    state_digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a shard's journal, and where it stood when the right was taken.

    ``taken_at_ns`` is the time of taking by the journal's own clock.
    """

    shard: int
    epoch: int
    last_row: int
    last_hash: bytes
    taken_at_ns: int


class Journal(Protocol):
    """The journal of one shard."""

    async def take_over(self) -> Lease:
        """Raise the epoch; returns when no append of an older epoch is under way or can ever succeed."""
        ...

    async def append(self, row: JournalRow) -> None:
        """Write ``row`` durably, if it is the next one and its epoch the lease's.

        Raises:
            FencedError: It is not; nothing was written.
            CommitInDoubtError: It may have been written.
        """
        ...

    async def check(self, epoch: int) -> None:
        """Raise :class:`FencedError` if the lease is no longer of ``epoch``; other failures pass."""
        ...

    async def publish(self, epoch: int, address: str) -> None:
        """Say where the incarnation of ``epoch`` listens; raises :class:`FencedError` if it was replaced."""
        ...

    def rows(self, from_row: int) -> AsyncIterator[JournalRow]:
        """Read the rows from ``from_row`` on, in order, a bounded part at a time."""
        ...

    async def rows_with_event(self, event: int, bytes_max: int) -> list[JournalRow]:
        """Read the row that holds ``event`` and some that follow, about ``bytes_max`` bytes of events."""
        ...


def row_hash(
    previous_hash: bytes, shard: int, row: int, epoch: int, commands: bytes, side: bytes, events: bytes
) -> bytes:
    """Return the hash that chains a row to the one before."""
    digest = sha256(previous_hash)
    digest.update(_PREFIX.pack(shard, row, epoch))
    digest.update(commands)
    digest.update(side)
    digest.update(events)
    return digest.digest()


def check_chain(row: JournalRow, previous_row: int, previous_hash: bytes) -> None:
    """Raise :class:`JournalBrokenError` unless ``row`` follows the row before and its hash is right."""
    if row.row != previous_row + 1:
        raise JournalBrokenError(
            f"shard {row.shard}: row {previous_row + 1} is missing, row {row.row} follows"
        )
    expected = row_hash(previous_hash, row.shard, row.row, row.epoch, row.commands, row.side, row.events)
    if row.previous_hash != previous_hash or row.hash != expected:
        raise JournalBrokenError(f"shard {row.shard}: row {row.row} does not chain to the one before")


class MemoryJournal:
    """A journal in memory, for tests and for shards that need not survive; fences like the real one."""

    def __init__(self, shard: int, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.shard = shard
        self.epoch = 0
        self.address = ""
        self.stored: list[JournalRow] = []
        self._clock_ns = clock_ns

    async def take_over(self) -> Lease:
        """See :class:`Journal`."""
        self.epoch += 1
        self.address = ""
        last_hash = self.stored[-1].hash if self.stored else ZERO_HASH
        return Lease(self.shard, self.epoch, len(self.stored), last_hash, self._clock_ns())

    async def append(self, row: JournalRow) -> None:
        """See :class:`Journal`."""
        if row.epoch != self.epoch or row.row != len(self.stored) + 1:
            raise FencedError(f"shard {self.shard}: epoch {row.epoch} may not write row {row.row}")
        self.stored.append(row)

    async def check(self, epoch: int) -> None:
        """See :class:`Journal`."""
        if epoch != self.epoch:
            raise FencedError(f"shard {self.shard}: epoch {epoch} was replaced by {self.epoch}")

    async def publish(self, epoch: int, address: str) -> None:
        """See :class:`Journal`."""
        await self.check(epoch)
        self.address = address

    async def rows(self, from_row: int) -> AsyncIterator[JournalRow]:
        """See :class:`Journal`."""
        for row in self.stored[from_row - 1 :]:
            yield row

    async def rows_with_event(self, event: int, bytes_max: int) -> list[JournalRow]:
        """See :class:`Journal`."""
        found: list[JournalRow] = []
        for row in self.stored:
            if row.last_event >= event and sum(len(taken.events) for taken in found) < bytes_max:
                found.append(row)
        return found
