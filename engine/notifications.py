"""Waking up by PostgreSQL's notifications; a notification is a hint, so every reader also polls."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any

from engine.database import connect


class Notifications:
    """Listens on some channels on a connection of its own, while the ``async with`` block runs."""

    def __init__(self, dsn: str, *channels: str) -> None:
        self._dsn = dsn
        self._channels = channels
        self._connection: Any = None
        self._woken = asyncio.Event()
        self._lost = False

    async def __aenter__(self) -> Notifications:
        """Connect and listen."""
        self._connection = await connect(self._dsn, name="abst-listener")
        self._connection.add_termination_listener(self._on_loss)
        for channel in self._channels:
            await self._connection.add_listener(channel, lambda *_: self._woken.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._connection.terminate()

    async def wait(self, seconds_max: float) -> None:
        """Return when something was notified since the last call, or after so long.

        Raises:
            ConnectionError: The connection is lost.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                await self._woken.wait()
        if self._lost:
            raise ConnectionError(f"the connection that listened on {', '.join(self._channels)} is lost")
        self._woken.clear()

    def _on_loss(self, _connection: object) -> None:
        self._lost = True
        self._woken.set()
