"""Recovery: the shard's state is what its journal makes of a new core (DESIGN P5, D4).

Every row is applied again; its events must come out byte for byte, the state digest where the row has one,
and the chain of hashes must hold. The first difference ends recovery: :class:`ReplayDivergedError` says
where it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import zip_longest
from typing import Protocol

from engine.journal import ZERO_HASH as _ZERO_HASH
from engine.journal import Journal, JournalBrokenError, JournalRow, Lease, check_chain
from ext.records import RecordError, decode, split

Progress = Callable[[int, int], None]
"""Told (rows replayed, rows in all)."""


class ReplayDivergedError(RuntimeError):
    """The core made something else of the journal than it did before."""


class ReplayCore(Protocol):
    """What replay asks of the core."""

    @property
    def last_command(self) -> int:
        """Sequence of the last command applied."""

    @property
    def last_event(self) -> int:
        """Sequence of the last event."""

    def apply(self, commands: bytes, /) -> bytes:
        """Apply stamped commands, return their events."""

    def digest(self) -> bytes:
        """Digest of the whole state."""


async def recover(
    core: ReplayCore,
    journal: Journal,
    lease: Lease,
    *,
    on_row: Callable[[JournalRow], None] | None = None,
    progress: Progress | None = None,
) -> None:
    """Bring a new ``core`` to where row ``lease.last_row`` left the shard; ``on_row`` sees every row once
    replayed.

    Raises:
        JournalBrokenError: Rows are missing, or do not chain up to the lease's hash.
        ReplayDivergedError: Events or digest differ.
    """
    row_number, last_hash = 0, _ZERO_HASH
    async for row in journal.rows(1):
        check_chain(row, row_number, last_hash)
        replay(core, row)
        row_number, last_hash = row.row, row.hash
        if on_row:
            on_row(row)
        if progress:
            progress(row_number, lease.last_row)
        await asyncio.sleep(0)
    if (row_number, last_hash) != (lease.last_row, lease.last_hash):
        raise JournalBrokenError(
            f"shard {lease.shard}: the journal ends with row {row_number}, the lease says {lease.last_row}"
            f" and hash {lease.last_hash.hex()}"
        )


def replay(core: ReplayCore, row: JournalRow) -> None:
    """Apply one row again.

    Raises:
        ReplayDivergedError: Something else came of it than the row says.
    """
    events = core.apply(row.commands)
    if events != row.events:
        raise ReplayDivergedError(f"shard {row.shard}, row {row.row}: {first_difference(row.events, events)}")
    if (core.last_command, core.last_event) != (row.last_command, row.last_event):
        raise ReplayDivergedError(
            f"shard {row.shard}, row {row.row}: ends at command {core.last_command}, event {core.last_event};"
            f" the journal at {row.last_command}, {row.last_event}"
        )
    if row.state_digest is not None and core.digest() != row.state_digest:
        raise ReplayDivergedError(
            f"shard {row.shard}, row {row.row}: the events are equal but the state is not"
        )


def first_difference(journalled: bytes, replayed: bytes) -> str:
    """Say in which event, and in which of its fields, two runs of events first differ."""
    for before, now in zip_longest(_records(journalled), _records(replayed)):
        if before != now:
            return _difference(before, now)
    return "no event differs"


def _records(run: bytes) -> list[bytes]:
    try:
        return [bytes(record) for record in split(run)]
    except RecordError:
        return [run]


def _difference(before: bytes | None, now: bytes | None) -> str:
    if before is None or now is None:
        which = "is missing" if now is None else "is new"
        return f"{_named(before or now or b'')} {which} in the replay"
    try:
        old, new = decode(before), decode(now)
    except RecordError:
        return f"{_named(before)} became {_named(now)}"
    if type(old) is not type(new):
        return f"{_named(before)} became {_named(now)}"
    pairs = {**old.header._asdict(), **old._asdict()}, {**new.header._asdict(), **new._asdict()}
    fields = [
        f"{name} {value!r} became {pairs[1][name]!r}"
        for name, value in pairs[0].items()
        if name != "header" and value != pairs[1][name]
    ]
    return f"{_named(before)}: {', '.join(fields)}"


def _named(record: bytes) -> str:
    try:
        known = decode(record)
    except RecordError:
        return f"an unreadable event {record[:64].hex()}"
    return f"event {known.header.sequence} ({type(known).__name__})"
