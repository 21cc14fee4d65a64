"""A client's link to one shard, for gateways, outbox senders and consumers of events.

It finds the shard by its lease row and proves itself by the source's secret, numbers and sends commands,
sends again what a shard that died had not made durable, and pulls events from a position, each exactly once
and in order. It reconnects for ever, until closed or until a later incarnation of its source was heard. What
it holds is bounded: unconfirmed commands by ``unconfirmed_bytes_max`` (:class:`LinkFullError` beyond), events
by not pulling more while the consumer has not taken what was pulled.

Errors::

    LinkError
    ├── LinkFullError     too much is unconfirmed: try later
    ├── LinkOverError     a later incarnation of the source was heard: this one is finished
    └── LinkClosedError   the link was closed
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Final

import asyncpg
import structlog

from engine import frames
from engine.database import Database
from engine.frames import Book, ErrorCode, Frame, FrameError, FrameReader, ShardFrame, Welcome
from engine.unconfirmed_commands import UnconfirmedCommands
from ext.records import UNIT_BYTES

UNCONFIRMED_BYTES_MAX: Final = 32 * 2**20
PULL_BYTES: Final = 512 * 1024
_PULLED_RUNS_MAX: Final = 4
_READ_BYTES: Final = 256 * 1024
_LOOK_UP: Final = """
select (select address from engine.lease where shard = $1),
       (select secret from engine.source where source = $2)
"""
_CAUSE: Final = struct.Struct("<3xBII4xQQ")

log = structlog.get_logger()


class LinkError(RuntimeError):
    """The link cannot do what was asked."""


class LinkFullError(LinkError):
    """More than ``unconfirmed_bytes_max`` of commands are not yet durable; nothing was sent."""


class LinkOverError(LinkError):
    """The shard has heard a later incarnation of this source."""


class LinkClosedError(LinkError):
    """The link was closed."""


class LinkState(Enum):
    """How a link stands."""

    NEW = "new"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    OVER = "over"
    CLOSED = "closed"


@dataclass(frozen=True)
class LinkTiming:
    """How patient a link is, in seconds; after ``silence_max`` without a byte the shard counts as frozen."""

    connect_max: float = 3.0
    ping: float = 1.0
    progress: float = 0.01
    silence_max: float = 5.0
    back_off_min: float = 0.02
    back_off_max: float = 0.5


class _RefusedError(Exception):
    """The shard sent ERROR."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"error {code}: {text}")
        self.code = code


