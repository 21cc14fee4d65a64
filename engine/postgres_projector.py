"""The projector of one shard: keeps the relational tables in step with its journal, off the path of orders.

Each step reads some journal rows after its position, writes all they say and moves the position, in one
transaction: stopped anywhere and started again, it neither leaves out nor repeats anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from prometheus_client import Counter, Gauge

from engine import projection
from engine.database import Database
from engine.directory import notify_directory
from engine.journal import JournalRow
from engine.projection import Projection, Rows, project

FILLS_CHANNEL: Final = "engine_fills"
"""Notified when fills, or outcomes of fills, were written."""

_ROWS_AT_ONCE: Final = 256
_EVENT_BYTES_AT_ONCE: Final = 4 * 2**20
_POLL_SECONDS: Final = 0.02

LAG_ROWS: Final = Gauge("abst_projector_lag_rows", "Journal rows not projected yet", ["shard"])
EVENTS: Final = Counter("abst_projector_events", "Events projected", ["shard"])
FILLS: Final = Counter("abst_projector_fills", "Fills projected", ["shard"])

log = structlog.get_logger()


class PostgresProjector:
    """Projects one shard. ``on_progress`` is called with the last event after each step that was
    committed.
    """

    def __init__(self, database: Database, shard: int, on_progress: Callable[[], None] | None = None) -> None:
        self.shard = shard
        self._database = database
        self._on_progress = on_progress
        self._row = 0
        self._lag = LAG_ROWS.labels(shard)
        self._events = EVENTS.labels(shard)
        self._fills = FILLS.labels(shard)

    async def run(self) -> None:
        """Project for ever; raises what the connection raises when it is lost, and may be run again."""
        while True:
            if not (await self._is_behind() and await self.step()):
                await asyncio.sleep(_POLL_SECONDS)

    async def step(self) -> bool:
        """Project some rows in one transaction; returns whether there were any."""
        async with self._database.transaction() as connection:
            row, event = await _position_locked(connection, self.shard)
            rows = await _rows_after(connection, self.shard, row)
            if not rows:
                self._row = row
                return False
            assert rows[0].row == row + 1, "rows are journalled without a gap"
            found = project(rows)
            await write(connection, found)
            behind: int = await connection.fetchval(_LAST_ROW, self.shard) or found.last_row
        self._row = found.last_row
        self._lag.set(max(behind - found.last_row, 0))
        self._events.inc(found.last_event - event)
        self._fills.inc(len(found.fills))
        if self._on_progress:
            self._on_progress()
        return True

    async def _is_behind(self) -> bool:
        """Whether the journal has rows beyond what this projector last saw or wrote; asks without locking."""
        last_row: int = await self._database.pool.fetchval(_LAST_ROW, self.shard) or 0
        self._lag.set(max(last_row - self._row, 0))
        return last_row > self._row


async def write(connection: Any, found: Projection) -> None:
    """Write a projection and move the shard's position, in the caller's transaction."""
    for table, columns, rows in (
        ("order_revision", projection.REVISION_COLUMNS, found.revisions),
        ("fill", projection.FILL_COLUMNS, found.fills),
        ("stream_event", projection.STREAM_COLUMNS, found.stream_events),
        ("terms", projection.TERMS_COLUMNS, found.terms),
    ):
        if rows:
            await connection.copy_records_to_table(table, schema_name="engine", columns=columns, records=rows)
    await _execute(connection, _UPSERT_ORDERS, found.orders)
    await _execute(connection, _UPSERT_BALANCES, found.balances)
    await _execute(connection, _SET_OUTCOMES, found.outcomes)
    await connection.execute(_MOVE_POSITION, found.shard, found.last_row, found.last_event)
    if found.fills or found.outcomes:
        await connection.execute("select pg_notify($1, '')", FILLS_CHANNEL)
    if found.terms:
        await notify_directory(connection)


async def _execute(connection: Any, statement: str, rows: Rows) -> None:
    """Run a statement over rows handed to it as one array per column."""
    if rows:
        await connection.execute(statement, *map(list, zip(*rows, strict=True)))


async def _position_locked(connection: Any, shard: int) -> tuple[int, int]:
    """Row and event that the shard is projected up to; nobody else moves them until this transaction ends."""
    await connection.execute(_OPEN_POSITION, shard)
    row = await connection.fetchrow(_POSITION, shard)
    return row["row"], row["event"]


async def _rows_after(connection: Any, shard: int, row: int) -> Sequence[JournalRow]:
    """Some journal rows after ``row``: at least one if there is any, up to a bound of bytes."""
    return [
        JournalRow(*found)
        for found in await connection.fetch(_ROWS, shard, row, _ROWS_AT_ONCE, _EVENT_BYTES_AT_ONCE)
    ]


def _unnest(types: str, columns: Sequence[str]) -> str:
    """A table of the statement's array parameters."""
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types.split(), start=1))
    return f"unnest({arrays}) as u({', '.join(columns)})"


_ORDER_TYPES: Final = (
    "bigint int int text bigint smallint smallint bigint bigint bigint bigint int smallint bigint bigint"
)

_UPSERT_ORDERS: Final = f"""
insert into engine.orders ({", ".join(projection.ORDER_COLUMNS)})
select * from {_unnest(_ORDER_TYPES, projection.ORDER_COLUMNS)}
on conflict (order_id) do update set
    price_ticks = excluded.price_ticks, quantity_lots = excluded.quantity_lots,
    leaves_lots = excluded.leaves_lots, cum_lots = excluded.cum_lots, revision = excluded.revision,
    status = excluded.status, changed_at_ns = excluded.changed_at_ns
"""

_UPSERT_BALANCES: Final = f"""
insert into engine.balance ({", ".join(projection.BALANCE_COLUMNS)})
select * from {_unnest("int int int bigint bigint bigint bigint bigint bigint", projection.BALANCE_COLUMNS)}
on conflict (account, tranche, currency, shard) do update set
    free = excluded.free, earmarked = excluded.earmarked, in_settlement = excluded.in_settlement,
    event = excluded.event, elsewhere = excluded.elsewhere
"""

_SET_OUTCOMES: Final = f"""
update engine.fill f set outcome = u.outcome
from {_unnest("int bigint smallint", projection.OUTCOME_COLUMNS)}
where f.tranche = u.tranche and f.fill_number = u.fill_number
"""

_OPEN_POSITION: Final = "insert into engine.projector_position (shard) values ($1) on conflict do nothing"
_POSITION: Final = "select row, event from engine.projector_position where shard = $1 for update"
_MOVE_POSITION: Final = "update engine.projector_position set row = $2, event = $3 where shard = $1"
_LAST_ROW: Final = "select last_row from engine.lease where shard = $1"

_ROWS: Final = """
select shard, row, epoch, first_command, last_command, first_event, last_event, commands, side, events,
    previous_hash, hash, state_digest
from (
    select *, sum(length(events)) over (order by row) - length(events) as bytes_before
    from (select * from engine.journal where shard = $1 and row > $2 order by row limit $3) as next
) as counted
where bytes_before < $4 order by row
"""
