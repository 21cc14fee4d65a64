"""Prometheus metrics of a process, on a port of the loopback interface.

A process works without its metrics: a port that is busy, perhaps because the process before this one is still
ending, is waited for and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

LOOPBACK: Final = "127.0.0.1"
AGAIN_AFTER_S: Final = 5.0

log = structlog.get_logger()


@asynccontextmanager
async def metrics_served(
    port: int, registry: CollectorRegistry = REGISTRY, *, again_after_s: float = AGAIN_AFTER_S
) -> AsyncIterator[None]:
    """Serve a registry while the block runs; port 0 serves nothing."""
    serving = asyncio.create_task(_serve(port, registry, again_after_s)) if port else None
    try:
        yield
    finally:
        if serving is not None:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def _serve(port: int, registry: CollectorRegistry, again_after_s: float) -> None:
    """Serve until cancelled."""
    while True:
        try:
            server, thread = start_http_server(port, LOOPBACK, registry)
        except OSError as error:
            log.warning("metrics wait for their port", port=port, error=str(error))
            await asyncio.sleep(again_after_s)
        else:
            break
    try:
        await asyncio.Event().wait()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
