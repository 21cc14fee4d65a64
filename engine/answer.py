"""Waiting for what a shard made of a command that went through the outbox.

The answer is read from the journal, the only place where it is certain, so any process can wait for any
command.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from engine.command_outbox import INCARNATION
from ext.records import HEADER_STRUCT, Record, decode, split

_POLL_SECONDS: Final = 0.02
_ROWS_AT_ONCE: Final = 64


class SentCommand(NamedTuple):
    """A command in the outbox: its name, and the journal row after which its answer will stand."""

    source: int
    shard: int
    number: int
    after_row: int


async def last_journal_row(connection: Any, shard: int) -> int:
    """Last row of the shard's journal; what is enqueued in this transaction is answered after it."""
    row: int | None = await connection.fetchval("select last_row from engine.lease where shard = $1", shard)
    return row or 0


async def wait_for(connection: Any, sent: SentCommand, *, timeout_seconds: float) -> list[Record]:
    """Wait until the shard has journalled the command and return its events; the first is the answer.

    Raises:
        TimeoutError: There is no answer yet; the command will still be sent and answered.
    """
    async with asyncio.timeout(timeout_seconds):
        row = sent.after_row
        while True:
            rows = await connection.fetch(_ROWS, sent.shard, row, _ROWS_AT_ONCE)
            for found in rows:
                events = events_of(found["events"], sent)
                if events:
                    return events
            row = rows[-1]["row"] if rows else row
            if len(rows) < _ROWS_AT_ONCE:
                await asyncio.sleep(_POLL_SECONDS)


def events_of(events: bytes, sent: SentCommand) -> list[Record]:
    """Those of a run of events that the command caused."""
    found = []
    for event in split(events):
        _, _, _, source, incarnation, _, number, *_ = HEADER_STRUCT.unpack_from(event)
        if (source, incarnation, number) == (sent.source, INCARNATION, sent.number):
            found.append(decode(event))
    return found


_ROWS = "select row, events from engine.journal where shard = $1 and row > $2 order by row limit $3"
