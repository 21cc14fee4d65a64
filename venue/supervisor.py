"""Keeps the services of a stack running: starts them in stages, restarts what dies, stops them in order.

A service that ends unasked is started again after a pause that doubles from 0.2 s to 10 s while it keeps
dying. The others go on: each lives through the absence of what it needs. Nothing here knows what the services
are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from venue.problems import ProblemNumber, VenueError

_PAUSE_SECONDS_MIN = 0.2
_PAUSE_SECONDS_MAX = 10.0
_HEALTHY_SECONDS = 30.0
_POLL_SECONDS = 0.05


class Program(Protocol):
    """Something that runs: a child process, or a server that is one."""

    @property
    def pid(self) -> int:
        """Process id; 0 while it has none."""

    async def start(self) -> None:
        """Start it; raises OSError or VenueError when that cannot be."""

    async def wait(self) -> str:
        """Wait for its end and say how it ended."""

    async def stop(self) -> None:
        """Stop it, in its own good order; nothing when it does not run."""

    def said(self) -> str:
        """Return the last it said."""


class ServiceState(StrEnum):
    """Where a service stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"


@dataclass(slots=True)
class Service:
    """One supervised service. ``ready`` says whether it does its work yet; ``sweep`` removes what a dead
    one left.
    """

    name: str
    program: Program
    ready: Callable[[], Awaitable[bool]]
    sweep: Callable[[], Awaitable[None]] | None = None
    start_seconds_max: float = 60.0
    state: ServiceState = ServiceState.STOPPED
    restarts: int = 0


class Supervisor:
    """Runs the services of a stack; ``told`` hears of every change, one line each."""

    def __init__(
        self,
        stages: Sequence[Sequence[Service]],
        told: Callable[[str], None],
    ) -> None:
        self._stages = stages
        self._told = told
        self._watchers: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def services(self) -> list[Service]:
        """All services, in the order of their start."""
        return [service for stage in self._stages for service in stage]

    async def start_stage(self, number: int) -> None:
        """Start one stage and wait until all of it is ready; from then on what dies is restarted.

        Raises VenueError 909, with the last words of its log, when a service ends or is not ready in time.
        """
        stage = self._stages[number]
        await asyncio.gather(*(self._first_start(service) for service in stage))
        self._watchers += [asyncio.create_task(self._watch(service)) for service in stage]

    async def stop(self) -> None:
        """Stop everything, last stage first; a stage's services at once."""
        self._stopping = True
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for stage in reversed(self._stages):
            await asyncio.gather(*(self._stop(service) for service in stage))

    async def _stop(self, service: Service) -> None:
        await service.program.stop()
        service.state = ServiceState.STOPPED

    async def _first_start(self, service: Service) -> None:
        service.state = ServiceState.STARTING
        try:
            await service.program.start()
        except OSError as error:
            raise VenueError(
                ProblemNumber.PROCESS_DID_NOT_START, f"{service.name} cannot be started: {error}"
            ) from error
        ended = await self._until_ready(service)
        if ended is not None:
            raise VenueError(
                ProblemNumber.PROCESS_DID_NOT_START,
                f"{service.name} {ended}; its last words:\n{service.program.said()}",
                "The whole log is in the data directory's folder logs.",
            )

    async def _until_ready(self, service: Service) -> str | None:
        """Wait until the service is ready; return how it failed if it did."""
        end = asyncio.ensure_future(service.program.wait())
        deadline = time.monotonic() + service.start_seconds_max
        try:
            while time.monotonic() < deadline:
                if await service.ready():
                    service.state = ServiceState.READY
                    self._told(f"{service.name} is ready (pid {service.program.pid})")
                    return None
                done, _ = await asyncio.wait([end], timeout=_POLL_SECONDS)
                if done:
                    return end.result()
        finally:
            end.cancel()
        return f"was not ready after {service.start_seconds_max:g} s"

    async def _watch(self, service: Service) -> None:
        pause, failed = _PAUSE_SECONDS_MIN, ""
        while True:
            since = time.monotonic()
            how = failed or await service.program.wait()
            service.state = ServiceState.RESTARTING
            service.restarts += 1
            self._told(f"{service.name} {how}; restarting it")
            if time.monotonic() - since > _HEALTHY_SECONDS:
                pause = _PAUSE_SECONDS_MIN
            await asyncio.sleep(pause)
            pause = min(2 * pause, _PAUSE_SECONDS_MAX)
            failed = await self._start_again(service)

    async def _start_again(self, service: Service) -> str:
        """Start a service that ended; return how that failed, empty when it is ready."""
        try:
            await service.program.stop()
            if service.sweep:
                await service.sweep()
            await service.program.start()
            return await self._until_ready(service) or ""
        except Exception as error:  # whatever it is, the service must be tried again, and somebody must hear
            return f"cannot be started: {str(error) or type(error).__name__}"
