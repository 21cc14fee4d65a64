"""Shards under a real local Ray: what happens when their processes die or freeze."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from engine.command import account_open
from engine.database import Database, apply_engine_schema
from engine.shard_actor import RayCluster, RayConfig, RunningActor, _end_remains
from engine.shard_host import HostTiming, ShardHostConfig, run_shards
from engine.shard_incarnation import ShardConfig
from engine.shard_link import LinkTiming, ShardLink
from engine.sources import new_incarnation
from ext.records import decode_all, encode

FAST = LinkTiming(back_off_min=0.01, back_off_max=0.05, ping=0.1, silence_max=1.0)


class KeptCluster:
    """The session's Ray for one host: remembers what it launched, and outlives the host."""

    def __init__(self, ray: RayCluster) -> None:
        self._ray = ray
        self.launched: list[RunningActor] = []

    def start(self) -> None:
        """Ray is up."""

    def launch(self, config: ShardConfig) -> RunningActor:
        """Launch and remember."""
        self.launched.append(self._ray.launch(config))
        return self.launched[-1]

    def alive(self) -> bool:
        """Ask Ray."""
        return self._ray.alive()

    def stop(self) -> None:
        """Ray stays up."""

    async def pid(self, shard: int) -> int:
        """Process of the shard's latest actor."""
        latest = [running for running in self.launched if running.shard == shard][-1]
        return int((await latest.status())["pid"])


@pytest.fixture(scope="session")
def ray() -> Iterator[RayCluster]:
    directory = Path(tempfile.mkdtemp(prefix="abst-ray-"))
    cluster = RayCluster(RayConfig(directory=directory))
    cluster.start()
    yield cluster
    cluster.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def store(database: str) -> AsyncIterator[Database]:
    await apply_engine_schema(database)
    opened = await Database.open(database)
    yield opened
    await opened.close()


@pytest.fixture
async def host(ray: RayCluster, store: Database) -> AsyncIterator[KeptCluster]:
    cluster, stop = KeptCluster(ray), asyncio.Event()
    timing = HostTiming(ping=0.1, silence_max=1.0)
    config = ShardHostConfig(store.dsn, shards=(1, 2), timing=timing)
    running = asyncio.create_task(run_shards(config, stop, cluster=cluster))
    yield cluster
    stop.set()
    await running


LinkTo = Callable[[int], Awaitable[ShardLink]]


@pytest.fixture
async def link_to(store: Database) -> AsyncIterator[LinkTo]:
    links: list[ShardLink] = []

    async def link(shard: int) -> ShardLink:
        opened = ShardLink(store, shard, *await new_incarnation(store.pool, "gateway-a"), timing=FAST)
        await opened.start(1)
        links.append(opened)
        return opened

    yield link
    for opened in links:
        await opened.close()


def account(number: int) -> bytes:
    return encode(account_open(number, owner=1))


async def read_accounts(link: ShardLink, count: int) -> list[int]:
    accounts: list[int] = []
    async for _, records in link.events():
        accounts += [record.header.account for record in decode_all(records)]
        if len(accounts) >= count:
            break
    return accounts


async def test_every_shard_serves_in_a_process_of_its_own(host: KeptCluster, link_to: LinkTo) -> None:
    for shard in (1, 2):
        link = await link_to(shard)
        link.send(account(shard))
        assert await read_accounts(link, 1) == [shard]
    assert len({await host.pid(1), await host.pid(2), os.getpid()}) == 3


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_a_dead_or_frozen_shard_is_replaced_and_nothing_acknowledged_is_lost(
    host: KeptCluster, link_to: LinkTo, store: Database, blow: signal.Signals
) -> None:
    link = await link_to(1)
    for number in range(1, 101):
        link.send(account(number))
    await link.wait_confirmed(50)
    confirmed = link.confirmed_number
    os.kill(await host.pid(1), blow)
    for number in range(101, 201):
        link.send(account(number))
    assert await read_accounts(link, 200) == list(range(1, 201))
    assert link.epoch >= 2
    before = await store.pool.fetchval(
        "select max(last_command) from engine.journal where shard = 1 and epoch = 1"
    )
    assert before >= confirmed
    assert await store.pool.fetchval("select max(last_command) from engine.journal where shard = 1") == 200


def test_the_agents_of_a_killed_ray_are_ended_at_the_next_start() -> None:
    directory = Path(tempfile.mkdtemp(prefix="abst-ray-"))
    log = directory / "session_1" / "agent.log"
    log.parent.mkdir()
    program = (
        "import ctypes, sys, time\n"
        "ctypes.CDLL(None).prctl(15, b'ray::Agent')\n"
        f"log = open({str(log)!r}, 'w'); print('ready', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"ready\n"
        _end_remains(directory)
        assert agent.wait() == -signal.SIGKILL
    shutil.rmtree(directory)


async def test_an_actor_whose_lease_was_taken_ends_by_itself(
    ray: RayCluster, store: Database, link_to: LinkTo
) -> None:
    config = ShardConfig(1, store.dsn, lease_check_seconds=0.05)
    first = ray.launch(config)
    second = None
    try:
        await (await link_to(1)).wait_connected()
        second = ray.launch(config)
        assert "FencedError" in await first.ended()
    finally:
        first.kill()
        if second is not None:
            second.kill()
