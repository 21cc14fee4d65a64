"""The WebSocket shell: frames between sockets and sessions, and nothing else.

Compression is off (it costs a client's latency and the server's memory), frames over 64 KiB close with
1009, a client that does not read is closed with 4008 and may resume, and a stopping server closes with
1012. All that a turn of the loop made is written to each socket at its end.
"""

from __future__ import annotations

import asyncio
import http
import secrets
import time
from typing import Any, Final

import structlog
from websockets.asyncio.connection import broadcast
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response as HttpResponse

from gateway import protocol
from gateway.configuration import GatewayConfig
from gateway.logon import CHALLENGE_BYTES
from gateway.metrics import GatewayMetrics
from gateway.protocol import MAX_FRAME_BYTES, VERSION, Request
from gateway.request_desk import RequestDesk
from gateway.session import Session

log = structlog.get_logger()

PATH: Final = "/v1"
SLOW_CONSUMER: Final = 4008
SERVICE_RESTART: Final = 1012
QUEUED_FRAMES: Final = 256
CLOSE_WITHIN_S: Final = 2.0


class Connection:
    """One socket and its session."""

    def __init__(
        self, socket: ServerConnection, desk: RequestDesk, config: GatewayConfig, metrics: GatewayMetrics
    ) -> None:
        self._socket = socket
        self._desk = desk
        self._config = config
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.Task[None] | None = None
        self._session = Session(
            secrets.token_bytes(CHALLENGE_BYTES), self._has_output, in_flight_limit=config.in_flight_limit
        )

    async def run(self) -> None:
        """Serve the socket until it closes."""
        session = self._session
        self._metrics.sessions.inc()
        session.send(protocol.notification("hello", self._hello()))
        try:
            async for frame in self._socket:
                request = session.receive(frame)
                if request is None:
                    continue
                if request.method == "session.logout":
                    await self._log_out(request)
                    break
                turn = self._desk.work(session, request, self._drained)
                if turn is not None:
                    await turn
        except ConnectionClosed as closed:
            log.info("session lost", login=session.identity.login, reason=str(closed))
        finally:
            self._desk.gone(session)
            self._metrics.sessions.dec()
            if self._closing is not None:
                await self._closing

    def _hello(self) -> dict[str, Any]:
        config = self._config
        return {
            "challenge": "0x" + self._session.challenge.hex(),
            "server_time_ns": str(time.time_ns()),
            "version": VERSION,
            "chain_id": config.chain_id,
            "dvp": "0x" + config.dvp.hex(),
            "cash": "0x" + config.cash.hex(),
            "vault": "0x" + config.vault.hex(),
            "chain_rpc": config.chain_rpc,
            "in_flight_limit": config.in_flight_limit,
        }

    async def _log_out(self, request: Request) -> None:
        self._session.answer(request.id, {})
        self._flush()
        await self._socket.close()

    def _has_output(self) -> None:
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        frames = self._session.data_to_send()
        if not frames:
            return
        for frame in frames:
            broadcast((self._socket,), frame, text=True)
        waiting = self._socket.transport.get_write_buffer_size()
        if waiting > self._config.send_buffer_bytes and self._closing is None:
            self._metrics.slow_consumers.inc()
            log.warning("client does not read", login=self._session.identity.login, bytes=waiting)
            self._session.ended()
            reason = "slow consumer: reconnect and resume"
            self._closing = self._loop.create_task(self._socket.close(SLOW_CONSUMER, reason))

    async def _drained(self) -> None:
        """Wait until the client has read most of what was sent."""
        self._flush()
        await self._socket.drain()


def _only_our_path(socket: ServerConnection, request: HttpRequest) -> HttpResponse | None:
    if request.path.partition("?")[0] == PATH:
        return None
    return socket.respond(http.HTTPStatus.NOT_FOUND, f"the trading API is at {PATH}\n")


async def start_server(config: GatewayConfig, desk: RequestDesk, metrics: GatewayMetrics) -> Server:
    """Listen. Raises OSError when the port is taken."""

    async def run(socket: ServerConnection) -> None:
        await Connection(socket, desk, config, metrics).run()

    return await serve(
        run,
        config.host,
        config.port,
        compression=None,
        max_size=MAX_FRAME_BYTES,
        max_queue=QUEUED_FRAMES,
        close_timeout=CLOSE_WITHIN_S,
        process_request=_only_our_path,
        server_header=None,
    )


async def stop_server(server: Server) -> None:
    """Close all sessions, saying that they may come back, and stop listening."""
    server.close(code=SERVICE_RESTART, reason="service restart: reconnect and resume")
    await server.wait_closed()
