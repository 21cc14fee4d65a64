"""How far the projector's rows are behind the events that were heard, so that reads can wait for what
was told.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from engine.database import Database
from engine.reasons import Reason
from gateway.errors import CommandRefused

POLL_S: Final = 0.02
RETRY_AFTER_MS: Final = 500


class RecordLag:
    """The projector's position per shard, asked when needed and remembered."""

    def __init__(self, database: Database, wait_s: float = 5.0) -> None:
        self._database = database
        self._wait_s = wait_s
        self._recorded: dict[int, int] = {}
        self._asking: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def recorded(self, shard: int) -> int:
        """Return the event up to which the shard's rows are complete now."""
        async with self._database.connection() as connection:
            event = await connection.fetchval(
                "select event from engine.projector_position where shard = $1", shard
            )
        self._recorded[shard] = event or 0
        return event or 0

    async def until(self, shard: int, event: int) -> None:
        """Wait until the shard's rows contain ``event``.

        Raises:
            CommandRefused: They do not in time (712).
        """
        if self._recorded.get(shard, 0) >= event:
            return
        try:
            async with asyncio.timeout(self._wait_s):
                async with self._asking[shard]:
                    while self._recorded.get(shard, 0) < event:
                        if await self.recorded(shard) < event:
                            await asyncio.sleep(POLL_S)
                    return
        except TimeoutError:
            raise CommandRefused(
                f"the records of shard {shard} are behind what was told",
                Reason.RECORDS_BEHIND,
                final=False,
                retry_after_ms=RETRY_AFTER_MS,
            ) from None
