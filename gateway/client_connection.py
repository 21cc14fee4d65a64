"""The client's connection: logs on, sends calls in order within the venue's window, reconnects, resends.

A call leaves the table only when it is answered. After a reconnect all calls not yet answered are sent
again, in their order, byte for byte, so that the venue recognises a command it already knows by its client
order id.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, Generic, TypeVar

import orjson
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import broadcast
from websockets.exceptions import WebSocketException

from gateway import protocol
from gateway.client_types import Hello
from gateway.errors import (
    AnswerUnreadable,
    ConnectionLost,
    GatewayError,
    OutcomeUnknown,
    WireError,
    from_wire,
)

log = structlog.get_logger()

ResultT = TypeVar("ResultT")
FIRST_DELAY_S: Final = 0.05
LONGEST_DELAY_S: Final = 3.0
ASK_AGAIN_S: Final = 1.0
GREETING_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024


class Call(Generic[ResultT]):
    """A request under way; await it for its result. ``sent_ns`` and ``answered_ns`` are
    ``perf_counter_ns``, else 0.

    Raises, when awaited: WireError as the venue answered; AnswerUnreadable; ConnectionLost when the client
    ended first.
    """

    __slots__ = ("_decode", "_future", "answered_ns", "frame", "id", "repeatable", "sent_ns")

    def __init__(
        self, call_id: int, frame: bytes, decode: Callable[[Any], ResultT], *, repeatable: bool = True
    ) -> None:
        self.id = call_id
        self.frame = frame
        self.repeatable = repeatable
        self.sent_ns = 0
        self.answered_ns = 0
        self._decode = decode
        self._future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()

    def __await__(self) -> Generator[Any, None, ResultT]:
        return self._future.__await__()

    def done(self) -> bool:
        """Whether the call was answered (or given up)."""
        return self._future.done()

    def result(self) -> ResultT:
        """Return the result of a call that is done, or raise its error."""
        return self._future.result()

    def error(self) -> BaseException | None:
        """Return the error of a call that is done, if it failed."""
        return None if self._future.cancelled() else self._future.exception()

    def when_done(self, callback: Callable[[Call[ResultT]], None]) -> None:
        """Call back once the call is done."""
        self._future.add_done_callback(lambda _: callback(self))

    def answer(self, result: Any) -> None:
        """Give the call its result, as it stands on the wire."""
        self.answered_ns = time.perf_counter_ns()
        if not self._future.done():
            try:
                self._future.set_result(self._decode(result))
            except (KeyError, TypeError, ValueError) as problem:
                self._fail(AnswerUnreadable(f"{problem!r} in the venue's answer"))

    def refuse(self, problem: Exception) -> None:
        """End the call with an error."""
        self.answered_ns = time.perf_counter_ns()
        if not self._future.done():
            self._fail(problem)

    def _fail(self, problem: Exception) -> None:
        self._future.set_exception(problem)
        self._future.exception()  # a failed call that nobody awaits is no mistake of the program


class VenueConnection:
    """One lasting connection to a gateway over however many sockets it takes.

    ``log_on`` is called with each new connection's ``Hello`` and this object, and uses :meth:`call_now`;
    ``notified`` gets every notification's method and parameters. ``window`` bounds the calls under way;
    None takes the venue's limit.
    """

    def __init__(
        self,
        url: str,
        log_on: Callable[[Hello], Awaitable[None]],
        notified: Callable[[str, dict[str, Any]], None],
        window: int,
    ) -> None:
        self._url = url
        self._log_on = log_on
        self._notified = notified
        self._wanted_window = window
        self._window = 0
        self._next_id = 1
        self._under_way: dict[int, Call[Any]] = {}
        self._urgent: dict[int, Call[Any]] = {}
        self._waiting: deque[Call[Any]] = deque()
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._room = asyncio.Event()
        self.connections = 0

    async def start(self, timeout_s: float) -> None:
        """Connect and log on; returns when logged on.

        Raises:
            WireError: The venue refused the log-on.
            AnswerUnreadable: The venue speaks otherwise than this client.
            ConnectionLost: No log-on within ``timeout_s``.
        """
        self._first = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._first)
        except TimeoutError:
            await self.close()
            raise ConnectionLost(f"no log-on at {self._url} within {timeout_s} s") from None
        except GatewayError:
            await self.close()
            raise

    async def close(self) -> None:
        """End the connection; calls under way end with ConnectionLost."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._give_up(ConnectionLost("the client was closed"))

    def submit(
        self,
        method: str,
        params: dict[str, Any],
        decode: Callable[[Any], ResultT],
        *,
        repeatable: bool = True,
    ) -> Call[ResultT]:
        """Send a call as soon as there is room for it; calls leave in the order they were submitted."""
        call = self._made(method, params, decode, repeatable)
        if self._failure is not None:
            call.refuse(self._failure)
            return call
        self._waiting.append(call)
        if len(self._waiting) == 1:
            self._pump()
        return call

    def call_now(
        self, method: str, params: dict[str, Any], decode: Callable[[Any], ResultT]
    ) -> Call[ResultT]:
        """Send a call of the connection's own (log-on, resume) before all others; it is not resent."""
        call = self._made(method, params, decode, False)
        self._urgent[call.id] = call
        self._send(call)
        return call

    async def room(self) -> None:
        """Wait until what was submitted has been sent: a driver that awaits this keeps its memory
        bounded.
        """
        while self._waiting and self._failure is None:
            self._room.clear()
            await self._room.wait()

    def _made(
        self, method: str, params: dict[str, Any], decode: Callable[[Any], ResultT], repeatable: bool
    ) -> Call[ResultT]:
        call_id, self._next_id = self._next_id, self._next_id + 1
        return Call(call_id, protocol.request(call_id, method, params), decode, repeatable=repeatable)

    def _pump(self) -> None:
        """Send waiting calls while the window has room."""
        while self._waiting and self._socket is not None and len(self._under_way) < self._window:
            call = self._waiting.popleft()
            self._under_way[call.id] = call
            self._send(call)
        if not self._waiting:
            self._room.set()

    def _send(self, call: Call[Any]) -> None:
        if self._socket is not None:
            call.sent_ns = call.sent_ns or time.perf_counter_ns()
            broadcast((self._socket,), call.frame, text=True)

    async def _run(self) -> None:
        try:
            await self._keep_connected()
        except Exception as problem:
            log.exception("the client failed")
            self._give_up(ConnectionLost(f"the client failed: {problem!r}"))

    async def _keep_connected(self) -> None:
        delay_s = FIRST_DELAY_S
        while self._failure is None:
            before = self.connections
            with contextlib.suppress(OSError, TimeoutError, WebSocketException, ConnectionLost):
                async with connect(
                    self._url, compression=None, max_size=MAX_ANSWER_BYTES, max_queue=1024, proxy=None
                ) as socket:
                    await self._converse(socket)
            self._socket = None
            self._drop_unrepeatable()
            delay_s = FIRST_DELAY_S if self.connections > before else min(2 * delay_s, LONGEST_DELAY_S)
            await asyncio.sleep(random.uniform(delay_s / 2, delay_s))

    async def _converse(self, socket: ClientConnection) -> None:
        """Talk over one socket until it closes."""
        async with asyncio.timeout(GREETING_S):
            greeting = orjson.loads(await socket.recv())
        hello = Hello.of(greeting["params"])
        logging_on = asyncio.create_task(self._begin(socket, hello))
        try:
            async for frame in socket:
                self._received(orjson.loads(frame))
        except asyncio.CancelledError:
            await socket.close()  # else the context would say that this end failed
            raise
        finally:
            logging_on.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionLost):
                await logging_on

    async def _begin(self, socket: ClientConnection, hello: Hello) -> None:
        """Log on, then send again what was not answered, then the rest."""
        window, self._window = min(self._wanted_window, hello.in_flight_limit), 0
        self._socket = socket
        try:
            await self._log_on(hello)
        except WireError as problem:
            await self._refused(socket, problem)
            return
        except AnswerUnreadable as problem:
            self._give_up(problem)
            await socket.close()
            return
        self.connections += 1
        self._window = window
        for call in list(self._under_way.values()):
            self._send(call)
        self._pump()
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    async def _refused(self, socket: ClientConnection, problem: WireError) -> None:
        """A refused log-on is for good, unless it says that asking again may help."""
        if problem.final:
            self._give_up(problem)
        await socket.close()

    def _received(self, message: dict[str, Any]) -> None:
        if "method" in message:
            self._notified(message["method"], message.get("params") or {})
            return
        call_id = message.get("id")
        urgent = self._urgent.pop(call_id, None) if isinstance(call_id, int) else None
        call = urgent or (self._under_way.get(call_id) if isinstance(call_id, int) else None)
        if call is None:
            return
        if "error" in message:
            self._problem(call, from_wire(message["error"]))
        else:
            self._finished(call)
            call.answer(message["result"])

    def _problem(self, call: Call[Any], problem: WireError) -> None:
        if isinstance(problem, OutcomeUnknown) and call.repeatable:
            delay_s = (problem.retry_after_ms or ASK_AGAIN_S * 1000) / 1000
            asyncio.get_running_loop().call_later(delay_s, self._ask_again, call)
            return
        self._finished(call)
        call.refuse(problem)

    def _ask_again(self, call: Call[Any]) -> None:
        if call.id in self._under_way and self._window > 0:
            self._send(call)

    def _finished(self, call: Call[Any]) -> None:
        if self._under_way.pop(call.id, None) is not None and self._waiting:
            self._pump()

    def _drop_unrepeatable(self) -> None:
        lost = ConnectionLost("the connection ended before the answer")
        for call in self._urgent.values():
            call.refuse(lost)
        self._urgent.clear()
        for call in [call for call in self._under_way.values() if not call.repeatable]:
            del self._under_way[call.id]
            call.refuse(lost)

    def _give_up(self, problem: Exception) -> None:
        self._failure = self._failure or problem
        for call in [*self._urgent.values(), *self._under_way.values(), *self._waiting]:
            call.refuse(problem)
        self._urgent.clear()
        self._under_way.clear()
        self._waiting.clear()
        self._room.set()
        if self._first is not None and not self._first.done():
            self._first.set_exception(problem)
            self._first.exception()
