"""The Ray of the shards' process, given up as soon as one of its daemons dies.

Shard actors go on for a while without Ray's daemons, but no new one can be started, and Ray does not tell:
its driver only waits. So the process that started Ray ends at once, and whoever supervises it starts it
anew, Ray and all.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import psutil
import structlog

from engine.shard_actor import RayCluster, RayConfig, RunningActor
from engine.shard_incarnation import ShardConfig

EXIT_RAY_DIED = 70
_DAEMONS = ("gcs_server", "raylet")
_POLL_SECONDS = 0.25

log = structlog.get_logger()


class WatchedRay:
    """A :class:`RayCluster` of our own or a joined one; ``started`` is called when it is up."""

    def __init__(self, config: RayConfig, started: Callable[[], None]) -> None:
        self._ray = RayCluster(config)
        self._started = started
        self._watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Get ready; see :meth:`RayCluster.start`. A joined Ray has no daemons of ours to watch."""
        self._ray.start()
        self._started()
        self._watch = asyncio.create_task(_end_with(own_daemons()))

    def launch(self, config: ShardConfig) -> RunningActor:
        """Start the next incarnation of a shard."""
        return self._ray.launch(config)

    def stop(self) -> None:
        """End all that was started."""
        if self._watch is not None:
            self._watch.cancel()
        self._ray.stop()


def own_daemons() -> list[psutil.Process]:
    """Return the daemons of the Ray that this process started."""
    return [child for child in psutil.Process().children(recursive=True) if child.name() in _DAEMONS]


def first_dead(daemons: list[psutil.Process]) -> psutil.Process | None:
    """Return a daemon that has ended, zombies included."""
    return next((daemon for daemon in daemons if not _lives(daemon)), None)


async def _end_with(daemons: list[psutil.Process]) -> None:
    while (dead := first_dead(daemons)) is None:  # noqa: ASYNC110  nothing tells of it
        await asyncio.sleep(_POLL_SECONDS)
    log.critical("a daemon of Ray has died, this process ends with it", pid=dead.pid)
    # An orderly end would wait for answers of the daemon.
    os._exit(EXIT_RAY_DIED)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
