"""The WebSocket shell: frames between sockets and sessions, and nothing else.

Compression is off (it costs a client's latency and the server's memory), frames over 64 KiB close with 1009,
a client that does not read is closed with 4008, one that does not log on in time with 4009, one that finds
too many at that with 1013, and a stopping server closes with 1012; all but the first may come back. All that
a turn of the loop made is written to each socket at its end.
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
from gateway.lobby import Lobby
from gateway.logon import CHALLENGE_BYTES
from gateway.metrics import GatewayMetrics
from gateway.protocol import MAX_FRAME_BYTES, VERSION, Request
from gateway.request_desk import RequestDesk
from gateway.session import Session, SessionState

log = structlog.get_logger()

PATH: Final = "/v1"
SLOW_CONSUMER: Final = 4008
NOT_LOGGED_ON: Final = 4009
SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013
QUEUED_FRAMES: Final = 256
CLOSE_WITHIN_S: Final = 2.0


class Connection:
    """One socket and its session."""

    def __init__(
        self,
        socket: ServerConnection,
        desk: RequestDesk,
        lobby: Lobby,
        config: GatewayConfig,
        metrics: GatewayMetrics,
    ) -> None:
        self._socket = socket
        self._desk = desk
        self._lobby = lobby
        self._config = config
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.Task[None] | None = None
        self._working = False
        self._overdue = False
        self._session = Session(
            secrets.token_bytes(CHALLENGE_BYTES), self._has_output, in_flight_limit=config.in_flight_limit
        )

    async def run(self) -> None:
        """Serve the socket until it closes."""
        if not self._lobby.enter(self):
            await self._socket.close(TRY_AGAIN_LATER, "too many are logging on: come back later")
            return
        deadline = self._loop.call_later(self._config.log_on_within_s, self._deadline_passed)
        self._metrics.sessions.inc()
        self._session.send(protocol.notification("hello", self._hello()))
        try:
            await self._serve()
        except ConnectionClosed as closed:
            log.info("session lost", login=self._session.identity.login, reason=str(closed))
        finally:
            deadline.cancel()
            self._lobby.leave(self)
            self._desk.gone(self._session)
            self._metrics.sessions.dec()
            if self._closing is not None:
                await self._closing

    async def _serve(self) -> None:
        session = self._session
        async for frame in self._socket:
            request = session.receive(frame)
            if request is None:
                continue
            if request.method == "session.logout":
                await self._log_out(request)
                break
            turn = self._desk.work(session, request, self._drained)
            if turn is not None:
                self._working = True
                await turn
                self._working = False
                self._look_whether_logged_on()

    def _look_whether_logged_on(self) -> None:
        if self._session.state is not SessionState.CONNECTED:
            self._lobby.leave(self)
        elif self._overdue:
            self._end(NOT_LOGGED_ON, "log on in time: reconnect")

    def _deadline_passed(self) -> None:
        """A log-on under way is finished first."""
        self._overdue = True
        if not self._working:
            self._look_whether_logged_on()

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
            self._end(SLOW_CONSUMER, "slow consumer: reconnect and resume")

    def _end(self, code: int, reason: str) -> None:
        """Close the socket; nothing more goes out."""
        self._flush()
        if self._closing is None:
            self._session.ended()
            self._closing = self._loop.create_task(self._socket.close(code, reason))

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
    lobby = Lobby(config.not_logged_on_max)

    async def run(socket: ServerConnection) -> None:
        await Connection(socket, desk, lobby, config, metrics).run()

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
