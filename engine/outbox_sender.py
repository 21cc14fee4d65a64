"""Sending the command outbox: every command of a source to its shard, in order, however often it is started.

Where to go on is the shard's to say (``WELCOME.last_number``), so nothing about sending is kept here. Two
senders of one source do no harm: both send the same numbers, and the shard takes each once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from engine.command_outbox import CHANNEL, INCARNATION, commands_above, outbox_source
from engine.database import Database, connect
from engine.shard_link import ShardLink
from ext.records import Sourced, decode_header

_COMMANDS_AT_ONCE: Final = 256
_POLL_SECONDS: Final = 1.0

log = structlog.get_logger()


class OutboxSender:
    """Sends the commands of one source to one shard."""

    def __init__(self, database: Database, source: int, shard: int) -> None:
        self.source = source
        self.shard = shard
        self._database = database
        self._link = ShardLink(database, shard, source, INCARNATION, resume=True)
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be something to send."""
        self._woken.set()

    async def run(self) -> None:
        """Send for ever; waits wherever the shard is away. Raises what the database's connection raises."""
        await self._link.start()
        try:
            await self._link.wait_connected()
            while True:
                self._woken.clear()
                if not await self._send_some():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_POLL_SECONDS):
                            await self._woken.wait()
        finally:
            await self._link.close()

    async def _send_some(self) -> bool:
        """Hand some commands to the link; returns whether there were any."""
        await self._link.room()
        async with self._database.connection() as connection:
            commands = await commands_above(
                connection, self.source, self.shard, self._link.last_number, _COMMANDS_AT_ONCE
            )
        for command in commands:
            self._send(command)
        return bool(commands)

    def _send(self, command: Sourced) -> None:
        """Hand one command to the link, unless another sender was faster and the shard has it by now."""
        number = decode_header(command.record).number
        if number > self._link.last_number:
            given = self._link.send(command.record, command.side)
            assert given == number, "the outbox numbers without a gap"


async def send_outboxes(database: Database, names: Iterable[str], shards: Sequence[int]) -> None:
    """Send the outboxes of the named sources to all shards, for ever.

    Woken by ``engine_outbox`` notifications, and looking now and then without one. Raises what a lost
    database connection raises; it may be run again.
    """
    async with database.connection() as connection:
        sources = [await outbox_source(connection, name) for name in names]
    senders = [OutboxSender(database, source, shard) for source in sources for shard in shards]
    listener = await connect(database.dsn, name="abst-outbox")
    lost = asyncio.Event()

    def on_notification(_connection: object, _pid: int, _channel: str, payload: str) -> None:
        for sender in senders:
            if payload == str(sender.source):
                sender.wake()

    try:
        listener.add_termination_listener(lambda _: lost.set())
        await listener.add_listener(CHANNEL, on_notification)
        async with asyncio.TaskGroup() as tasks:
            for sender in senders:
                tasks.create_task(sender.run(), name=f"outbox {sender.source} to shard {sender.shard}")
            tasks.create_task(_raise_when(lost))
    finally:
        listener.terminate()


async def _raise_when(lost: asyncio.Event) -> None:
    """Fail when the listening connection is lost."""
    await lost.wait()
    raise ConnectionError("the connection that listened for the outbox is lost")
