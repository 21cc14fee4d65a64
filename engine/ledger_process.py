"""The ledger process: the engine's work off the path of orders, on one event loop.

Per shard a projector and the cash keeper's consumer; the attestor; the senders of the outboxes of
``administration`` and ``keeper``. Nothing is held outside PostgreSQL: when it is lost, everything begins
anew, and two of these processes at once do no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import structlog

from engine import administration, cash_keeper
from engine.administration import Administration
from engine.attestor import Attestor
from engine.database import Database, apply_engine_schema
from engine.keeper_consumer import KeeperConsumer, tidy_cash
from engine.outbox_sender import send_outboxes
from engine.postgres_projector import PostgresProjector
from engine.signed_order import Domain

_PAUSE_SECONDS: Final = 0.5
_LOST: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,  # what asyncpg makes of a rollback on a connection that was cut meanwhile
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LedgerConfig:
    """What a ledger process is told: the shards of the venue, the DvP contract's domain, the engine's 32-byte
    key.
    """

    database_dsn: str
    shards: Sequence[int]
    domain: Domain
    engine_key: bytes = field(repr=False)


async def run_ledger(config: LedgerConfig, stop: asyncio.Event) -> None:
    """Work until ``stop`` is set.

    Waits for a database that is away. Raises SchemaMismatchError when it is of another version, and what is a
    bug of ours.
    """
    while not stop.is_set():
        try:
            await _until(stop, _one_life(config))
        except* _LOST as lost:
            log.warning("ledger begins anew", reason=[repr(error) for error in lost.exceptions])
            await _pause(stop)


async def _one_life(config: LedgerConfig) -> None:
    """From connecting to the loss of the database; raises what ended it."""
    await apply_engine_schema(config.database_dsn)
    database = await Database.open(
        config.database_dsn, name="abst-ledger", size_max=4 + 2 * len(config.shards)
    )
    try:
        await _introduce(database, config.shards)
        log.info("ledger works", shards=list(config.shards))
        async with asyncio.TaskGroup() as tasks:
            for part in _parts(config, database):
                tasks.create_task(part)
    finally:
        await database.close()


async def _introduce(database: Database, shards: Sequence[int]) -> None:
    """Make the venue's shards known, so that cash and accounts reach also those that have not started yet."""
    statement = "insert into engine.lease (shard) select unnest($1::integer[]) on conflict do nothing"
    await database.pool.execute(statement, list(shards))
    await Administration(database).introduce_accounts()


def _parts(config: LedgerConfig, database: Database) -> list[Coroutine[Any, Any, None]]:
    """Everything that runs side by side."""
    sources = (administration.SOURCE_NAME, cash_keeper.SOURCE_NAME)
    parts = [
        send_outboxes(database, sources, config.shards),
        tidy_cash(database),
        Attestor(database, config.domain, config.engine_key).run(),
    ]
    for shard in config.shards:
        consumer = KeeperConsumer(database, shard)
        parts += [PostgresProjector(database, shard, consumer.wake).run(), consumer.run()]
    return parts


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Work until ``stop`` is set, or the work ends by an exception."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def _pause(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_PAUSE_SECONDS):
            await stop.wait()
