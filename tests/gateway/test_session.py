"""A session without a socket."""

import json
from typing import Any

from gateway.replay import Replay, StreamKey
from gateway.session import Identity, Session, SessionState


def made(limit: int = 2) -> tuple[Session, list[int]]:
    """A session and a list that grows each time it has something to send."""
    calls: list[int] = []
    return Session(b"c" * 32, lambda: calls.append(1), in_flight_limit=limit), calls


def request(method: str, request_id: int = 1) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method})


def sent(session: Session) -> list[Any]:
    return [json.loads(frame) for frame in session.data_to_send()]


def test_output_is_announced_once_until_it_was_taken() -> None:
    session, calls = made()
    session.send(b"{}")
    session.send(b"{}")
    assert (len(calls), len(session.data_to_send())) == (1, 2)
    session.send(b"{}")
    assert len(calls) == 2


def test_a_request_is_worked_only_by_who_may_ask_it() -> None:
    session, _ = made(limit=100)
    for method in ("book.get", "admin.status", "order.place"):
        assert session.receive(request(method)) is None
    assert session.receive(request("session.logon")) is not None
    session.logged_on(Identity("me", False, True, {7: 3}))
    assert session.state is SessionState.LOGGED_ON
    assert session.receive(request("book.get")) is not None
    assert session.receive(request("admin.status")) is None
    assert session.receive(request("session.logon")) is None
    reasons = [answer["error"]["data"]["name"] for answer in sent(session)]
    assert reasons == ["not_logged_on"] * 3 + ["not_an_administrator", "bad_parameters"]
    assert session.epoch_of(7) == 3


def test_answers_make_room_for_requests() -> None:
    session, _ = made(limit=2)
    session.logged_on(Identity("me", False, True))
    assert session.receive(request("book.get", 1)) is not None
    assert session.receive(request("book.get", 2)) is not None
    assert session.receive(request("book.get", 3)) is None
    assert sent(session)[0]["error"]["code"] == -32029
    session.answer(1, {})
    assert session.receive(request("book.get", 4)) is not None


def test_events_of_a_stream_wait_behind_its_replay_and_others_do_not() -> None:
    session, _ = made()
    replayed, live = StreamKey(1, 1, 0), StreamKey(1, 2, 0)
    session.replays[replayed] = Replay(0, 0)
    session.send_event(replayed, 5, b'"held"')
    session.send_event(live, 5, b'"live"')
    assert session.data_to_send() == [b'"live"']
    assert session.replays[replayed].rest() == [b'"held"']


def test_nothing_goes_out_of_a_session_that_ended() -> None:
    session, _ = made()
    session.send(b"{}")
    session.ended()
    session.send(b"{}")
    assert session.data_to_send() == []
