"""Tests of the projector on a real PostgreSQL, over what a real shard core journals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import asyncpg
import pytest

from engine import postgres_projector
from engine.command import settlement_failed, settlement_final
from engine.postgres_projector import LAG_ROWS, PostgresProjector
from ext.records import Side

TRANCHE = 3
ANN, BEN = 1, 2
_TABLES = ("orders", "order_revision", "fill", "stream_event", "balance", "terms", "projector_position")
_KEYS = {"stream_event": "event", "projector_position": "shard", "balance": "account, tranche, currency"}


class _CrashedError(Exception):
    """The process died."""


class _CrashingDatabase:
    """A database whose client dies at one moment: before a statement, before a commit, or just after one."""

    def __init__(self, dsn: str, crash_at: int) -> None:
        self._dsn = dsn
        self._left = crash_at

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        self.connection = await asyncpg.connect(self._dsn)
        try:
            transaction = self.connection.transaction()
            await transaction.start()
            yield self
            self._moment()
            await transaction.commit()
            self._moment()
        finally:
            self.connection.terminate()

    def _moment(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.connection.terminate()
            raise _CrashedError

    def __getattr__(self, name: str) -> Any:
        self._moment()
        return getattr(self.connection, name)


async def _tables(connection: asyncpg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    for table in _TABLES:
        rows = await connection.fetch(f"select * from engine.{table} order by {_KEYS.get(table, '1, 2, 3')}")
        found[table] = [tuple(row) for row in rows]
    return found


async def _project_all(projector: PostgresProjector) -> None:
    while await projector.step():
        pass


async def _trade(start_shard: Any) -> Any:
    """A shard with six journal rows: partial fills, a failed and a final one."""
    shard = await start_shard(1)
    await shard.open_market(TRANCHE, [ANN, BEN])
    await shard.apply(shard.order(BEN, TRANCHE, Side.SELL, 40_000, 100))
    await shard.apply(shard.order(ANN, TRANCHE, Side.BUY, 40_010, 40))
    await shard.apply(shard.order(ANN, TRANCHE, Side.BUY, 40_010, 10))
    await shard.apply(settlement_failed(TRANCHE, 2), settlement_final(TRANCHE, 1))
    await shard.apply(shard.order(ANN, TRANCHE, Side.BUY, 39_000, 7))
    return shard


async def test_the_tables_show_what_was_journalled(
    start_shard: Any, meeting_place: Any, connection: asyncpg.Connection
) -> None:
    shard = await _trade(start_shard)
    progress: list[int] = []
    projector = PostgresProjector(meeting_place, 1, lambda: progress.append(1))
    await _project_all(projector)
    fills = await connection.fetch("select fill_number, quantity_lots, outcome from engine.fill order by 1")
    assert [tuple(fill) for fill in fills] == [(1, 40, 1), (2, 10, 2)]
    balance = await connection.fetchrow(
        "select * from engine.balance where account = $1 and tranche = $2", BEN, TRANCHE
    )
    assert (balance["free"], balance["earmarked"], balance["in_settlement"]) == (10**6 - 100 + 10, 50, 0)
    assert await connection.fetchval("select count(*) from engine.orders") == 4
    assert progress == [1]
    assert await connection.fetchval("select event from engine.projector_position") == shard.core.last_event


async def test_a_projector_that_dies_anywhere_leaves_out_and_repeats_nothing(
    start_shard: Any,
    meeting_place: Any,
    engine_database: str,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_projector, "_ROWS_AT_ONCE", 2)
    await _trade(start_shard)
    await _project_all(PostgresProjector(meeting_place, 1))
    expected = await _tables(connection)
    for crash_at in count(1):
        await connection.execute(f"truncate {', '.join('engine.' + table for table in _TABLES)}")
        crashing: Any = _CrashingDatabase(engine_database, crash_at)
        try:
            await _project_all(PostgresProjector(crashing, 1))
            break
        except _CrashedError:
            await _project_all(PostgresProjector(meeting_place, 1))
        assert await _tables(connection) == expected
    assert crash_at > 30


async def test_two_projectors_of_one_shard_do_not_double_anything(
    start_shard: Any, meeting_place: Any, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_projector, "_ROWS_AT_ONCE", 1)
    await _trade(start_shard)
    await asyncio.gather(*(_project_all(PostgresProjector(meeting_place, 1)) for _ in range(2)))
    assert await connection.fetchval("select count(*) from engine.fill") == 2
    assert await connection.fetchval("select row from engine.projector_position where shard = 1") == 6


async def test_a_running_projector_follows_the_journal_and_says_so(
    start_shard: Any, meeting_place: Any, connection: asyncpg.Connection
) -> None:
    shard = await start_shard(1)
    await shard.open_market(TRANCHE, [ANN, BEN])
    told = asyncio.Event()
    await connection.add_listener("engine_fills", lambda *_: told.set())
    progress = asyncio.Event()
    task = asyncio.create_task(PostgresProjector(meeting_place, 1, progress.set).run())
    await progress.wait()
    assert not told.is_set()
    progress.clear()
    await shard.apply(
        shard.order(BEN, TRANCHE, Side.SELL, 40_000, 5), shard.order(ANN, TRANCHE, Side.BUY, 40_000, 5)
    )
    await told.wait()
    await progress.wait()
    assert await connection.fetchval("select event from engine.projector_position") == shard.core.last_event
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert LAG_ROWS.labels(1)._value.get() == 0


async def test_each_shard_has_a_position_of_its_own(
    start_shard: Any, meeting_place: Any, connection: asyncpg.Connection
) -> None:
    await _trade(start_shard)
    other = await start_shard(2)
    await other.open_market(9, [ANN])
    await _project_all(PostgresProjector(meeting_place, 2))
    positions = await connection.fetch("select shard, row from engine.projector_position order by shard")
    assert [tuple(position) for position in positions] == [(2, 1)]
    assert await connection.fetchval("select count(*) from engine.fill") == 0


async def test_bytes_bound_a_step_but_never_stop_it(
    start_shard: Any, meeting_place: Any, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_projector, "_EVENT_BYTES_AT_ONCE", 1)
    await _trade(start_shard)
    projector = PostgresProjector(meeting_place, 1)
    assert await projector.step()
    assert await connection.fetchval("select row from engine.projector_position") == 1
    await _project_all(projector)
    assert await connection.fetchval("select row from engine.projector_position") == 6
