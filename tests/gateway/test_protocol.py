"""Frames and parameters."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import protocol
from gateway.errors import (
    BadParameters,
    BookDrift,
    CommandRefused,
    OutcomeUnknown,
    OverLimit,
    WireError,
    from_wire,
)
from gateway.protocol import NotARequestError, Parameters

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(frame=st.text() | st.binary() | JSON.map(json.dumps))
def test_any_frame_is_a_request_or_refused_as_none(frame: Any) -> None:
    try:
        answer: Any = protocol.parse_request(frame)
    except NotARequestError as problem:
        answer = problem
    if isinstance(answer, NotARequestError):
        assert answer.code in (-32700, -32600)
        assert json.loads(protocol.error(answer.request_id, answer))["error"]["message"]
    else:
        assert isinstance(answer.method, str)


@given(
    request_id=st.text(max_size=128) | st.integers(-(2**63), 2**63 - 1),
    params=st.dictionaries(st.text(), JSON),
)
def test_a_request_survives_the_wire(request_id: Any, params: Any) -> None:
    try:
        frame = protocol.request(request_id, "book.get", params)
    except TypeError:
        return  # integers beyond 64 bits, lone surrogates: no JSON of ours
    request = protocol.parse_request(frame.decode())
    assert (request.id, request.method) == (request_id, "book.get")


@pytest.mark.parametrize("kind", [BadParameters, CommandRefused, OutcomeUnknown, OverLimit])
def test_an_error_is_the_same_after_the_wire(kind: Any) -> None:
    error = kind("no", 401, limit=2**63 - 1, actual=7, retry_after_ms=20)
    again = from_wire(json.loads(json.dumps(error.to_wire())))
    assert type(again) is kind
    assert again.to_wire() == error.to_wire()
    assert again.name == "insufficient_cash"


def test_an_error_of_a_newer_venue_is_still_an_error() -> None:
    error = from_wire({"code": -1, "message": "new", "data": {"reason": 9999}})
    assert type(error) is WireError
    assert (error.name, error.final) == ("unknown", False)
    assert not isinstance(error, BookDrift)


def test_a_parameter_is_read_once_and_the_rest_refused() -> None:
    given_params = Parameters({"a": "1", "b": 2})
    assert given_params.whole("a") == 1
    with pytest.raises(BadParameters, match="unknown parameters: b"):
        given_params.finish()
    assert given_params.small("b") == 2
    given_params.finish()


def test_an_absent_parameter_gives_its_default_or_is_missed() -> None:
    assert Parameters({}).text("symbol", None) is None
    with pytest.raises(BadParameters, match="symbol is missing"):
        Parameters({}).text("symbol")
    with pytest.raises(BadParameters, match="open must be true or false"):
        Parameters({"open": 1}).flag("open", False)
