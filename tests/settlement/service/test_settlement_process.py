"""The whole process: it starts, settles, stops when told, and gives way to nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from settlement.errors import WrongChainError
from settlement.settlement_process import run_settlement


@asynccontextmanager
async def running(config: Any) -> AsyncIterator[asyncio.Task[None]]:
    """The process, running; stopped at the end as SIGTERM would stop it."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_settlement(config, stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def until_settled(market: Any) -> None:
    """Play the engine and the chain until every fill is decided."""
    async with asyncio.timeout(60):
        while await market.undecided():
            await market.attest()
            market.mine()
            await asyncio.sleep(0.02)


async def test_the_process_settles_what_is_there_and_stops_when_told(market: Any) -> None:
    fills = await market.matched(4)
    config = replace(market.config, poll_s=0.02)
    async with running(config):
        await until_settled(market)
    more = await market.matched(2)
    async with running(config):
        await until_settled(market)

    assert await market.statuses() == dict.fromkeys([*fills, *more], "final")
    assert len(await market.commands("settlement")) == 6
    assert len(await market.commands("watcher")) == 6


async def test_it_goes_on_after_the_database_cut_all_its_connections(market: Any) -> None:
    config = replace(market.config, poll_s=0.02)
    async with running(config):
        await market.matched(2)
        await until_settled(market)
        await market.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and application_name in ('abst-settlement', 'abst-settlement-lock')"
        )
        fills = await market.matched(2)
        await until_settled(market)

    assert {number: (await market.statuses())[number] for number in fills} == dict.fromkeys(fills, "final")


async def test_a_second_process_waits_for_the_first(market: Any) -> None:
    config = replace(market.config, poll_s=0.02)
    async with running(config), running(config):
        await market.matched(2)
        await until_settled(market)

    assert len(await market.commands("settlement")) == 2


async def test_a_shard_that_begins_later_than_settlement_is_found(market: Any) -> None:
    asked: asyncio.Queue[None] = asyncio.Queue()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(None)
        writer.close()

    late = 2
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, running(replace(market.config, shards=[1, late], poll_s=0.02)):
        await market.matched(2)
        await until_settled(market)
        await market.rows(
            "insert into engine.lease (shard, address) values ($1, $2) returning 1", late, f"{host}:{port}"
        )
        await asyncio.wait_for(asked.get(), 20)


async def test_a_node_of_another_chain_ends_the_process(market: Any) -> None:
    wrong = replace(market.config, deployment=replace(market.contracts.venue, chain_id=1))
    with pytest.raises(WrongChainError, match="31337"):
        await asyncio.wait_for(run_settlement(wrong, asyncio.Event()), 20)
