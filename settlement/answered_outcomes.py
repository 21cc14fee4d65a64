"""How far the shards have answered what settlement told them of fills, read from their journals.

A fill's outcome in the engine can be expected only when its shard has answered every command about outcomes;
from then on it must be right, whether or not a command was ever written for the fill.
"""

from __future__ import annotations

from typing import Any, Final

import asyncpg

from engine.command_outbox import INCARNATION
from engine.database import Database
from ext.records import decode_header, split
from settlement.outcomes import SOURCE_NAME

_ROWS_AT_ONCE: Final = 200
_READS_MAX: Final = 50


async def read_answered_outcomes(database: Database) -> None:
    """Read on in the journals of shards that still owe an answer, a stretch in each transaction.

    Stops after some stretches, so that a long journal is read over several calls.
    """
    for _ in range(_READS_MAX):
        async with database.transaction() as connection:
            unanswered = await connection.fetch(_UNANSWERED, SOURCE_NAME)
            read = [await _read_on(connection, row) for row in unanswered]
        if not any(read):
            return


async def _read_on(connection: asyncpg.Connection, shard: Any) -> bool:
    """Read some rows of a shard's journal; returns whether there were any."""
    mark = shard["source"].to_bytes(4, "little") + INCARNATION.to_bytes(4, "little")
    rows = await connection.fetch(_ROWS, shard["shard"], shard["read_event"], mark, _ROWS_AT_ONCE)
    number, event = shard["number"], shard["answer_event"]
    for row in rows:
        for header in map(decode_header, split(row["events"] or b"")):
            if (header.source, header.incarnation) == (shard["source"], INCARNATION):
                number, event = max(number, header.number), header.sequence
    if rows:
        await connection.execute(_REMEMBER, shard["shard"], rows[-1]["last_event"], number, event)
    return bool(rows)


_UNANSWERED: Final = """
select l.shard, s.source, coalesce(a.read_event, 0) as read_event, coalesce(a.number, 0) as number,
    coalesce(a.answer_event, 0) as answer_event
from engine.source s cross join engine.lease l
left join settlement.outcomes_answered a using (shard)
where s.name = $1 and coalesce(a.number, 0) < (
    select max(number) from engine.command_outbox o where o.source = s.source and o.shard = l.shard)
order by l.shard
"""

_ROWS: Final = """
select last_event, case when position($3::bytea in events) > 0 then events end as events
from engine.journal where shard = $1 and last_event > $2 order by row limit $4
"""

_REMEMBER: Final = """
insert into settlement.outcomes_answered (shard, read_event, number, answer_event) values ($1, $2, $3, $4)
on conflict (shard) do update set read_event = excluded.read_event, number = excluded.number,
    answer_event = excluded.answer_event
"""
