"""Whether the processes of the venue do their work yet, seen from outside."""

from __future__ import annotations

import asyncio

import asyncpg

from venue.configuration import Configuration

_CONNECT_SECONDS_MAX = 2.0


async def port_answers(host: str, port: int) -> bool:
    """Say whether somebody accepts connections there."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS_MAX):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except (OSError, TimeoutError):
        return False
    return True


async def gateway_is_ready(configuration: Configuration) -> bool:
    """Say whether the gateway takes connections."""
    return await port_answers(configuration.gateway.host, configuration.gateway.port)


async def shards_are_ready(configuration: Configuration) -> bool:
    """Say whether every shard has a writer that takes connections."""
    rows = await _query(
        configuration, "select address from engine.lease where shard < $1", configuration.engine.shards
    )
    addresses = [row["address"].rpartition(":") for row in rows if row["address"]]
    if len(addresses) < configuration.engine.shards:
        return False
    answers = await asyncio.gather(*(port_answers(host, int(port)) for host, _, port in addresses))
    return all(answers)


async def ledger_is_ready(configuration: Configuration) -> bool:
    """Say whether the ledger process is connected to the database."""
    return await _is_connected(configuration, "abst-ledger")


async def settlement_is_ready(configuration: Configuration) -> bool:
    """Say whether the settlement process is connected to the database and is the one that settles."""
    return await _is_connected(configuration, "abst-settlement-lock")


async def _is_connected(configuration: Configuration, name: str) -> bool:
    statement = (
        "select from pg_stat_activity where application_name = $1 and datname = current_database() limit 1"
    )
    return bool(await _query(configuration, statement, name))


async def _query(configuration: Configuration, statement: str, *arguments: object) -> list[asyncpg.Record]:
    try:
        connection = await asyncpg.connect(configuration.postgres.dsn, timeout=_CONNECT_SECONDS_MAX)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return []
    try:
        rows: list[asyncpg.Record] = await connection.fetch(
            statement, *arguments, timeout=_CONNECT_SECONDS_MAX
        )
        return rows
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return []
    finally:
        connection.terminate()
