"""The host keeps one incarnation per shard alive, whatever they die of."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.shard_host import HostTiming, ShardHostConfig, run_shards
from engine.shard_incarnation import ShardConfig

TIMING = HostTiming(ping=0.001, silence_max=0.02, start_max=0.02, back_off_min=0.0005, back_off_max=0.001)


class FakeRunning:
    """An incarnation that ends, freezes or goes on as it is told to."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.frozen = False
        self.killed = False

    async def ended(self) -> str:
        """Wait for the end."""
        return await asyncio.shield(self.end)

    async def status(self) -> dict[str, Any]:
        """Answer unless frozen or dead."""
        if self.end.done():
            raise ConnectionError("it is dead")
        if self.frozen:
            await asyncio.Event().wait()
        return {"phase": "serving"}

    def kill(self) -> None:
        """Remember it."""
        self.killed = True


class FakeCluster:
    """Launches fakes and remembers them."""

    def __init__(self) -> None:
        self.launches: asyncio.Queue[FakeRunning] = asyncio.Queue()
        self.launched: list[FakeRunning] = []
        self.up = False

    def start(self) -> None:
        """Be up."""
        self.up = True

    def launch(self, config: ShardConfig) -> FakeRunning:
        """Launch a fake."""
        assert self.up
        self.launched.append(FakeRunning(config.shard))
        self.launches.put_nowait(self.launched[-1])
        return self.launched[-1]

    def alive(self) -> bool:
        """Whether it is up."""
        return self.up

    def stop(self) -> None:
        """Be down."""
        self.up = False


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    fake, stop = FakeCluster(), asyncio.Event()
    config = ShardHostConfig("postgresql://nowhere", shards=(1, 2), timing=TIMING)
    running = asyncio.create_task(run_shards(config, stop, cluster=fake))
    yield fake
    stop.set()
    await running
    assert not fake.up
    assert all(launched.killed for launched in fake.launched)


async def test_every_shard_gets_an_incarnation(cluster: FakeCluster) -> None:
    assert {(await cluster.launches.get()).shard, (await cluster.launches.get()).shard} == {1, 2}


async def test_an_incarnation_that_ended_is_replaced_and_the_other_shard_left_alone(
    cluster: FakeCluster,
) -> None:
    first, other = await cluster.launches.get(), await cluster.launches.get()
    first.end.set_result("FencedError")
    heir = await cluster.launches.get()
    assert heir.shard == first.shard
    assert first.killed
    assert not other.killed


async def test_an_incarnation_that_froze_is_killed_and_replaced(cluster: FakeCluster) -> None:
    first = await cluster.launches.get()
    first.frozen = True
    await cluster.launches.get()
    assert (await cluster.launches.get()).shard == first.shard
    assert first.killed


async def test_a_lost_cluster_is_started_again_with_all_shards(cluster: FakeCluster) -> None:
    old = [await cluster.launches.get(), await cluster.launches.get()]
    cluster.up = False
    new = [await cluster.launches.get(), await cluster.launches.get()]
    assert {running.shard for running in new} == {1, 2}
    assert all(running.killed for running in old)


async def test_a_shard_that_keeps_ending_is_tried_for_ever(cluster: FakeCluster) -> None:
    for _ in range(20):
        (await cluster.launches.get()).end.set_result("it does not replay")
