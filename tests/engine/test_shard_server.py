"""The TCP server: who breaks the protocol is told why and cut off, and nobody else notices."""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from engine import frames
from engine.command import account_open, numbered
from engine.frames import CLIENT_FRAME_BYTES_MAX, ErrorCode, Frame, FrameReader, ShardFrame
from engine.journal import MemoryJournal
from engine.shard_core import ShardCore
from engine.shard_server import ShardServer
from engine.shard_service import ShardService
from ext.records import encode

SECRETS = {source: bytes([source]) * 32 for source in (0, 5, 6, 7)}
"""Source 8 there is not."""


class Secrets:
    """The secrets of a few sources; ``away`` says whether they can be read."""

    away = False

    async def secret_of(self, source: int) -> bytes | None:
        """Look one up."""
        if self.away:
            raise ConnectionRefusedError("no database")
        return SECRETS.get(source)


def hello(source: int, incarnation: int) -> bytes:
    """A HELLO with the right secret."""
    return frames.hello(source, incarnation, SECRETS[source])


HELLO = hello(5, 1)


class Client:
    """A connection that says whatever it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._waiting: list[Frame] = []

    def say(self, data: bytes) -> None:
        """Write bytes."""
        self._writer.write(data)

    async def hear(self) -> Frame | None:
        """Return the next frame, None at the end of the stream."""
        while not self._waiting:
            data = await self._reader.read(65536)
            if not data:
                return None
            self._waiting += self._frames.feed(data)
        return self._waiting.pop(0)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


class Shard:
    """A shard on a journal in memory, and its clients."""

    def __init__(
        self,
        service: ShardService,
        server: ShardServer,
        secrets: Secrets,
        port: int,
        running: asyncio.Task[None],
    ) -> None:
        self.secrets = secrets
        self.service = service
        self.server = server
        self.running = running
        self._port = port
        self.clients: list[Client] = []

    async def client(self) -> Client:
        """Connect."""
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self._port)))
        return self.clients[-1]


@pytest.fixture
async def shard() -> AsyncIterator[Shard]:
    journal = MemoryJournal(1)
    service = ShardService(ShardCore(1), journal, await journal.take_over())
    secrets = Secrets()
    server = ShardServer(service, secrets)
    address = await server.start("127.0.0.1")
    running = asyncio.create_task(service.run())
    served = Shard(service, server, secrets, int(address.rpartition(":")[2]), running)
    yield served
    for client in served.clients:
        client.close()
    running.cancel()
    await asyncio.wait([running])
    await server.close()


def command(number: int, source: int = 5) -> bytes:
    return encode(numbered(account_open(100 * source + number, owner=1), source, 1, number))


async def error_of(client: Client) -> int:
    """Return the code of the ERROR that ends the connection; other answers may come before it."""
    while (frame := await client.hear()) is not None:
        if frame.type == ShardFrame.ERROR:
            code, text = frames.read_error(frame.payload)
            assert text
            assert await client.hear() is None
            return code
    raise AssertionError("the connection ended without ERROR")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (frames.ping(), ErrorCode.MALFORMED_FRAME),
        (struct.pack("<I", 0), ErrorCode.MALFORMED_FRAME),
        (struct.pack("<I", CLIENT_FRAME_BYTES_MAX + 1), ErrorCode.MALFORMED_FRAME),
        (struct.pack("<IB", 4, 1) + b"abc", ErrorCode.MALFORMED_FRAME),
        (b"GET / HTTP/1.1\r\nHost: shard\r\n\r\n", ErrorCode.MALFORMED_FRAME),
        (hello(5, 0), ErrorCode.INCARNATION_OVER),
        (HELLO + struct.pack("<IB", 1, 77), ErrorCode.MALFORMED_FRAME),
        (HELLO + hello(6, 1), ErrorCode.MALFORMED_FRAME),
        (HELLO + frames.pull(1, 100) * 2, ErrorCode.MALFORMED_FRAME),
        (HELLO + struct.pack("<IB", 3, 2) + b"ab", ErrorCode.MALFORMED_FRAME),
        (HELLO + frames.commands([command(1)[:-1]], []), ErrorCode.MALFORMED_RECORDS),
        (HELLO + frames.commands([command(1, source=6)], []), ErrorCode.MALFORMED_RECORDS),
        (HELLO + frames.commands([command(1)], [b"side data of nobody"]), ErrorCode.MALFORMED_RECORDS),
        (HELLO + frames.commands([command(2)], []), ErrorCode.NUMBER_GAP),
        (hello(0, 0) + frames.commands([command(1)], []), ErrorCode.MALFORMED_FRAME),
        (frames.hello(5, 1, bytes(32)) + frames.commands([command(1)], []), ErrorCode.WRONG_SECRET),
        (frames.hello(5, 1, SECRETS[6]), ErrorCode.WRONG_SECRET),
        (frames.hello(5, 1, SECRETS[0]), ErrorCode.WRONG_SECRET),
        (frames.hello(0, 0, bytes(32).replace(b"\0", b"\1")) + frames.pull(1, 100), ErrorCode.WRONG_SECRET),
        (frames.hello(8, 1, bytes(32)), ErrorCode.WRONG_SECRET),
        (struct.pack("<IBII", 9, 1, 5, 1), ErrorCode.MALFORMED_FRAME),
    ],
    ids=[
        "no hello", "length 0", "too long", "short hello", "http", "incarnation 0", "unknown type",
        "two sources", "two pulls", "short pull", "cut record", "another's record", "stray side data", "gap",
        "reader's command", "no secret", "another's secret", "reader's secret", "reader without one",
        "unknown source", "hello of old",
    ],
)  # fmt: skip
async def test_who_breaks_the_protocol_is_told_why_and_nobody_else_notices(
    shard: Shard, said: bytes, code: ErrorCode
) -> None:
    other = await shard.client()
    other.say(hello(7, 1) + frames.pull(1, 10**6))
    breaker = await shard.client()
    breaker.say(said)
    assert await error_of(breaker) == code
    other.say(frames.commands([command(1, source=7)], []) + frames.ping(b"still there?"))
    heard = [await other.hear() for _ in range(3)]
    assert {frame.type for frame in heard if frame} == {
        ShardFrame.WELCOME,
        ShardFrame.EVENTS,
        ShardFrame.PONG,
    }
    assert shard.service.durable_command == 1


async def test_an_older_incarnation_is_refused_at_hello(shard: Shard) -> None:
    young = await shard.client()
    young.say(hello(5, 2) + frames.pull(1, 100))
    record = numbered(account_open(1, owner=1), 5, 2, 1)
    young.say(frames.commands([encode(record)], []))
    while (frame := await young.hear()) is not None and frame.type != ShardFrame.EVENTS:
        pass
    old = await shard.client()
    old.say(HELLO)
    assert await error_of(old) == ErrorCode.INCARNATION_OVER


async def test_hello_again_asks_how_far_the_source_has_come(shard: Shard) -> None:
    client = await shard.client()
    client.say(HELLO + frames.pull(1, 100) + frames.commands([command(1), command(2)], []))
    while (frame := await client.hear()) is not None and frame.type != ShardFrame.EVENTS:
        pass
    client.say(HELLO)
    frame = await client.hear()
    assert frame is not None
    assert frames.read_welcome(frame.payload).last_number == 2


async def test_clients_of_an_incarnation_that_ended_are_told_so(shard: Shard) -> None:
    client = await shard.client()
    client.say(HELLO + frames.pull(1, 100))
    assert await client.hear() is not None
    shard.running.cancel()
    assert await error_of(client) == ErrorCode.NOT_READY
    late = await shard.client()
    late.say(HELLO)
    assert await error_of(late) == ErrorCode.NOT_READY


async def test_a_peer_that_hangs_up_in_the_middle_of_a_frame_disturbs_nothing(shard: Shard) -> None:
    rude = await shard.client()
    rude.say(HELLO + frames.commands([command(1)], [])[:-10])
    assert await rude.hear() is not None
    rude.close()
    polite = await shard.client()
    polite.say(HELLO)
    frame = await polite.hear()
    assert frame is not None
    assert frames.read_welcome(frame.payload).last_number == 0


async def test_a_shard_that_cannot_look_secrets_up_believes_nobody_new(shard: Shard) -> None:
    old = await shard.client()
    old.say(HELLO)
    assert await old.hear() is not None
    shard.secrets.away = True
    new = await shard.client()
    new.say(HELLO)
    assert await error_of(new) == ErrorCode.NOT_READY
    old.say(HELLO + frames.ping(b"still there?"))
    heard = [await old.hear() for _ in range(2)]
    assert [frame.type for frame in heard if frame] == [ShardFrame.WELCOME, ShardFrame.PONG]
