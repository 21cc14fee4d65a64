"""The journal in PostgreSQL: one writer, one row after the other, whatever dies when."""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from engine.database import Database, apply_engine_schema
from engine.journal import ZERO_HASH, CommitInDoubtError, FencedError, JournalRow, Lease, row_hash
from engine.postgres_journal import PostgresJournal


@pytest.fixture
async def store(database: str) -> AsyncIterator[Database]:
    await apply_engine_schema(database)
    opened = await Database.open(database)
    yield opened
    await opened.close()


@pytest.fixture
async def new_journal(store: Database) -> AsyncIterator[Callable[..., PostgresJournal]]:
    made: list[PostgresJournal] = []

    def journal(take_over_seconds_max: float = 0.2) -> PostgresJournal:
        made.append(PostgresJournal(store, 1, take_over_seconds_max=take_over_seconds_max))
        return made[-1]

    yield journal
    for journal_made in made:
        journal_made.close()


def next_row(lease: Lease, number: int, previous_hash: bytes, events: bytes = b"events") -> JournalRow:
    chained = row_hash(previous_hash, 1, number, lease.epoch, b"commands", b"", events)
    first, last = 2 * number - 1, 2 * number
    return JournalRow(
        1, number, lease.epoch, number, number, first, last, b"commands", b"", events, previous_hash, chained
    )


async def write(
    journal: PostgresJournal, lease: Lease, count: int, events: bytes = b"events"
) -> list[JournalRow]:
    rows, previous_hash = [], lease.last_hash
    for number in range(lease.last_row + 1, lease.last_row + count + 1):
        rows.append(next_row(lease, number, previous_hash, events))
        await journal.append(rows[-1])
        previous_hash = rows[-1].hash
    return rows


async def read(journal: PostgresJournal, from_row: int = 1) -> list[JournalRow]:
    return [row async for row in journal.rows(from_row)]


async def test_rows_come_back_as_they_were_written(new_journal: Callable[..., PostgresJournal]) -> None:
    journal = new_journal()
    rows = await write(journal, await journal.take_over(), 100, events=bytes(100_000))
    assert await read(journal) == rows
    assert await read(journal, 98) == rows[97:]
    again = await journal.take_over()
    assert (again.epoch, again.last_row, again.last_hash) == (2, 100, rows[-1].hash)


async def test_a_new_shard_begins_with_the_zero_hash(new_journal: Callable[..., PostgresJournal]) -> None:
    lease = await new_journal().take_over()
    assert (lease.epoch, lease.last_row, lease.last_hash) == (1, 0, ZERO_HASH)


async def test_a_zombie_writes_nothing_after_its_lease_was_taken(
    new_journal: Callable[..., PostgresJournal],
) -> None:
    zombie, heir = new_journal(), new_journal()
    old = await zombie.take_over()
    rows = await write(zombie, old, 3)
    new = await heir.take_over()
    with pytest.raises(FencedError):
        await zombie.append(next_row(old, 4, rows[-1].hash))
    assert new.last_row == 3
    assert await read(heir) == rows
    rows += await write(heir, new, 2)
    with pytest.raises(FencedError):
        await zombie.append(next_row(old, 6, rows[-1].hash))
    assert await read(heir) == rows
    for refused in (zombie.check(old.epoch), zombie.publish(old.epoch, "127.0.0.1:1")):
        with pytest.raises(FencedError):
            await refused


@pytest.mark.parametrize("number", [1, 2, 4])
async def test_only_the_next_row_is_written(new_journal: Callable[..., PostgresJournal], number: int) -> None:
    journal = new_journal()
    lease = await journal.take_over()
    rows = await write(journal, lease, 2)
    with pytest.raises(FencedError):
        await journal.append(next_row(lease, number, rows[-1].hash))
    assert await read(journal) == rows


async def test_a_row_that_chains_to_another_past_is_not_written(
    new_journal: Callable[..., PostgresJournal],
) -> None:
    journal = new_journal()
    lease = await journal.take_over()
    rows = await write(journal, lease, 2)
    with pytest.raises(FencedError):
        await journal.append(next_row(lease, 3, b"x" * 32))
    assert await read(journal) == rows


async def test_a_lost_connection_leaves_the_commit_in_doubt(
    new_journal: Callable[..., PostgresJournal],
) -> None:
    journal = new_journal()
    lease = await journal.take_over()
    await journal.database.pool.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1",
        "abst-shard-1-writer",
    )
    with pytest.raises(CommitInDoubtError):
        await journal.append(next_row(lease, 1, ZERO_HASH))


async def test_a_take_over_waits_for_the_append_under_way_and_reads_what_it_wrote(
    new_journal: Callable[..., PostgresJournal], store: Database
) -> None:
    zombie, heir = new_journal(30.0), new_journal(30.0)
    old = await zombie.take_over()
    async with store.connection() as other:
        in_the_way = other.transaction()
        await in_the_way.start()
        await other.execute(
            "insert into engine.journal values (1, 1, 0, 1, 1, 1, 1, '', '', '', '', '', null, now())"
        )
        appending = asyncio.create_task(zombie.append(next_row(old, 1, ZERO_HASH)))
        await until_blocked(store, 1)
        taking = asyncio.create_task(heir.take_over())
        await until_blocked(store, 2)
        await in_the_way.rollback()
    await appending
    assert (await taking).last_row == 1


async def until_blocked(store: Database, count: int) -> None:
    """Wait until so many statements wait for a lock."""
    blocked = 0
    while blocked < count:
        blocked = await store.pool.fetchval("select count(*) from pg_locks where not granted")


async def test_a_writer_that_froze_in_its_statement_does_not_keep_the_lease(
    new_journal: Callable[..., PostgresJournal], store: Database
) -> None:
    frozen, heir = new_journal(), new_journal()
    old = await frozen.take_over()
    await frozen._writer.execute("begin")
    await frozen._writer.execute("update engine.lease set last_row = last_row")
    new = await heir.take_over()
    assert new.epoch == old.epoch + 1
    with pytest.raises(CommitInDoubtError):
        await frozen.append(next_row(old, 1, ZERO_HASH))


async def test_rows_are_found_by_event(new_journal: Callable[..., PostgresJournal]) -> None:
    journal = new_journal()
    rows = await write(journal, await journal.take_over(), 5)
    assert await journal.rows_with_event(4, 1) == [rows[1]]
    assert await journal.rows_with_event(3, 10**6) == rows[1:]
    assert await journal.rows_with_event(11, 10**6) == []


async def test_a_check_that_cannot_ask_says_nothing(new_journal: Callable[..., PostgresJournal]) -> None:
    journal = new_journal()
    lease = await journal.take_over()
    await journal.database.close()
    await journal.check(lease.epoch)
    with pytest.raises(asyncpg.InterfaceError):
        await journal.publish(lease.epoch, "127.0.0.1:1")
