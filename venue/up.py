"""`abst up`: the embedded stack in the foreground, with a live summary, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from venue.configuration import Configuration
from venue.embedded_stack import EmbeddedStack

_REFRESH_SECONDS = 1.0
_MEMORY_EVERY = 5
_LINES_SHOWN = 8
_STATE_STYLES = {"ready": "green", "starting": "yellow", "restarting": "red", "stopped": "dim"}


def run_up(configuration: Configuration) -> None:
    """Run the stack until SIGINT or SIGTERM; raises VenueError when it cannot start."""
    asyncio.run(_Up(configuration).run())


class _Up:
    def __init__(self, configuration: Configuration) -> None:
        self._console = Console()
        self._lines: deque[str] = deque(maxlen=_LINES_SHOWN)
        self._stack = EmbeddedStack(configuration, self._noticed)
        self._memory_bytes = 0

    async def run(self) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        if self._console.is_terminal:
            with Live(console=self._console, get_renderable=self._summary, refresh_per_second=2):
                await self._live(stop)
        else:
            await self._live(stop)
        self._console.print("stopped; nothing is left running", highlight=False)

    async def _live(self, stop: asyncio.Event) -> None:
        """Start, stay until told to stop, stop; a Ctrl-C during the start ends that too."""
        starting, stopping = asyncio.create_task(self._stack.start()), asyncio.create_task(stop.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        try:
            starting.result()
        except BaseException:
            stopping.cancel()
            raise
        try:
            await self._stay(stop)
        finally:
            await self._stack.stop()

    async def _stay(self, stop: asyncio.Event) -> None:
        self._memory_bytes = await asyncio.to_thread(self._stack.memory_bytes)
        if not self._console.is_terminal:
            self._console.print(self._summary())
        beats = 0
        while not stop.is_set():
            try:
                async with asyncio.timeout(_REFRESH_SECONDS):
                    await stop.wait()
            except TimeoutError:
                beats += 1
            if self._console.is_terminal and beats % _MEMORY_EVERY == 0:
                self._memory_bytes = await asyncio.to_thread(self._stack.memory_bytes)

    def _noticed(self, line: str) -> None:
        stamped = f"{datetime.now().astimezone():%H:%M:%S} {line}"
        self._lines.append(stamped)
        if not self._console.is_terminal:
            self._console.print(stamped, highlight=False, markup=False, soft_wrap=True)

    def _summary(self) -> RenderableType:
        return Group(self._addresses(), self._processes(), *map(Text, self._lines))

    def _addresses(self) -> Table:
        configuration = self._stack.configuration
        table = Table(show_header=False, box=None)
        ready = (
            f"ready in {self._stack.started_in_seconds:.1f} s, {self._memory_bytes / 2**20:,.0f} MiB (PSS)"
        )
        for name, value in (
            ("venue", ready if self._stack.started_in_seconds else "starting"),
            ("trading API", self._stack.url),
            ("chain RPC", configuration.chain.rpc_url),
            ("PostgreSQL", configuration.postgres.dsn),
            ("DvP contract", configuration.contracts.dvp),
            ("data", str(self._stack.data.path)),
            ("stop", "Ctrl-C"),
        ):
            table.add_row(Text(name, style="bold"), Text(value))
        return table

    def _processes(self) -> Table:
        table = Table("process", "pid", "state", "restarts")
        for service in self._stack.services:
            state = Text(service.state, style=_STATE_STYLES[service.state])
            table.add_row(service.name, str(service.program.pid or ""), state, str(service.restarts))
        return table
