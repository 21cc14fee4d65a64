"""Tests of the directory's caches on a real PostgreSQL."""

import asyncio

import asyncpg
import pytest

from engine.directory import Directory, notify_directory
from engine.money import Terms

ADDRESS = b"\xaa" * 20


async def _fill(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "insert into engine.account (address, owner, session_epoch) values ($1, 7, 2)", ADDRESS
    )
    await connection.execute(
        "insert into engine.participant (login, credential, role, accounts)"
        " values ('mm', $1, 'participant', '{1}'), ('root', $1, 'administrator', '{}')",
        ADDRESS,
    )
    await connection.execute("insert into engine.lease (shard) values (1), (0)")
    await connection.execute(
        "insert into engine.tranche (symbol, shard, document) values ('SOLAR-A', 1, '{\"issuer\": \"X\"}')"
    )


async def test_everything_is_found_by_number_and_by_name(connection: asyncpg.Connection) -> None:
    await _fill(connection)
    directory = Directory()
    await directory.refresh(connection)
    account = directory.account(1)
    assert account is not None
    assert (account.address, account.owner, account.session_epoch) == (ADDRESS, 7, 2)
    assert directory.account_at(ADDRESS) is account
    tranche = directory.tranche_of("SOLAR-A")
    assert tranche is not None
    assert (tranche.tranche, tranche.shard, tranche.document) == (1, 1, {"issuer": "X"})
    assert directory.tranche(1) is tranche
    assert directory.shards == (0, 1)


async def test_roles_and_accounts_of_participants_are_told(connection: asyncpg.Connection) -> None:
    await _fill(connection)
    directory = Directory()
    await directory.refresh(connection)
    maker, root = directory.participant("mm"), directory.participant("root")
    assert maker is not None
    assert root is not None
    assert maker.accounts == {1}
    assert (maker.is_administrator, root.is_administrator) == (False, True)


async def test_what_is_not_there_is_none(connection: asyncpg.Connection) -> None:
    directory = Directory()
    await directory.refresh(connection)
    assert directory.account(1) is None
    assert directory.account_at(ADDRESS) is None
    assert directory.participant("mm") is None
    assert directory.tranche(1) is None
    assert directory.tranche_of("SOLAR-A") is None


async def test_the_latest_terms_are_those_applied_last(connection: asyncpg.Connection) -> None:
    await _fill(connection)
    directory = Directory()
    await directory.refresh(connection)
    assert directory.tranches[1].latest_terms is None
    await connection.execute(
        "insert into engine.terms values (1, 2, 5, 900, 3, 20260401), (1, 1, 5, 1000, 0, 20260331)"
    )
    await directory.refresh(connection)
    assert directory.tranches[1].latest_terms == Terms(2, 5, 900, 3, 20260401)
    assert sorted(directory.tranches[1].terms) == [1, 2]


async def test_a_follower_sees_a_change_when_it_is_notified(
    engine_database: str, connection: asyncpg.Connection
) -> None:
    directory = Directory()
    read = asyncio.Event()

    class Watched(Directory):
        async def refresh(self, connection: asyncpg.Connection) -> None:
            await super().refresh(connection)
            read.set()

    directory = Watched()
    own = await asyncpg.connect(engine_database)
    following = asyncio.create_task(directory.follow(own, every_seconds=3600))
    await read.wait()
    assert directory.participant("mm") is None
    read.clear()
    async with connection.transaction():
        await _fill(connection)
        await notify_directory(connection)
    await read.wait()
    assert directory.participant("mm") is not None
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    own.terminate()


async def test_a_follower_fails_when_its_connection_is_lost(
    engine_database: str, connection: asyncpg.Connection
) -> None:
    own = await asyncpg.connect(engine_database)
    following = asyncio.create_task(Directory().follow(own, every_seconds=0.01))
    await connection.execute("select pg_terminate_backend($1)", own.get_server_pid())
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await following
