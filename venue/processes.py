"""Each process of the venue, run from the configuration until SIGTERM or SIGINT.

The parts know nothing of the configuration; here it becomes what each of them is told.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path

import structlog

from venue.configuration import Configuration
from venue.data_directory import DataDirectory
from venue.dev_keys import key_of
from venue.problems import ProblemNumber, VenueError


class ProcessName(StrEnum):
    """The processes of the venue, and ``prepare``, which runs once before them and ends."""

    PREPARE = "prepare"
    SHARDS = "shards"
    LEDGER = "ledger"
    GATEWAY = "gateway"
    SETTLEMENT = "settlement"


def run_process(name: ProcessName, configuration: Configuration) -> None:
    """Run one process until it is told to stop; raises what it fails with, VenueError where the world is at
    fault.
    """
    _log_as_json()
    run = _RUNS[name]
    asyncio.run(_until_signal(lambda stop: run(configuration, stop)))


def _log_as_json() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )


async def _until_signal(run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    await run(stop)


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def _prepare(configuration: Configuration, stop: asyncio.Event) -> None:
    from engine.database import Database, SchemaMismatchError
    from venue.deployed_contracts import deploy_once

    database = await Database.open(configuration.postgres.dsn, name="prepare", size_max=1)
    try:
        for name, path in _SCHEMAS.items():
            await database.apply_schema(name, path)
    except SchemaMismatchError as error:
        remedy = "An embedded venue keeps it in its data directory: name another with --data-dir."
        raise VenueError(ProblemNumber.DATA_OF_ANOTHER_VERSION, str(error), remedy) from error
    finally:
        await database.close()
    await _admit_administrator(configuration)
    await deploy_once(configuration, DataDirectory(configuration.data_directory).contracts)


async def _admit_administrator(configuration: Configuration) -> None:
    """Let the configured administrator's key log on as such."""
    from engine.administration import Administration
    from engine.database import Database
    from engine.signed_order import address_of
    from venue.investors import ADMINISTRATOR_LOGIN

    credential = address_of(key_of(configuration, "administrator"))
    database = await Database.open(configuration.postgres.dsn, name="prepare", size_max=1)
    try:
        await Administration(database).set_participant(
            ADMINISTRATOR_LOGIN, credential, [], "administrator", actor="prepare"
        )
    finally:
        await database.close()


async def _shards(configuration: Configuration, stop: asyncio.Event) -> None:
    from engine.shard_actor import RayCluster, RayConfig
    from engine.shard_host import ShardHostConfig, run_shards

    class Cluster(RayCluster):
        def start(self) -> None:
            super().start()
            _stop_on_signals(stop)  # Ray has put its own handlers in place of ours

    engine = configuration.engine
    ray = RayConfig(address=engine.ray_address, directory=DataDirectory(configuration.data_directory).ray)
    config = ShardHostConfig(
        configuration.postgres.dsn,
        range(engine.shards),
        engine.host,
        ray,
        metrics_port=_metrics_port(configuration, ProcessName.SHARDS),
    )
    await run_shards(config, stop, cluster=Cluster(ray))


async def _ledger(configuration: Configuration, stop: asyncio.Event) -> None:
    from engine.ledger_process import LedgerConfig, run_ledger
    from engine.metrics_server import metrics_served
    from venue.deployed_contracts import deployment_of

    config = LedgerConfig(
        database_dsn=configuration.postgres.dsn,
        shards=range(configuration.engine.shards),
        domain=deployment_of(configuration).domain,
        engine_key=key_of(configuration, "attestor"),
    )
    async with metrics_served(_metrics_port(configuration, ProcessName.LEDGER)):
        await run_ledger(config, stop)


async def _gateway(configuration: Configuration, stop: asyncio.Event) -> None:
    from engine.metrics_server import metrics_served
    from gateway.configuration import GatewayConfig
    from gateway.gateway_process import run_gateway
    from gateway.metrics import GatewayMetrics
    from venue.deployed_contracts import deployment_of

    gateway, contracts = configuration.gateway, deployment_of(configuration)
    config = GatewayConfig(
        name=gateway.name,
        host=gateway.host,
        port=gateway.port,
        database_dsn=configuration.postgres.dsn,
        chain_id=contracts.chain_id,
        dvp=contracts.dvp,
        cash=contracts.cash,
        vault=contracts.vault,
        chain_rpc=configuration.chain.rpc_url,
        in_flight_limit=gateway.commands_in_flight_max,
    )
    metrics = GatewayMetrics()
    async with metrics_served(_metrics_port(configuration, ProcessName.GATEWAY), metrics.registry):
        await run_gateway(config, stop, metrics=metrics)


async def _settlement(configuration: Configuration, stop: asyncio.Event) -> None:
    from engine.metrics_server import metrics_served
    from settlement.batching import BatchingPolicy
    from settlement.finality import FinalityRule
    from settlement.settlement_config import SettlementConfig
    from settlement.settlement_process import run_settlement
    from venue.deployed_contracts import deployment_of

    settlement, chain, contracts = configuration.settlement, configuration.chain, deployment_of(configuration)
    config = SettlementConfig(
        database_dsn=configuration.postgres.dsn,
        rpc_url=chain.rpc_url,
        operator_key=key_of(configuration, "operator"),
        deployment=contracts,
        shards=range(configuration.engine.shards),
        finality=FinalityRule(chain.finality_blocks if chain.finality == "depth" else None),
        batching=BatchingPolicy(
            fills_max=settlement.batch_fills_max, age_max_ns=round(settlement.batch_wait_seconds * 1e9)
        ),
        first_block=max(0, contracts.block - 1),
        reconcile_every_s=settlement.reconcile_seconds,
    )
    async with metrics_served(_metrics_port(configuration, ProcessName.SETTLEMENT)):
        await run_settlement(config, stop)


def _metrics_port(configuration: Configuration, name: ProcessName) -> int:
    """The port of a process's metrics, 0 for none; the shards' is the first shard's."""
    port = configuration.metrics.port
    return port and port + _METRICS_PORTS.index(name)


_METRICS_PORTS = (ProcessName.GATEWAY, ProcessName.LEDGER, ProcessName.SETTLEMENT, ProcessName.SHARDS)
_ROOT = Path(__file__).resolve().parent.parent
_SCHEMAS = {name: _ROOT / name / "schema.sql" for name in ("engine", "settlement")}
_RUNS: dict[ProcessName, Callable[[Configuration, asyncio.Event], Awaitable[None]]] = {
    ProcessName.PREPARE: _prepare,
    ProcessName.SHARDS: _shards,
    ProcessName.LEDGER: _ledger,
    ProcessName.GATEWAY: _gateway,
    ProcessName.SETTLEMENT: _settlement,
}