class ShardLink:
    """One source's link to one shard; a source 0 only reads.

    With ``resume``, numbers go on from the last one the shard has (sources that live longer than their
    process); then :meth:`send` needs a first :meth:`wait_connected`. Otherwise the incarnation is new and
    begins at 1.
    """

    def __init__(
        self,
        database: Database,
        shard: int,
        source: int = 0,
        incarnation: int = 0,
        *,
        resume: bool = False,
        unconfirmed_bytes_max: int = UNCONFIRMED_BYTES_MAX,
        pull_bytes: int = PULL_BYTES,
        timing: LinkTiming | None = None,
    ) -> None:
        self.shard = shard
        self.source = source
        self.incarnation = incarnation
        self.state = LinkState.NEW
        self.epoch = 0
        """Epoch of the shard's incarnation last connected to."""
        self._database = database
        self._resume = resume
        self._unconfirmed_bytes_max = unconfirmed_bytes_max
        self._pull_bytes = pull_bytes
        self._timing = timing or LinkTiming()
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._hello = b""
        self._unconfirmed = UnconfirmedCommands(source, incarnation)
        self._to_send = asyncio.Event()
        self._waiters: list[asyncio.Future[None]] = []
        self._consuming = False
        self._pulling = False
        self._progress_asked = False
        self._next_event = 0
        self._pulled: deque[tuple[int, bytes]] = deque()
        self._books: dict[int, list[asyncio.Future[Book]]] = {}

    # -- life

    async def start(self, from_event: int | None = None) -> None:
        """Begin to connect; with ``from_event`` (from 1), :meth:`events` gives all from there on."""
        assert self._task is None, "a link is started once"
        self._consuming = from_event is not None
        self._next_event = max(from_event or 0, 1)
        self._task = asyncio.create_task(self._keep_connected(), name=f"link to shard {self.shard}")

    async def close(self) -> None:
        """Disconnect for good, forget what is unconfirmed; whoever waits gets :class:`LinkClosedError`."""
        self._finish(LinkState.CLOSED)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def last_number(self) -> int:
        """Number of the last command given to :meth:`send`."""
        return self._unconfirmed.last_number

    @property
    def confirmed_number(self) -> int:
        """Last number known to be durable."""
        return self._unconfirmed.confirmed_number

    @property
    def connected(self) -> bool:
        """Whether a shard answers; commands may be sent (and wait) when none does."""
        return self.state is LinkState.CONNECTED

    async def wait_connected(self) -> None:
        """Return when connected; LinkOverError or LinkClosedError when that never will be."""
        await self._wait(lambda: self.connected)

    # -- commands

    def send(self, record: bytes, side: bytes = b"") -> int:
        """Number one command and send it with what else is sent in this turn of the loop; return its number.

        Source, incarnation, number and side digest of the record are set here. The answer is the event that
        names the number; a shard that dies before it is durable gets it again from here.

        Raises:
            LinkFullError, LinkOverError, LinkClosedError: Nothing was sent.
            RecordError: It is not one whole command record.
        """
        self._check_open()
        assert self.source, "source 0 only reads"
        assert not self._resume or self.epoch, "numbers go on from the shard's: wait_connected() first"
        if not self._has_room():
            full = f"shard {self.shard}: {self._unconfirmed.bytes} bytes of commands are unconfirmed"
            raise LinkFullError(full)
        number = self._unconfirmed.add(record, side)
        self._to_send.set()
        return number

    async def room(self) -> None:
        """Return when :meth:`send` will not be refused for want of room."""
        await self._wait(self._has_room)

    def _has_room(self) -> bool:
        return self._unconfirmed.bytes < self._unconfirmed_bytes_max

    async def wait_confirmed(self, number: int) -> None:
        """Return when the command of that number is durable."""
        await self._wait(lambda: self.confirmed_number >= number)

    # -- events and books

    async def events(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (event after these, event records), in order, each event once; one consumer a link.

        Raises:
            LinkOverError: See there. A closed link just ends.
        """
        assert self._consuming, "start(from_event) first"
        while True:
            try:
                await self._wait(lambda: bool(self._pulled))
            except LinkClosedError:
                return
            run = self._pulled.popleft()
            self._pull_more()
            yield run

    async def book(self, tranche: int) -> Book:
        """Return the durable book of a tranche; asks again after a reconnection.

        Raises:
            LinkOverError, LinkClosedError: See there.
        """
        self._check_open()
        answer: asyncio.Future[Book] = asyncio.get_running_loop().create_future()
        self._books.setdefault(tranche, []).append(answer)
        if self.connected:
            self._write(frames.ask_book(tranche))
        return await answer

    # -- connecting

    async def _keep_connected(self) -> None:
        timing = self._timing
        back_off = timing.back_off_min
        while True:
            try:
                await self._connect()
            except _RefusedError as error:
                log.warning("link refused", shard=self.shard, source=self.source, error=str(error))
                if error.code == ErrorCode.INCARNATION_OVER:
                    self._finish(LinkState.OVER)
                    return
            except _LOST as error:
                if self.state is not LinkState.RECONNECTING:
                    log.info("link lost", shard=self.shard, source=self.source, error=repr(error))
                back_off = timing.back_off_min if self.connected else back_off
            except Exception:
                log.exception("link failed", shard=self.shard, source=self.source)
            self.state = LinkState.RECONNECTING
            back_off = min(back_off * 2, timing.back_off_max)
            await asyncio.sleep(back_off * random.uniform(0.5, 1.0))

    async def _connect(self) -> None:
        """Connect once and serve the connection until it ends, by an exception."""
        async with asyncio.timeout(self._timing.connect_max):
            host, port = await self._look_up()
            reader, self._writer = await asyncio.open_connection(host, int(port))
        try:
            self._write(self._hello)
            await _first_ended(self._read(reader), self._send_commands(self._writer), self._ping())
        finally:
            self._writer.close()
            self._writer = None
            self._pulling = self._progress_asked = False

    async def _look_up(self) -> tuple[str, str]:
        """Return where the shard listens, having learnt the source's secret."""
        address, secret = await self._database.pool.fetchrow(_LOOK_UP, self.shard, self.source)
        if not address:
            raise ConnectionError(f"nobody serves shard {self.shard} yet")
        if secret is None:
            raise ConnectionError(f"there is no source {self.source}")
        self._hello = frames.hello(self.source, self.incarnation, secret)
        host, _, port = address.rpartition(":")
        return host, port

    async def _read(self, reader: asyncio.StreamReader) -> None:
        loop, cutter = asyncio.get_running_loop(), FrameReader()
        async with asyncio.timeout(None) as silence:
            while True:
                silence.reschedule(loop.time() + self._timing.silence_max)
                data = await reader.read(_READ_BYTES)
                if not data:
                    raise EOFError("the shard closed the connection")
                for frame in cutter.feed(data):
                    self._handle(frame)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._timing.ping)
            self._write(frames.ping())

    async def _send_commands(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            while self._unconfirmed.unsent and self.connected:
                writer.write(self._unconfirmed.next_frame())
                self._ask_progress_soon()
                await writer.drain()

    def _ask_progress_soon(self) -> None:
        """Without events, ask by another HELLO how much of what was sent is durable."""
        if self._unconfirmed.sent and not self._consuming and not self._progress_asked:
            self._progress_asked = True
            asyncio.get_running_loop().call_later(self._timing.progress, self._ask_progress, self._writer)

    def _ask_progress(self, writer: asyncio.StreamWriter | None) -> None:
        if writer is self._writer:
            self._write(self._hello)

    def _write(self, frame: bytes) -> None:
        if self._writer is not None:
            self._writer.write(frame)

    # -- what the shard says

    def _handle(self, frame: Frame) -> None:
        if frame.type == ShardFrame.EVENTS:
            self._take_events(*frames.read_events(frame.payload))
        elif frame.type == ShardFrame.WELCOME:
            self._take_welcome(frames.read_welcome(frame.payload))
        elif frame.type == ShardFrame.BOOK:
            self._take_book(frames.read_book(frame.payload))
        elif frame.type == ShardFrame.ERROR:
            raise _RefusedError(*frames.read_error(frame.payload))
        elif frame.type != ShardFrame.PONG:
            raise FrameError(ErrorCode.MALFORMED_FRAME, f"no frame of type {frame.type}")

    def _take_welcome(self, welcome: Welcome) -> None:
        self._check_continuity(welcome)
        if self.connected:
            self._confirm(welcome.last_number)
            self._progress_asked = False
            self._ask_progress_soon()
        else:
            self._begin(welcome)

    def _begin(self, welcome: Welcome) -> None:
        """Take up work with an incarnation: what it has is confirmed, what it has not is sent again."""
        self._unconfirmed.begin_again(welcome.last_number)
        self.epoch = welcome.epoch
        self.state = LinkState.CONNECTED
        log.info(
            "link up", shard=self.shard, source=self.source, epoch=welcome.epoch, number=welcome.last_number
        )
        self._tell()
        self._to_send.set()
        self._pull_more()
        for tranche in self._books:
            self._write(frames.ask_book(tranche))

    def _check_continuity(self, welcome: Welcome) -> None:
        """Refuse a shard that forgot what it had confirmed: nothing sent or pulled here would be right."""
        if welcome.shard != self.shard:
            raise FrameError(
                ErrorCode.MALFORMED_FRAME, f"shard {welcome.shard} answers for shard {self.shard}"
            )
        if welcome.last_number < self.confirmed_number or (
            self._consuming and welcome.last_event < self._next_event - 1
        ):
            log.error(
                "the shard lost what it had confirmed", **welcome._asdict(),
                confirmed_number=self.confirmed_number, next_event=self._next_event,
            )  # fmt: skip
            raise FrameError(ErrorCode.NUMBER_GAP, "the shard lost what it had confirmed")

    def _take_events(self, next_event: int, records: bytes) -> None:
        first, confirmed = self._look_through(records)
        if not self._pulling or first != self._next_event or next_event <= first:
            raise FrameError(ErrorCode.MALFORMED_FRAME, f"event {first} instead of {self._next_event}")
        self._pulling = False
        self._next_event = next_event
        if self._consuming:
            self._pulled.append((next_event, records))
        self._pull_more()
        self._confirm(confirmed)

    def _look_through(self, records: bytes) -> tuple[int, int]:
        """Return (sequence of the first event, highest number of this link's commands among the causes)."""
        if len(records) < UNIT_BYTES:
            raise FrameError(ErrorCode.MALFORMED_FRAME, "EVENTS without events")
        first: int = _CAUSE.unpack_from(records)[4]
        number_max, offset = 0, 0
        while self._unconfirmed.sent and offset < len(records):
            units, source, incarnation, number, _ = _CAUSE.unpack_from(records, offset)
            if source == self.source and incarnation == self.incarnation and number > number_max:
                number_max = number
            offset += max(units, 1) * UNIT_BYTES
        return first, number_max

    def _take_book(self, book: Book) -> None:
        for answer in self._books.pop(book.tranche, ()):
            if not answer.done():
                answer.set_result(book)

    def _pull_more(self) -> None:
        if self.connected and self._consuming and not self._pulling and len(self._pulled) < _PULLED_RUNS_MAX:
            self._pulling = True
            self._write(frames.pull(self._next_event, self._pull_bytes))

    def _confirm(self, number: int) -> None:
        self._unconfirmed.confirm(number)
        self._tell()

    # -- waiting

    async def _wait(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._check_open()
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def _tell(self) -> None:
        """Let everyone who waits look again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _check_open(self) -> None:
        if self.state in (LinkState.OVER, LinkState.CLOSED):
            raise self._over()

    def _over(self) -> LinkError:
        if self.state is LinkState.OVER:
            return LinkOverError(f"shard {self.shard} has heard a later incarnation of source {self.source}")
        return LinkClosedError(f"the link to shard {self.shard} is closed")

    def _finish(self, state: LinkState) -> None:
        self.state = state
        self._tell()
        answers = [answer for waiting in self._books.values() for answer in waiting if not answer.done()]
        self._books.clear()
        for answer in answers:
            answer.set_exception(self._over())


_LOST: Final = (
    OSError,
    EOFError,
    TimeoutError,
    FrameError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)
"""What losing a shard, or the database that knows its address, looks like."""


async def _first_ended(*coroutines: Coroutine[None, None, None]) -> None:
    """Run until one of them ends, end the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
