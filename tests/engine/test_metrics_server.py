"""Metrics on a port: there while they are served, and no hindrance when they cannot be."""

import asyncio
import socket
import urllib.request

from prometheus_client import CollectorRegistry, Counter

from engine.metrics_server import metrics_served


def registry() -> CollectorRegistry:
    """A registry that counted one thing."""
    made = CollectorRegistry()
    Counter("seen", "Things seen.", registry=made).inc()
    return made


def scrape(port: int) -> str:
    """What Prometheus gets, empty where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""


async def scraped(port: int) -> str:
    """Ask until there is an answer."""
    async with asyncio.timeout(30):
        while True:
            text = await asyncio.to_thread(scrape, port)
            if text:
                return text
            await asyncio.sleep(0.01)


def bound() -> tuple[socket.socket, int]:
    """A port that is taken."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken, taken.getsockname()[1]


async def test_metrics_are_served_while_the_process_runs_and_not_after() -> None:
    taken, port = bound()
    taken.close()
    async with metrics_served(port, registry()):
        assert "seen_total 1.0" in await scraped(port)
    assert await asyncio.to_thread(scrape, port) == ""


async def test_a_busy_port_is_waited_for() -> None:
    taken, port = bound()
    async with metrics_served(port, registry(), again_after_s=0.01):
        await asyncio.sleep(0)
        taken.close()
        assert "seen_total 1.0" in await scraped(port)


async def test_no_port_serves_nothing() -> None:
    before = len(asyncio.all_tasks())
    async with metrics_served(0):
        assert len(asyncio.all_tasks()) == before
