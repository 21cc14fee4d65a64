"""The SDK's side of resuming: one request at a time, of bounded size."""

from typing import Any

from gateway.client import VenueClient
from gateway.client_streams import STREAMS_AT_ONCE


class Asked:
    """A client of a venue that only notes what it is asked to resume."""

    def __init__(self) -> None:
        self.client = VenueClient("ws://127.0.0.1:1/v1", "me", b"\x01" * 32)
        self.resumes: list[dict[str, int]] = []
        self.client._connection.call_now = self._call  # type: ignore[method-assign, assignment]

    def _call(self, method: str, params: dict[str, Any], *_: Any) -> None:
        assert method == "session.resume"
        self.resumes.append(params["streams"])

    def log_on(self, streams: dict[str, int]) -> None:
        """The venue says where the streams stand."""
        self.client._logged_on({"accounts": [], "streams": streams})

    def complete(self) -> None:
        """The venue has replayed what it was asked last."""
        self.client._notified("replay_complete", {"streams": self.resumes[-1]})

    def event(self, stream: str, sequence: int) -> None:
        """A private event comes."""
        self.client._notified("account.event", {"stream": stream, "seq": sequence, "type": "balance"})


def test_a_gap_found_while_resuming_is_resumed_afterwards() -> None:
    asked = Asked()
    asked.log_on({"1:A": 3, "1:B": 3, "1:C": 3})
    asked.event("1:A", 4)
    asked.event("1:A", 6)
    assert asked.resumes == [{"1:A": 4}]
    asked.event("1:B", 5)
    asked.event("1:B", 6)
    asked.event("1:C", 9)
    assert len(asked.resumes) == 1
    asked.event("1:A", 5)
    asked.complete()
    assert asked.resumes[1:] == [{"1:B": 3, "1:C": 3}]
    asked.complete()
    assert len(asked.resumes) == 2


def test_many_streams_are_resumed_some_at_a_time() -> None:
    asked = Asked()
    count = STREAMS_AT_ONCE + 5
    streams = {f"{account}:A": 1 for account in range(1, count + 1)}
    asked.log_on(streams)
    asked.client._resumption.forget()
    asked.log_on(dict.fromkeys(streams, 2))
    assert [len(resumed) for resumed in asked.resumes] == [STREAMS_AT_ONCE]
    asked.complete()
    assert [len(resumed) for resumed in asked.resumes] == [STREAMS_AT_ONCE, 5]
    assert set(asked.resumes[0]) | set(asked.resumes[1]) == set(streams)
