"""One life of a shard: take the lease, replay the journal, serve, end. Plain asyncio, whatever runs it."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import asdict, dataclass
from typing import Any, Final, NoReturn

import structlog

from engine.database import Database
from engine.event_buffer import EventBuffer
from engine.journal import Journal, JournalRow, Lease
from engine.postgres_journal import PostgresJournal
from engine.recovery import recover
from engine.shard_clock import ShardClock
from engine.shard_core import ShardCore
from engine.shard_server import ShardServer
from engine.shard_service import ShardService
from engine.source_secrets import PostgresSecrets

LEASE_CHECK_SECONDS: Final = 1.0
TIMER_SECONDS: Final = 0.25

log = structlog.get_logger()


@dataclass(frozen=True)
class ShardConfig:
    """What one shard needs to know: where its journal is (``dsn``), the address to listen on (``host``;
    empty: the node's own), and the loopback port of its metrics (0: none)."""

    shard: int
    dsn: str
    host: str = "127.0.0.1"
    port: int = 0
    lease_check_seconds: float = LEASE_CHECK_SECONDS
    metrics_port: int = 0


@dataclass
class ShardStatus:
    """How an incarnation stands; ``phase`` goes starting, recovering, serving, over."""

    shard: int
    pid: int
    phase: str = "starting"
    epoch: int = 0
    address: str = ""
    rows_replayed: int = 0
    rows_to_replay: int = 0
    row: int = 0
    command: int = 0
    event: int = 0
    reason: str = ""
    recovery_seconds: float = 0.0


class ShardIncarnation:
    """From the lease to the end; :meth:`run` once, :meth:`status` at any time."""

    def __init__(self, config: ShardConfig, *, clock: ShardClock | None = None) -> None:
        self.config = config
        self._clock = clock or ShardClock()
        self._status = ShardStatus(config.shard, os.getpid())
        self._service: ShardService | None = None

    def status(self) -> dict[str, Any]:
        """Return :class:`ShardStatus` as a dict."""
        if self._service is not None:
            self._status.row = self._service.last_row
            self._status.command = self._service.durable_command
            self._status.event = self._service.durable_event
        return asdict(self._status)

    async def run(self) -> NoReturn:
        """Live, then raise why it ended: JournalError, ReplayDivergedError, ClockError, or a bug."""
        try:
            await self._live()
        except BaseException as error:
            self._status.phase, self._status.reason = "over", repr(error)
            log.warning(
                "incarnation over", shard=self.config.shard, epoch=self._status.epoch, reason=repr(error)
            )
            raise

    async def _live(self) -> NoReturn:
        database = await Database.open(self.config.dsn, name=f"abst-shard-{self.config.shard}", size_max=3)
        journal = PostgresJournal(database, self.config.shard)
        try:
            lease = await journal.take_over()
            self._clock.compare(lease.taken_at_ns)
            core, events = await self._recover(journal, lease)
            service = ShardService(core, journal, lease, clock=self._clock, events=events)
            await self._serve(ShardServer(service, PostgresSecrets(database)), service, journal, lease)
        finally:
            journal.close()
            await database.close()

    async def _recover(self, journal: Journal, lease: Lease) -> tuple[ShardCore, EventBuffer]:
        status, began = self._status, time.monotonic()
        status.phase, status.epoch, status.rows_to_replay = "recovering", lease.epoch, lease.last_row
        core, events = ShardCore(self.config.shard), EventBuffer(0)

        def on_row(row: JournalRow) -> None:
            events.add(row.last_event, row.events)
            status.rows_replayed = row.row

        await recover(core, journal, lease, on_row=on_row)
        status.recovery_seconds = time.monotonic() - began
        log.info(
            "recovered", shard=lease.shard, epoch=lease.epoch, rows=lease.last_row, last_event=core.last_event
        )
        return core, events

    async def _serve(
        self, server: ShardServer, service: ShardService, journal: Journal, lease: Lease
    ) -> NoReturn:
        self._service = service
        try:
            address = await server.start(self.config.host, self.config.port)
            await journal.publish(lease.epoch, address)
            self._status.phase, self._status.address = "serving", address
            log.info("serving", shard=lease.shard, epoch=lease.epoch, address=address)
            await _first_failure(
                service.run(), self._keep_checking(journal, lease.epoch), self._keep_ticking(service)
            )
        finally:
            await server.close()

    async def _keep_checking(self, journal: Journal, epoch: int) -> NoReturn:
        while True:
            await asyncio.sleep(self.config.lease_check_seconds)
            await journal.check(epoch)

    async def _keep_ticking(self, service: ShardService) -> NoReturn:
        while True:
            await asyncio.sleep(TIMER_SECONDS)
            service.tick()


async def _first_failure(*endless: Any) -> NoReturn:
    """Run coroutines that only end by an exception; end all by the first one."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in endless]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        done.pop().result()
        raise AssertionError("an endless task ended")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
