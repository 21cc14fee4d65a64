# ruff: noqa: N818 - each is named for what happened
"""Everything that goes wrong at the gateway and in its client, in one tree.

::

    GatewayError
    ├── WireError              an error answer of the protocol: raised at the gateway's edge, raised again
    by the client
    │   ├── MalformedRequest   -32700, -32600, -32601: not JSON, no request, no such method
    │   ├── BadParameters      -32602
    │   ├── CommandRefused     -32000, with the numbered reason
    │   ├── OutcomeUnknown     -32001, reason 710: ask, or resend with the same ids
    │   └── OverLimit          -32029, with ``retry_after_ms``
    ├── ConnectionLost         client: the connection ended and the call is not one that is resent
    ├── AnswerUnreadable       client: the venue's answer lacks what this client needs of it
    └── BookDrift              a book's sequence or checksum does not fit what was received

``WireError.final`` says whether the command can still take effect: true means it did not and will not.
"""

from __future__ import annotations

from typing import Any

from engine.reasons import Reason

NOT_JSON = -32700
NO_REQUEST = -32600
UNKNOWN_METHOD = -32601
BAD_PARAMETERS = -32602
REFUSED = -32000
OUTCOME_UNKNOWN = -32001
OVER_LIMIT = -32029


class GatewayError(Exception):
    """Root of this package's errors."""


class WireError(GatewayError):
    """An error answer: JSON-RPC ``code``, numbered ``reason``, whether it is ``final``, and amounts where
    there are any.

    ``limit`` and ``actual`` are whole numbers in the unit of the reason; ``retry_after_ms`` says when
    asking again may help; ``order`` is the state of the order that the request was about, where it says
    why.
    """

    def __init__(
        self, code: int, message: str, reason: int = Reason.BAD_PARAMETERS, *, final: bool = True,
        limit: int | None = None, actual: int | None = None, retry_after_ms: int | None = None,
        order: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.final = final
        self.limit = limit
        self.actual = actual
        self.retry_after_ms = retry_after_ms
        self.order = order

    @property
    def name(self) -> str:
        """The reason's name in lower case, or ``unknown`` for a number newer than this code."""
        try:
            return Reason(self.reason).name.lower()
        except ValueError:
            return "unknown"

    def to_wire(self) -> dict[str, Any]:
        """Return the ``error`` member of the answer."""
        data: dict[str, Any] = {"reason": int(self.reason), "name": self.name, "final": self.final}
        for field in ("limit", "actual"):
            if getattr(self, field) is not None:
                data[field] = str(getattr(self, field))
        if self.retry_after_ms is not None:
            data["retry_after_ms"] = self.retry_after_ms
        if self.order is not None:
            data["order"] = self.order
        return {"code": self.code, "message": self.message, "data": data}


class MalformedRequest(WireError):
    """A frame that is no request, or names no method there is."""


class BadParameters(WireError):
    """Parameters missing, superfluous, of the wrong type or out of range; nothing was sent on."""

    def __init__(self, message: str, reason: int = Reason.BAD_PARAMETERS, **data: Any) -> None:
        super().__init__(BAD_PARAMETERS, message, reason, **data)


class CommandRefused(WireError):
    """A well-formed request that the venue's rules refuse, by the gateway or by the engine."""

    def __init__(self, message: str, reason: int, **data: Any) -> None:
        super().__init__(REFUSED, message, reason, **data)


class OutcomeUnknown(WireError):
    """The command may or may not take effect: ask for the order, or resend the command with the same
    ids.
    """

    def __init__(self, message: str, reason: int = Reason.OUTCOME_UNKNOWN, **data: Any) -> None:
        super().__init__(OUTCOME_UNKNOWN, message, reason, **{"final": False, **data})


class OverLimit(WireError):
    """Too much at once; the request was not taken on and may be sent again after ``retry_after_ms``."""

    def __init__(self, message: str, reason: int = Reason.TOO_MANY_IN_FLIGHT, **data: Any) -> None:
        super().__init__(OVER_LIMIT, message, reason, **data)


class ConnectionLost(GatewayError):
    """The connection ended for good, or while a call was under way that must not be repeated blindly."""


class BookDrift(GatewayError):
    """A book's sequence or checksum does not fit: take a new snapshot."""


class AnswerUnreadable(GatewayError):
    """An answer of the venue lacks what this client needs of it: the two are of different versions."""


_KINDS: dict[int, type[WireError]] = {
    NOT_JSON: MalformedRequest,
    NO_REQUEST: MalformedRequest,
    UNKNOWN_METHOD: MalformedRequest,
    BAD_PARAMETERS: BadParameters,
    REFUSED: CommandRefused,
    OUTCOME_UNKNOWN: OutcomeUnknown,
    OVER_LIMIT: OverLimit,
}


def from_wire(error: dict[str, Any]) -> WireError:
    """Make the exception of an ``error`` member; unknown codes give a plain :class:`WireError`."""
    data = error.get("data") or {}
    code = error.get("code", 0)
    result = WireError.__new__(_KINDS.get(code, WireError))
    WireError.__init__(
        result,
        code,
        error.get("message", ""),
        data.get("reason", 0),
        final=data.get("final", False),
        limit=_whole(data.get("limit")),
        actual=_whole(data.get("actual")),
        retry_after_ms=data.get("retry_after_ms"),
        order=data.get("order"),
    )
    return result


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)
