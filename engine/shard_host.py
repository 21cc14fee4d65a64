"""Keeping one actor per shard alive: notice its end, or that it froze, and start the next one.

Safety does not depend on it: whoever starts two incarnations of a shard, only the one with the newest epoch
can write. This is liveness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from engine.shard_actor import RayCluster, RayConfig
from engine.shard_incarnation import ShardConfig

log = structlog.get_logger()


@dataclass(frozen=True)
class HostTiming:
    """How the host watches, in seconds.

    It asks every ``ping``, and replaces an actor that does not answer within ``silence_max``, or whose first
    answer does not come within ``start_max``. A shard that ends before it serves is started again more and
    more slowly.
    """

    ping: float = 1.0
    silence_max: float = 5.0
    start_max: float = 30.0
    back_off_min: float = 0.05
    back_off_max: float = 5.0


@dataclass(frozen=True)
class ShardHostConfig:
    """Which shards to run, where their journals are, on which address they listen, in which Ray.

    The first of ``shards`` serves its metrics on loopback port ``metrics_port``, the others on those after
    it; 0 serves none.
    """

    dsn: str
    shards: Sequence[int] = (0, 1)
    host: str = "127.0.0.1"
    ray: RayConfig = field(default_factory=RayConfig)
    timing: HostTiming = field(default_factory=HostTiming)
    metrics_port: int = 0

    def of(self, shard: int) -> ShardConfig:
        """Return what one of the shards is told."""
        port = self.metrics_port and self.metrics_port + self.shards.index(shard)
        return ShardConfig(shard, self.dsn, self.host, metrics_port=port)


class Running(Protocol):
    """A started incarnation."""

    async def ended(self) -> str:
        """Return, when it has ended, why."""

    async def status(self) -> dict[str, Any]:
        """Return its status."""

    def kill(self) -> None:
        """End it."""


class Cluster(Protocol):
    """What starts incarnations."""

    def start(self) -> None:
        """Get ready."""

    def launch(self, config: ShardConfig, /) -> Running:
        """Start the next incarnation of a shard."""

    def alive(self) -> bool:
        """Whether it can still start incarnations and tell of their end."""

    def stop(self) -> None:
        """End all that was started; it may be started again."""


async def run_shards(config: ShardHostConfig, stop: asyncio.Event, *, cluster: Cluster | None = None) -> None:
    """Keep one incarnation per shard alive until ``stop`` is set, then end them all.

    Raises whatever keeps the cluster from starting.
    """
    cluster = cluster or RayCluster(config.ray)
    while not stop.is_set():
        cluster.start()
        try:
            await _keep_all(config, stop, cluster)
        finally:
            cluster.stop()


async def _keep_all(config: ShardHostConfig, stop: asyncio.Event, cluster: Cluster) -> None:
    """Keep the shards alive until ``stop`` is set or the cluster is lost."""
    keepers = [_keep(config, cluster, shard) for shard in config.shards]
    tasks = [asyncio.ensure_future(work) for work in (_wait(stop), _lose(cluster, config.timing), *keepers)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


async def _lose(cluster: Cluster, timing: HostTiming) -> None:
    """Return when the cluster is lost."""
    while True:
        await asyncio.sleep(timing.ping)
        if not cluster.alive():
            log.error("the cluster is lost, starting it again")
            return


async def _keep(config: ShardHostConfig, cluster: Cluster, shard: int) -> None:
    timing, back_off = config.timing, config.timing.back_off_min
    while True:
        running = cluster.launch(config.of(shard))
        try:
            served, reason = await _watch(running, timing)
        finally:
            running.kill()
        log.warning("shard ended", shard=shard, reason=reason, served=served)
        back_off = timing.back_off_min if served else min(back_off * 2, timing.back_off_max)
        await asyncio.sleep(back_off)


async def _watch(running: Running, timing: HostTiming) -> tuple[bool, str]:
    """Return, when the incarnation ended or froze, whether it ever served, and the reason."""
    ended = asyncio.ensure_future(running.ended())
    served, patience = False, timing.start_max
    try:
        while True:
            status = await _status_or_end(running, ended, patience)
            if ended.done():
                return served, ended.result()
            if status is None:
                return served, "it does not answer"
            served, patience = served or status["phase"] == "serving", timing.silence_max
            await asyncio.wait([ended], timeout=timing.ping)
    finally:
        ended.cancel()


async def _status_or_end(
    running: Running, ended: asyncio.Future[str], seconds_max: float
) -> dict[str, Any] | None:
    """Return the status; None if it did not come in time or the incarnation ended first."""
    asking = asyncio.ensure_future(running.status())
    either: list[asyncio.Future[Any]] = [asking, ended]
    await asyncio.wait(either, timeout=seconds_max, return_when=asyncio.FIRST_COMPLETED)
    if asking.done() and asking.exception() is None:
        return asking.result()
    if asking.done():
        await asyncio.wait([ended], timeout=seconds_max)
    asking.cancel()
    return None
