"""A shard's TCP server: frames in, frames out (docs/ARCHITECTURE.md)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import asyncpg
import structlog

from engine import frames
from engine.command_batch import CommandBatch
from engine.frames import ClientFrame, ErrorCode, Frame, FrameError, FrameReader, Hello
from engine.shard_service import NotServingError, ShardService
from engine.source_secrets import Secrets, proves

READ_BYTES: Final = 256 * 1024
_LINGER_SECONDS: Final = 1.0
_AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

log = structlog.get_logger()


class ShardServer:
    """Serves one :class:`ShardService` until closed, to those who know a secret of ``secrets``."""

    def __init__(self, service: ShardService, secrets: Secrets) -> None:
        self._service = service
        self._secrets = secrets
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int = 0) -> str:
        """Listen and return the address, ``host:port``."""
        self._server = await asyncio.start_server(self._accept, host, port)
        bound_port = self._server.sockets[0].getsockname()[1]
        return f"{host}:{bound_port}"

    async def close(self) -> None:
        """Stop listening and cut all connections."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._service.metrics.connections.inc()
        try:
            await _Connection(self._service, self._secrets, reader, writer).run()
        except asyncio.CancelledError:
            pass  # close() did it; the stream protocol would log it
        finally:
            self._service.metrics.connections.dec()
            self._connections.discard(task)
            writer.close()


class _Connection:
    """One client, from HELLO to the end of its stream."""

    def __init__(
        self,
        service: ShardService,
        secrets: Secrets,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._service = service
        self._secrets = secrets
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader(frames.CLIENT_FRAME_BYTES_MAX)
        self._source: tuple[int, int] | None = None
        self._pull: asyncio.Task[None] | None = None
        self._refused = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Serve until the peer goes, breaks the protocol, or the incarnation ends."""
        reading = asyncio.ensure_future(self._read())
        try:
            await asyncio.wait([reading, self._refused], return_when=asyncio.FIRST_COMPLETED)
            if self._refused.done():
                reading.cancel()
                await asyncio.wait([reading])
                await self._say_error(self._refused.result())
            else:
                reading.result()
        except FrameError as error:
            await self._say_error(error)
        except NotServingError as error:
            await self._say_error(FrameError(ErrorCode.NOT_READY, str(error)))
        except OSError:
            pass  # the peer is gone
        finally:
            await _ended(reading, self._pull)

    async def _read(self) -> None:
        while data := await self._reader.read(READ_BYTES):
            for frame in self._frames.feed(data):
                await self._handle(frame)

    async def _handle(self, frame: Frame) -> None:
        if frame.type == ClientFrame.HELLO:
            await self._hello(frame.payload)
        elif self._source is None:
            raise FrameError(ErrorCode.MALFORMED_FRAME, "the first frame is HELLO")
        elif frame.type == ClientFrame.COMMANDS:
            await self._commands(frame.payload)
        elif frame.type == ClientFrame.PULL:
            await self._begin_pull(frame.payload)
        elif frame.type == ClientFrame.BOOK:
            await self._send(frames.book(await self._service.book(frames.read_ask_book(frame.payload))))
        elif frame.type == ClientFrame.PING:
            await self._send(frames.pong(frame.payload))
        else:
            raise FrameError(ErrorCode.MALFORMED_FRAME, f"no frame of type {frame.type}")

    async def _hello(self, payload: bytes) -> None:
        hello = frames.read_hello(payload)
        source = (hello.source, hello.incarnation)
        if self._source is None:
            await self._check_secret(hello)
        elif self._source != source:
            raise FrameError(ErrorCode.MALFORMED_FRAME, "a connection is of one source")
        await self._send(frames.welcome(await self._service.hello(*source)))
        self._source = source

    async def _check_secret(self, hello: Hello) -> None:
        try:
            proven = await proves(self._secrets, hello.source, hello.secret)
        except _AWAY as error:
            text = f"secrets cannot be read: {error!r}"
            raise FrameError(ErrorCode.NOT_READY, text) from error
        if not proven:
            raise FrameError(ErrorCode.WRONG_SECRET, f"not the secret of source {hello.source}")

    async def _commands(self, payload: bytes) -> None:
        assert self._source is not None
        if not self._source[0]:
            raise FrameError(ErrorCode.MALFORMED_FRAME, "source 0 only reads")
        records, side = frames.read_commands(payload)
        self._service.submit(CommandBatch(*self._source, records, side), self._refuse)
        await self._service.room()

    def _refuse(self, error: FrameError) -> None:
        if not self._refused.done():
            self._refused.set_result(error)

    async def _begin_pull(self, payload: bytes) -> None:
        if self._pull is not None:
            raise FrameError(ErrorCode.MALFORMED_FRAME, "a PULL is outstanding")
        await self._writer.drain()  # who does not read its answers is not read either
        self._pull = asyncio.ensure_future(self._answer_pull(*frames.read_pull(payload)))

    async def _answer_pull(self, from_event: int, bytes_max: int) -> None:
        try:
            run = await self._service.pull(from_event, bytes_max)
            self._pull = None
            self._writer.write(frames.events(*run))
        except NotServingError as error:
            self._refuse(FrameError(ErrorCode.NOT_READY, str(error)))
        except Exception as error:
            log.exception("PULL failed", from_event=from_event)
            self._refuse(FrameError(ErrorCode.NOT_READY, f"events cannot be read: {error!r}"))

    async def _send(self, frame: bytes) -> None:
        self._writer.write(frame)
        await self._writer.drain()

    async def _say_error(self, error: FrameError) -> None:
        """Send ERROR, and read on until the peer has it: closing over unread bytes would take it back."""
        log.info("connection refused", source=self._source, code=error.code, error=str(error))
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._send(frames.error(error.code, str(error)))
                self._writer.write_eof()
                while await self._reader.read(READ_BYTES):
                    pass


async def _ended(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel tasks and wait until they are gone."""
    for task in tasks:
        if task is not None:
            task.cancel()
    await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)
