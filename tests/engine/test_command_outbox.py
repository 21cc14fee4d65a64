"""Tests of the command outbox on a real PostgreSQL."""

import asyncio

import asyncpg
import pytest

from engine.command import account_open, tranche_list
from engine.command_outbox import commands_above, enqueue, outbox_source
from engine.money import Terms
from ext.records import RecordError, Sourced, decode, encode, side_digest


def _open(account: int) -> Sourced:
    return Sourced(encode(account_open(account, account)))


async def _enqueue(connection: asyncpg.Connection, source: int, shard: int, *commands: Sourced) -> range:
    async with connection.transaction():
        return await enqueue(connection, source, shard, commands, cause="test", actor="tester")


async def test_a_source_keeps_its_id_and_incarnation_however_often_it_is_asked_for(
    connection: asyncpg.Connection,
) -> None:
    first = await outbox_source(connection, "keeper")
    other = await outbox_source(connection, "administration")
    assert first == await outbox_source(connection, "keeper") != other
    assert await connection.fetchval("select incarnation from engine.source where source = $1", first) == 1


async def test_numbers_are_dense_from_one_for_each_source_and_shard(connection: asyncpg.Connection) -> None:
    keeper = await outbox_source(connection, "keeper")
    administration = await outbox_source(connection, "administration")
    assert await _enqueue(connection, keeper, 1, _open(1), _open(2)) == range(1, 3)
    assert await _enqueue(connection, keeper, 2, _open(1)) == range(1, 2)
    assert await _enqueue(connection, administration, 1, _open(1)) == range(1, 2)
    assert await _enqueue(connection, keeper, 1, _open(3)) == range(3, 4)


async def test_a_command_carries_its_place_and_its_tie_to_the_side_data(
    connection: asyncpg.Connection,
) -> None:
    source = await outbox_source(connection, "administration")
    listing = tranche_list(
        7,
        Terms(1, 1, 1, 0, 20260101),
        document=b"{}",
        price_min_ticks=1,
        price_max_ticks=2,
        quantity_max_lots=3,
    )
    await _enqueue(connection, source, 1, _open(1), Sourced(encode(listing), b"{}"))
    (sent,) = await commands_above(connection, source, 1, 1, 10)
    head = decode(sent.record).header
    assert (head.source, head.incarnation, head.number) == (source, 1, 2)
    assert sent.side == b"{}"
    assert head.side_digest == side_digest(b"{}")


async def test_commands_above_a_number_come_in_order_up_to_a_limit(connection: asyncpg.Connection) -> None:
    source = await outbox_source(connection, "keeper")
    await _enqueue(connection, source, 1, *map(_open, range(1, 8)))
    commands = await commands_above(connection, source, 1, 2, 3)
    assert [decode(command.record).header.number for command in commands] == [3, 4, 5]


async def test_a_command_is_gone_when_its_cause_is_rolled_back(connection: asyncpg.Connection) -> None:
    source = await outbox_source(connection, "keeper")
    transaction = connection.transaction()
    await transaction.start()
    await enqueue(connection, source, 1, [_open(1)], cause="test", actor="tester")
    await transaction.rollback()
    assert await commands_above(connection, source, 1, 0, 10) == []
    assert await _enqueue(connection, source, 1, _open(2)) == range(1, 2)


async def test_a_command_outside_a_transaction_is_refused(connection: asyncpg.Connection) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        await enqueue(connection, 1, 1, [_open(1)], cause="test", actor="tester")


async def test_bytes_that_are_not_one_record_are_refused(connection: asyncpg.Connection) -> None:
    source = await outbox_source(connection, "keeper")
    with pytest.raises(RecordError):
        await _enqueue(connection, source, 1, Sourced(_open(1).record + bytes(64)))


async def test_concurrent_writers_leave_no_gap_and_no_number_appears_before_a_lower_one(
    engine_database: str,
) -> None:
    async with asyncpg.create_pool(engine_database, min_size=5, max_size=5) as pool:
        async with pool.acquire() as connection:
            source = await outbox_source(connection, "keeper")
        seen: list[int] = []

        async def write(writer: int) -> None:
            for turn in range(12):
                async with pool.acquire() as connection, connection.transaction():
                    await enqueue(connection, source, 1, [_open(writer)] * (turn % 3 + 1), cause="", actor="")

        async def read(total: int) -> None:
            async with pool.acquire() as connection:
                while len(seen) < total:
                    for command in await commands_above(connection, source, 1, len(seen), 1000):
                        seen.append(decode(command.record).header.number)

        await asyncio.gather(read(4 * 24), *map(write, range(1, 5)))
    assert seen == list(range(1, 4 * 24 + 1))
