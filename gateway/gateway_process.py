"""One gateway process: directory, links to the shards, settlement feed and WebSocket server, until told
to stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog

from engine.database import Database, connect
from engine.directory import Directory
from engine.sources import new_incarnation
from gateway.admin_methods import AdminMethods
from gateway.configuration import GatewayConfig
from gateway.database_errors import DATABASE_ERRORS
from gateway.fan_out import FanOut
from gateway.listing import Listings
from gateway.log_on import LogOn
from gateway.metrics import GatewayMetrics
from gateway.order_entry import OrderEntry
from gateway.pending import Pending
from gateway.record_lag import RecordLag
from gateway.request_desk import RequestDesk
from gateway.server import start_server, stop_server
from gateway.settlement_feed import SettlementFeed
from gateway.shard_feeds import ShardFeeds
from gateway.streams import Streams
from gateway.take_over import TakeOver
from gateway.views import Views

log = structlog.get_logger()

AGAIN_AFTER_S: Final = 0.5
Work = Callable[[], Coroutine[Any, Any, None]]


async def run_gateway(
    config: GatewayConfig,
    stop: asyncio.Event,
    *,
    ready: Callable[[str], None] = lambda url: None,
    metrics: GatewayMetrics | None = None,
) -> None:
    """Run a gateway until ``stop`` is set; ``ready`` is told the URL once it listens.

    Raises:
        OSError: The port is taken, or PostgreSQL is not there.
        LinkOverError: Another gateway of this name was started.
    """
    database = await Database.open(
        config.database_dsn, name=f"abst-gateway-{config.name}", size_max=config.database_connections
    )
    try:
        await _run(config, database, stop, ready, metrics or GatewayMetrics())
    finally:
        await database.close()


async def _run(
    config: GatewayConfig,
    database: Database,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    metrics: GatewayMetrics,
) -> None:
    directory = Directory()
    listings = Listings(directory)

    async def learn() -> None:
        async with database.connection() as connection:
            await directory.refresh(connection)
        feeds.market.listed(listings.all())

    async with database.connection() as connection:
        source = await new_incarnation(connection, f"gateway-{config.name}")
    fan_out, pending = FanOut(listings), Pending(config.answer_within_s)
    feeds = ShardFeeds(database, source, pending, fan_out, listings, learn)
    metrics.in_flight.set_function(lambda: len(pending))
    administration = AdminMethods(database, listings, config.settlement, learn)
    take_over = TakeOver(feeds, config.answer_within_s)
    desk = _desk(config, database, directory, listings, feeds, fan_out, take_over, administration, metrics)
    try:
        async with database.connection() as connection:
            await directory.refresh(connection)
        await feeds.open(directory.shards)
        feeds.market.listed(listings.all())
        settlement = SettlementFeed(database, fan_out, listings)
        tasks: list[Work] = [
            lambda: feeds.run(lambda: directory.shards),
            lambda: _lasting("directory", lambda: _follow_directory(config, directory)),
            lambda: _lasting("settlement", settlement.run),
            feeds.expire,
        ]
        await _serve(config, desk, metrics, stop, ready, tasks)
    finally:
        await take_over.close()
        await feeds.close()


def _desk(
    config: GatewayConfig,
    database: Database,
    directory: Directory,
    listings: Listings,
    feeds: ShardFeeds,
    fan_out: FanOut,
    take_over: TakeOver,
    administration: AdminMethods,
    metrics: GatewayMetrics,
) -> RequestDesk:
    lag = RecordLag(database)
    streams = Streams(database, lag, fan_out, listings, feeds.began)
    return RequestDesk(
        feeds,
        fan_out,
        listings,
        OrderEntry(directory, listings, config.domain, config.cash),
        streams,
        Views(database, lag, fan_out, listings),
        LogOn(database, directory, take_over, fan_out, streams),
        administration,
        metrics,
    )


async def _serve(
    config: GatewayConfig,
    desk: RequestDesk,
    metrics: GatewayMetrics,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    tasks: list[Work],
) -> None:
    """Listen until stopped, or until one of the tasks fails."""
    server = await start_server(config, desk, metrics)
    port = server.sockets[0].getsockname()[1]
    running = [asyncio.create_task(work()) for work in tasks]
    stopped = asyncio.create_task(stop.wait())
    ready(f"ws://{config.host}:{port}/v1")
    log.info("gateway listens", name=config.name, host=config.host, port=port)
    try:
        done, _ = await asyncio.wait([stopped, *running], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopped}:
            log.error("gateway ends", error=repr(task.exception()))
            task.result()
    finally:
        await stop_server(server)
        for task in [stopped, *running]:
            task.cancel()
        await asyncio.gather(stopped, *running, return_exceptions=True)


async def _follow_directory(config: GatewayConfig, directory: Directory) -> None:
    connection = await connect(config.database_dsn, name=f"abst-gateway-{config.name}-directory")
    try:
        await directory.follow(connection)
    finally:
        connection.terminate()


async def _lasting(what: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run something again whenever PostgreSQL went away."""
    while True:
        try:
            await run()
        except DATABASE_ERRORS as problem:
            log.warning("PostgreSQL is away", what=what, error=repr(problem))
            await asyncio.sleep(AGAIN_AFTER_S)
