"""The journal of a shard in PostgreSQL: ``engine.lease`` and ``engine.journal`` (``schema.sql``)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import structlog

from engine.database import Database, connect
from engine.journal import ZERO_HASH, CommitInDoubtError, FencedError, JournalError, JournalRow, Lease

_COLUMNS: Final = (
    "shard, row, epoch, first_command, last_command, first_event, last_event,"
    " commands, side, events, previous_hash, hash, state_digest"
)
_TAKE_OVER: Final = (
    "insert into engine.lease (shard, epoch) values ($1, 1) on conflict (shard) do update"
    " set epoch = lease.epoch + 1, address = '', taken_at = now() returning epoch, last_row, last_hash,"
    " (extract(epoch from clock_timestamp()) * 1000000000)::bigint as taken_at_ns"
)
# The lease row moves and the journal row is written by one statement, hence together or not at all.
_APPEND: Final = (
    "with mine as (update engine.lease set last_row = $2, last_hash = $12"
    " where shard = $1 and epoch = $3 and last_row = $2 - 1 and last_hash = $14 returning shard)"
    f" insert into engine.journal ({_COLUMNS})"
    " select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 from mine returning row"
)
_CHUNK_BYTES: Final = 4 * 2**20
_CHUNK_ROWS_FIRST: Final = 32
_CHUNK_ROWS_MAX: Final = 1024

log = structlog.get_logger()


class PostgresJournal:
    """The journal of one shard. Reads borrow from ``database``; appends have a connection of their own.

    An append that has not answered after ``commit_seconds_max`` is in doubt. A take-over that waits longer
    than ``take_over_seconds_max`` for the old writer's statement ends the old writer's session.
    """

    def __init__(
        self,
        database: Database,
        shard: int,
        *,
        commit_seconds_max: float = 10.0,
        take_over_seconds_max: float = 2.0,
    ) -> None:
        self.database = database
        self.shard = shard
        self._commit_seconds_max = commit_seconds_max
        self._take_over_seconds_max = take_over_seconds_max
        self._writer: Any = None
        self._append: Any = None

    async def take_over(self) -> Lease:
        """See :class:`~engine.journal.Journal`."""
        self.close()
        self._writer = await connect(self.database.dsn, name=self._writer_name())
        row = await self._raise_epoch()
        await self._writer.execute("reset lock_timeout")
        self._append = await self._writer.prepare(_APPEND)
        lease = Lease(
            self.shard, row["epoch"], row["last_row"], row["last_hash"] or ZERO_HASH, row["taken_at_ns"]
        )
        log.info("lease taken", shard=self.shard, epoch=lease.epoch, last_row=lease.last_row)
        return lease

    async def append(self, row: JournalRow) -> None:
        """See :class:`~engine.journal.Journal`."""
        if self._append is None:
            raise FencedError(f"shard {self.shard}: no lease was taken")
        before = row.previous_hash if row.row > 1 else b""
        try:
            written = await self._append.fetchval(
                row.shard, row.row, row.epoch, row.first_command, row.last_command, row.first_event,
                row.last_event, row.commands, row.side, row.events, row.previous_hash, row.hash,
                row.state_digest, before, timeout=self._commit_seconds_max,
            )  # fmt: skip
        except Exception as error:  # whatever it is, the row may have been written
            raise CommitInDoubtError(
                f"shard {self.shard}: row {row.row} may be lost or written: {error!r}"
            ) from error
        if written is None:
            raise FencedError(f"shard {self.shard}: epoch {row.epoch} may not write row {row.row}")

    async def check(self, epoch: int) -> None:
        """See :class:`~engine.journal.Journal`."""
        try:
            now = await self.database.pool.fetchval(
                "select epoch from engine.lease where shard = $1", self.shard
            )
        except Exception as error:  # nothing is known of the lease
            log.warning("lease cannot be checked", shard=self.shard, error=repr(error))
            return
        if now != epoch:
            raise FencedError(f"shard {self.shard}: epoch {epoch} was replaced by {now}")

    async def publish(self, epoch: int, address: str) -> None:
        """See :class:`~engine.journal.Journal`."""
        done = await self.database.pool.fetchval(
            "update engine.lease set address = $3 where shard = $1 and epoch = $2 returning epoch",
            self.shard, epoch, address,
        )  # fmt: skip
        if done is None:
            raise FencedError(f"shard {self.shard}: epoch {epoch} was replaced")

    async def rows(self, from_row: int) -> AsyncIterator[JournalRow]:
        """See :class:`~engine.journal.Journal`."""
        limit = _CHUNK_ROWS_FIRST
        while True:
            found = await self.database.pool.fetch(
                f"select {_COLUMNS} from engine.journal where shard = $1 and row >= $2 order by row limit $3",
                self.shard, from_row, limit,
            )  # fmt: skip
            chunk = [JournalRow(*row) for row in found]
            for row in chunk:
                yield row
            if len(chunk) < limit:
                return
            from_row = chunk[-1].row + 1
            limit = _next_limit(chunk)

    async def rows_with_event(self, event: int, bytes_max: int) -> list[JournalRow]:
        """See :class:`~engine.journal.Journal`."""
        found: list[JournalRow] = []
        total = 0
        while total < bytes_max:
            row = await self.database.pool.fetchrow(
                f"select {_COLUMNS} from engine.journal where shard = $1 and last_event >= $2"
                " order by last_event, row limit 1",
                self.shard, event,
            )  # fmt: skip
            if row is None:
                break
            found.append(JournalRow(*row))
            total += len(found[-1].events)
            event = found[-1].last_event + 1
        return found

    def close(self) -> None:
        """Cut the writer's connection; an append under way is then in doubt."""
        if self._writer is not None:
            self._writer.terminate()
        self._writer = self._append = None

    async def _raise_epoch(self) -> Any:
        wait_ms = int(self._take_over_seconds_max * 1000)
        await self._writer.execute(f"set lock_timeout = {wait_ms}")
        try:
            return await self._writer.fetchrow(_TAKE_OVER, self.shard)
        except asyncpg.LockNotAvailableError:
            await self._end_other_writers()
        try:
            return await self._writer.fetchrow(_TAKE_OVER, self.shard)
        except asyncpg.LockNotAvailableError as error:
            raise JournalError(f"shard {self.shard}: somebody keeps the lease row locked") from error

    async def _end_other_writers(self) -> None:
        """End sessions of this shard's writers, whose client froze in the middle of a statement."""
        log.warning("old writer's session holds the lease row and is ended", shard=self.shard)
        await self._writer.execute(
            "select pg_terminate_backend(pid, 1000) from pg_stat_activity"
            " where application_name = $1 and datname = current_database() and pid <> pg_backend_pid()",
            self._writer_name(),
        )

    def _writer_name(self) -> str:
        return f"abst-shard-{self.shard}-writer"


def _next_limit(chunk: list[JournalRow]) -> int:
    row_bytes = sum(len(row.commands) + len(row.side) + len(row.events) for row in chunk) // len(chunk)
    return max(1, min(_CHUNK_ROWS_MAX, _CHUNK_BYTES // max(row_bytes, 1)))
