"""One participant's session, without I/O: what came in, who may ask what, what goes out.

A session is CONNECTED until its log-on succeeds, then LOGGED_ON, and ENDED when either side closes. Frames
go in through :meth:`Session.receive`, which gives requests to work on in their order or answers by itself;
everything that goes out waits in :meth:`Session.data_to_send`. The shell around it moves bytes and nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from engine.reasons import Reason
from gateway import protocol
from gateway.errors import BadParameters, CommandRefused, OverLimit, WireError
from gateway.protocol import Request, RequestId
from gateway.replay import Replay, StreamKey

IN_FLIGHT_LIMIT: Final = 4096
RETRY_AFTER_MS: Final = 50
RESUME_RETRY_AFTER_MS: Final = 250

ANYONE: Final = frozenset({"session.logon", "session.logout"})
PARTICIPANT: Final = frozenset(
    {
        "session.resume",
        "order.place",
        "order.replace",
        "order.cancel",
        "order.get",
        "orders.list",
        "fills.list",
        "balances.get",
        "settlement.status",
        "instruments.list",
        "book.get",
        "market.subscribe",
        "market.unsubscribe",
    }
)
ADMINISTRATOR: Final = frozenset(
    {"admin.account.open", "admin.participant.set", "admin.tranche.list", "admin.phase.set", "admin.status"}
)
METHODS: Final = ANYONE | PARTICIPANT | ADMINISTRATOR


class SessionState(Enum):
    """Where a session is in its life."""

    CONNECTED = "connected"
    LOGGED_ON = "logged on"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who logged on: the login, whether it administers, and the session epoch of each account it acts
    for.
    """

    login: str
    administrator: bool
    trading: bool
    epochs: dict[int, int] = field(default_factory=dict)


class Session:
    """The protocol's state for one connection.

    ``challenge`` is what this connection's log-on signs. ``output`` is called when something to send
    appears where nothing was, so that the shell can flush once for all of it.
    """

    def __init__(
        self, challenge: bytes, output: Callable[[], None], *, in_flight_limit: int = IN_FLIGHT_LIMIT
    ) -> None:
        self.challenge = challenge
        self.state = SessionState.CONNECTED
        self.identity = Identity("", False, False)
        self.in_flight = 0
        self.channels: set[str] = set()
        self.replays: dict[StreamKey, Replay] = {}
        self.resuming = False
        self._in_flight_limit = in_flight_limit
        self._output = output
        self._out: list[bytes] = []

    # What comes in ----------------------------------------------------------------------------------------

    def receive(self, frame: str | bytes) -> Request | None:
        """Take one frame; return the request to work on, or None where it was answered with an error."""
        try:
            request = protocol.parse_request(frame)
        except protocol.NotARequestError as problem:
            self.send(protocol.error(problem.request_id, problem))
            return None
        problem_found = self._objection(request.method)
        if problem_found is not None:
            self.send(protocol.error(request.id, problem_found))
            return None
        self.in_flight += 1
        return request

    def _objection(self, method: str) -> WireError | None:
        """Why the session may not ask this now, if it may not."""
        if method not in METHODS:
            return protocol.unknown_method(method)
        if self.state is not SessionState.LOGGED_ON:
            if method not in ANYONE:
                return CommandRefused("log on first", Reason.NOT_LOGGED_ON)
        elif method == "session.logon":
            return BadParameters("this session is logged on already")
        elif method in ADMINISTRATOR and not self.identity.administrator:
            return CommandRefused("only an administrator may do this", Reason.NOT_AN_ADMINISTRATOR)
        if self.in_flight >= self._in_flight_limit:
            return OverLimit(
                f"{self.in_flight} requests are in flight",
                limit=self._in_flight_limit,
                actual=self.in_flight,
                retry_after_ms=RETRY_AFTER_MS,
            )
        return None

    def epoch_of(self, account: int) -> int:
        """Return the epoch under which the session commands an account.

        Raises:
            CommandRefused: The account is not this session's (703), or the session only reads (701).
        """
        self.check_account(account)
        if not self.identity.trading:
            raise CommandRefused("this session logged on to read only", Reason.NOT_LOGGED_ON)
        return self.identity.epochs[account]

    def check_account(self, account: int) -> None:
        """Raise CommandRefused (703) when the session does not act for the account."""
        if account not in self.identity.epochs:
            raise CommandRefused(
                f"account {account} is not one this session acts for", Reason.ACCOUNT_NOT_OF_SESSION
            )

    def begin_resume(self) -> None:
        """Begin to resume streams, until :meth:`end_resume`.

        Raises:
            OverLimit: That is under way already (708).
        """
        if self.resuming:
            raise OverLimit(
                "streams are being resumed: wait for replay_complete",
                limit=1,
                actual=2,
                retry_after_ms=RESUME_RETRY_AFTER_MS,
            )
        self.resuming = True

    def end_resume(self) -> None:
        """What was to be resumed is live."""
        self.resuming = False

    # What goes out ----------------------------------------------------------------------------------------

    def logged_on(self, identity: Identity) -> None:
        """The log-on succeeded."""
        self.identity = identity
        self.state = SessionState.LOGGED_ON

    def ended(self) -> None:
        """The connection is gone; whatever is still answered goes nowhere."""
        self.state = SessionState.ENDED
        self._out.clear()

    def answer(self, request_id: RequestId, result: Any) -> None:
        """Answer a request that :meth:`receive` returned."""
        self.in_flight -= 1
        self.send(protocol.answer(request_id, result))

    def refuse(self, request_id: RequestId, problem: WireError) -> None:
        """Answer a request that :meth:`receive` returned with an error."""
        self.in_flight -= 1
        self.send(protocol.error(request_id, problem))

    def send(self, frame: bytes) -> None:
        """Queue a frame."""
        if self.state is SessionState.ENDED:
            return
        self._out.append(frame)
        if len(self._out) == 1:
            self._output()

    def send_event(self, stream: StreamKey, sequence: int, frame: bytes) -> None:
        """Queue an event of a private stream, behind what is being replayed of it."""
        replay = self.replays.get(stream)
        if replay is None:
            self.send(frame)
        else:
            replay.live(sequence, frame)

    def data_to_send(self) -> list[bytes]:
        """Take the frames that wait to be sent."""
        frames, self._out = self._out, []
        return frames
