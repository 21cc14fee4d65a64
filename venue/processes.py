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
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(stop)


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
    await deploy_once(configuration, DataDirectory(configuration.data_directory).contracts)


_ROOT = Path(__file__).resolve().parent.parent
_SCHEMAS = {name: _ROOT / name / "schema.sql" for name in ("engine", "settlement")}
_RUNS: dict[ProcessName, Callable[[Configuration, asyncio.Event], Awaitable[None]]] = {
    ProcessName.PREPARE: _prepare,
}
