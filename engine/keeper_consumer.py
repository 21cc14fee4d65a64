"""The cash keeper's work between deposits: following each shard's events, and tidying up now and then.

Events are read from the journal, so nothing is missed while this process or a shard is away.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from engine.cash_keeper import (
    SOURCE_NAME,
    allot_idle,
    concerns_keeper,
    keeper_position,
    take_events,
    tell_elsewhere,
)
from engine.command_outbox import outbox_source
from engine.database import Database
from ext.records import split

_ROWS_AT_ONCE: Final = 64
_POLL_SECONDS: Final = 1.0
_SAVE_SECONDS: Final = 1.0
_TIDY_SECONDS: Final = 2.0
_SEQUENCE: Final = slice(24, 32)


class KeeperConsumer:
    """Follows one shard. Its position is saved with what it does, and every second or so without anything to
    do.
    """

    def __init__(self, database: Database, shard: int) -> None:
        self.shard = shard
        self._database = database
        self._woken = asyncio.Event()
        self._source = 0
        self._seen_event = 0
        self._saved_event = 0
        self._saved_at = 0.0

    def wake(self) -> None:
        """Say that the shard's journal has grown."""
        self._woken.set()

    async def run(self) -> None:
        """Follow for ever; raises what a lost connection raises, and may be run again."""
        while True:
            self._woken.clear()
            if not await self.step():
                await self.save()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._woken.wait()

    async def step(self) -> bool:
        """Take the events of some journal rows; returns whether there were any."""
        async with self._database.connection() as connection:
            if not self._source:
                await self._begin(connection)
            rows = await connection.fetch(_ROWS, self.shard, self._seen_event, _ROWS_AT_ONCE)
            if not rows:
                return False
            events = [
                event
                for row in rows
                for event in split(row["events"])
                if concerns_keeper(event, self._source)
            ]
            new = [event for event in events if int.from_bytes(event[_SEQUENCE], "little") > self._seen_event]
            last_event: int = rows[-1]["last_event"]
            if new:
                await take_events(connection, self.shard, new, last_event)
                self._note_saved(last_event)
            self._seen_event = last_event
        if self._is_late():
            await self.save()
        return True

    async def save(self) -> None:
        """Save how far this has looked, unless that is saved."""
        if self._seen_event > self._saved_event:
            async with self._database.connection() as connection:
                await take_events(connection, self.shard, [], self._seen_event)
            self._note_saved(self._seen_event)

    async def _begin(self, connection: Any) -> None:
        """Go on from where the last consumer of this shard was."""
        self._source = await outbox_source(connection, SOURCE_NAME)
        self._seen_event = self._saved_event = await keeper_position(connection, self.shard)

    def _note_saved(self, event: int) -> None:
        self._saved_event = event
        self._saved_at = asyncio.get_running_loop().time()

    def _is_late(self) -> bool:
        return asyncio.get_running_loop().time() - self._saved_at > _SAVE_SECONDS


async def tidy_cash(database: Database) -> None:
    """Every other second, allot what lies idle and tell shards of cash elsewhere; for ever."""
    while True:
        for work in (allot_idle, tell_elsewhere):
            async with database.transaction() as connection:
                await work(connection)
        await asyncio.sleep(_TIDY_SECONDS)


_ROWS: Final = """
select events, last_event from engine.journal
where shard = $1 and last_event > $2 order by last_event, row limit $3
"""
