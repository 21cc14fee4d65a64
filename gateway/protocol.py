"""JSON-RPC 2.0 frames of the venue, without I/O: requests in, answers and notifications out.

Source: the JSON-RPC 2.0 specification, less batches and client notifications (every request has an id).
Numbers that may pass 53 bits, prices, quantities and money travel as decimal strings; a JSON number in
their place is refused, because a float on the way would change it silently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateway.decimals import MAX_INT64
from gateway.errors import NO_REQUEST, NOT_JSON, UNKNOWN_METHOD, BadParameters, MalformedRequest, WireError

RequestId = str | int | None

MAX_FRAME_BYTES: Final = 64 * 1024
MAX_ID_CHARACTERS: Final = 128
VERSION: Final = "1"

_WHOLE = re.compile(r"\d{1,20}", re.ASCII)
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)
_CLIENT_ORDER_ID = re.compile(r"[ -~]{1,36}")
_MISSING: Final = object()


@dataclass(slots=True)
class Request:
    """One request: its id (echoed in the answer), its method, its parameters by name."""

    id: RequestId
    method: str
    params: dict[str, Any]


class NotARequestError(MalformedRequest):
    """A frame that is no request; ``request_id`` is what could be read of its id, for the answer."""

    def __init__(self, code: int, message: str, request_id: RequestId = None) -> None:
        super().__init__(code, message)
        self.request_id = request_id


def parse_request(frame: str | bytes) -> Request:
    """Read one frame (text; a binary one arrives as bytes and is refused).

    Raises:
        NotARequestError: It is not JSON, not an object of JSON-RPC 2.0, or lacks an id.
    """
    if not isinstance(frame, str):
        raise NotARequestError(NO_REQUEST, "frames are JSON text, not binary")
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise NotARequestError(NOT_JSON, f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise NotARequestError(NO_REQUEST, "a request is one JSON object; batches are not taken")
    return _request_of(message)


def _request_of(message: dict[str, Any]) -> Request:
    request_id = message.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int):
        raise NotARequestError(NO_REQUEST, "id must be a string or an integer")
    if isinstance(request_id, str) and len(request_id) > MAX_ID_CHARACTERS:
        raise NotARequestError(NO_REQUEST, f"id is longer than {MAX_ID_CHARACTERS} characters")
    if message.get("jsonrpc") != "2.0":
        raise NotARequestError(NO_REQUEST, 'jsonrpc must be "2.0"', request_id)
    method, params = message.get("method"), message.get("params", {})
    if not isinstance(method, str):
        raise NotARequestError(NO_REQUEST, "method must be a string", request_id)
    if not isinstance(params, dict):
        raise NotARequestError(NO_REQUEST, "params must be an object of named parameters", request_id)
    return Request(request_id, method, params)


def unknown_method(method: str) -> MalformedRequest:
    """Return the error for a method that does not exist."""
    return MalformedRequest(UNKNOWN_METHOD, f"unknown method {method[:64]!r}")


def request(request_id: RequestId, method: str, params: Mapping[str, Any]) -> bytes:
    """Return a request frame (the client's side)."""
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def answer(request_id: RequestId, result: Any) -> bytes:
    """Return the frame that answers a request."""
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "result": result})


def error(request_id: RequestId, problem: WireError) -> bytes:
    """Return the frame that answers a request with an error."""
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "error": problem.to_wire()})


def notification(method: str, params: Any) -> bytes:
    """Return a notification frame."""
    return orjson.dumps({"jsonrpc": "2.0", "method": method, "params": params})


class Parameters:
    """Typed readers over a request's named parameters; every name may be read once, and :meth:`finish`
    refuses the rest.

    Every reader raises :class:`BadParameters` with a message that names the parameter and says what it
    must be.
    """

    __slots__ = ("_left",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._left = dict(values)

    def has(self, name: str) -> bool:
        """Whether the parameter was given and not yet read."""
        return name in self._left

    def finish(self) -> None:
        """Refuse parameters that nobody read."""
        if self._left:
            raise BadParameters(
                "unknown parameters: " + ", ".join(sorted(name[:40] for name in self._left)[:8])
            )

    def value(self, name: str, default: Any = _MISSING) -> Any:
        """Return a parameter as it came; missing without a default is refused."""
        found = self._left.pop(name, default)
        if found is _MISSING:
            raise BadParameters(f"{name} is missing")
        return found

    def text(self, name: str, default: Any = _MISSING, *, longest: int = 64) -> Any:
        """Return a non-empty string of at most ``longest`` characters, or the default."""
        found = self.value(name, default)
        if found is not default and not (isinstance(found, str) and 0 < len(found) <= longest):
            raise BadParameters(f"{name} must be a string of 1 to {longest} characters")
        return found

    def client_order_id(self, name: str, default: Any = _MISSING) -> Any:
        """Return a client order id: 1 to 36 printable ASCII characters."""
        found = self.value(name, default)
        if found is not default and not (isinstance(found, str) and _CLIENT_ORDER_ID.fullmatch(found)):
            raise BadParameters(f"{name} must be a string of 1 to 36 printable ASCII characters")
        return found

    def whole(self, name: str, default: Any = _MISSING, *, low: int = 0, high: int = MAX_INT64) -> Any:
        """Return an integer that travels as a decimal string, within ``low`` and ``high``."""
        found = self.value(name, default)
        if found is default:
            return found
        if not isinstance(found, str):
            raise BadParameters(f'{name} must be a decimal string such as "100", not a JSON number')
        if not _WHOLE.fullmatch(found):
            raise BadParameters(f"{name} must be a whole number as a decimal string")
        return _within(name, int(found), low, high)

    def small(self, name: str, default: Any = _MISSING, *, low: int = 0, high: int = 2**32 - 1) -> Any:
        """Return an integer that travels as a JSON integer (ids of accounts, terms, versions), within
        the bounds.
        """
        found = self.value(name, default)
        if found is default:
            return found
        if isinstance(found, bool) or not isinstance(found, int):
            raise BadParameters(f"{name} must be a JSON integer")
        return _within(name, found, low, high)

    def flag(self, name: str, default: Any = _MISSING) -> Any:
        """Return ``true`` or ``false``."""
        found = self.value(name, default)
        if not isinstance(found, bool):
            raise BadParameters(f"{name} must be true or false")
        return found

    def choice(self, name: str, choices: Mapping[str, Any]) -> Any:
        """Return what the given word stands for."""
        found = self.value(name)
        if not isinstance(found, str) or found not in choices:
            raise BadParameters(f"{name} must be one of {', '.join(choices)}")
        return choices[found]

    def binary(self, name: str, length: int) -> bytes:
        """Return exactly ``length`` bytes that travel as ``0x`` hex."""
        found = self.value(name)
        if not isinstance(found, str) or len(found) != 2 + 2 * length or not _HEX.fullmatch(found):
            raise BadParameters(f"{name} must be 0x and {2 * length} hex digits")
        return bytes.fromhex(found[2:])


def _within(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise BadParameters(f"{name} must be between {low} and {high}")
    return value
