"""Waiting for what comes later: an order's end, a fill's settlement."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class Watch(Generic[KeyT, ValueT]):
    """Futures by what they wait for; what nobody waits for costs one look-up."""

    def __init__(self) -> None:
        self._waiting: dict[KeyT, set[asyncio.Future[ValueT]]] = {}

    @contextmanager
    def wait(self, key: KeyT) -> Iterator[asyncio.Future[ValueT]]:
        """Give a future of what will be told for ``key``, as long as the block lasts."""
        future: asyncio.Future[ValueT] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(future)
        try:
            yield future
        finally:
            waiting = self._waiting.get(key, set())
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(key, None)

    def awaited(self, key: KeyT) -> bool:
        """Whether anyone waits for ``key``."""
        return key in self._waiting

    def tell(self, key: KeyT, value: ValueT) -> None:
        """Give the value to all who wait for ``key``."""
        for future in self._waiting.pop(key, ()):
            if not future.done():
                future.set_result(value)

    def fail(self, problem: Exception) -> None:
        """End all waiting with an error."""
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(problem)
                    future.exception()
        self._waiting.clear()
