"""The settlement process: runner, watcher, reconciliation and outboxes on one event loop.

Each part works in rounds: called by a notification, and now and then without one. A node that does not answer
is waited for; when the database is lost, everything begins anew, because nothing is held outside of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import structlog

from engine.database import Database, apply_engine_schema, connect
from engine.directory import CHANNEL as DIRECTORY_CHANNEL
from engine.outbox_sender import send_outboxes
from settlement import outcomes, telling
from settlement.batch_runner import BatchRunner
from settlement.chain_rpc import ChainRpc
from settlement.chain_watcher import ChainWatcher
from settlement.deployment import check_deployment
from settlement.errors import AlreadyRunningError, ChainError, ChainUnavailableError, WrongChainError
from settlement.postgres_store import ATTESTATION_CHANNEL, FILLS_CHANNEL, take_settlement_lock
from settlement.reconciliation import Reconciliation
from settlement.settlement_config import SettlementConfig
from settlement.signer import Signer

_log = structlog.get_logger()

SCHEMA: Final = Path(__file__).with_name("schema.sql")
_PAUSE_S: Final = 0.5
_LOST: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, AlreadyRunningError)


async def run_settlement(config: SettlementConfig, stop: asyncio.Event) -> None:
    """Settle until ``stop`` is set.

    Waits for a node or a database that is away, and for another settlement process to end. Raises
    WrongChainError when the node serves another chain, DeploymentError when the contracts are not on it, and
    SchemaMismatch when the database is of another version; nothing is signed then.
    """
    while not stop.is_set():
        try:
            await _until(stop, _one_life(config))
        except (*_LOST, ChainUnavailableError) as lost:
            _log.warning("settlement begins anew", reason=f"{type(lost).__name__}: {lost}")
            await _pause(stop)


async def _one_life(config: SettlementConfig) -> None:
    """From connecting to the loss of the database; raises what ended it."""
    await apply_engine_schema(config.database_dsn)
    database = await Database.open(config.database_dsn, name="abst-settlement", size_max=8)
    own = await connect(config.database_dsn, name="abst-settlement-lock")
    try:
        await database.apply_schema("settlement", SCHEMA)
        await take_settlement_lock(own)
        async with ChainRpc(config.rpc_url, config.chain_id) as chain:
            await check_deployment(chain, config.deployment)
            await _all_parts(config, database, own, chain)
    finally:
        own.terminate()
        await database.close()


async def _all_parts(config: SettlementConfig, database: Database, own: Any, chain: ChainRpc) -> None:
    """Run every part until one of them fails; raises the first failure."""
    fills, directory, lost = asyncio.Event(), asyncio.Event(), asyncio.Event()
    own.add_termination_listener(lambda _: lost.set())
    for channel, event in (
        (FILLS_CHANNEL, fills),
        (ATTESTATION_CHANNEL, fills),
        (DIRECTORY_CHANNEL, directory),
    ):
        await own.add_listener(channel, _setter(event))
    signer = Signer(config.operator_key, config.chain_id)
    runner = BatchRunner(database, chain, signer, config)
    watcher = ChainWatcher(database, chain, config)
    reconciliation = Reconciliation(database, chain, config)
    _log.info("settling", chain_id=config.chain_id, operator=signer.address.hex())
    await _first_failure(
        _rounds("runner", runner.round, fills, config.poll_s),
        _rounds("watcher", watcher.round, directory, config.poll_s),
        _rounds("reconciliation", reconciliation.round, asyncio.Event(), config.reconcile_every_s),
        _send_outboxes(config, database),
        _raise_when(lost),
    )


async def _rounds(
    name: str, work: Callable[[], Awaitable[int]], called: asyncio.Event, poll_s: float
) -> None:
    """Work in rounds for ever: at once again after one that did something, else when called or polled."""
    while True:
        called.clear()
        try:
            steps = await work()
        except WrongChainError:
            raise
        except ChainError as error:
            _log.warning("round given up", part=name, reason=f"{type(error).__name__}: {error}")
            steps = 0
        if not steps:
            with suppress(TimeoutError):
                async with asyncio.timeout(poll_s):
                    await called.wait()


async def _send_outboxes(config: SettlementConfig, database: Database) -> None:
    """Send what watcher and runner decided to every shard, each as soon as it runs."""
    try:
        await send_outboxes(database, (telling.SOURCE_NAME, outcomes.SOURCE_NAME), config.shards)
    except BaseExceptionGroup as group:
        raise _leaf(group) from group


async def _first_failure(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts together, none of which ends by itself; raises what ended the first, the others
    cancelled."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until(stop: asyncio.Event, life: Coroutine[Any, Any, None]) -> None:
    """Run until the life ends or ``stop`` is set, which ends it."""
    task, stopped = asyncio.create_task(life), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for each in (task, stopped):
            each.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


async def _pause(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_PAUSE_S):
            await stop.wait()


async def _raise_when(lost: asyncio.Event) -> None:
    """Fail when the connection that holds the settlement lock is lost: another process may hold it now."""
    await lost.wait()
    raise ConnectionError("the connection that holds the settlement lock is lost")


def _setter(event: asyncio.Event) -> Callable[..., None]:
    return lambda *_: event.set()


def _leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first single failure in a group of them."""
    first = group.exceptions[0]
    return _leaf(first) if isinstance(first, BaseExceptionGroup) else first
