"""Private events to the sessions that act for their accounts, as they come. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from ext.records import Balance, ExecutionReport, Refused, SettlementUpdated
from gateway import protocol
from gateway.listing import Listings
from gateway.replay import StreamKey
from gateway.session import Session
from gateway.wire_events import private_event

PrivateRecord = ExecutionReport | Refused | Balance | SettlementUpdated
PRIVATE_RECORDS = (ExecutionReport, Refused, Balance, SettlementUpdated)


class FanOut:
    """Who gets which private stream, and how far each has been delivered.

    ``passed`` is the last event of each shard that went through here; ``last`` the last sequence of each
    stream that had an event since this gateway began to read.
    """

    def __init__(self, listings: Listings) -> None:
        self.last: dict[StreamKey, int] = {}
        self.passed: dict[int, int] = {}
        self._listings = listings
        self._sessions: dict[int, dict[Session, None]] = {}

    def join(self, session: Session, accounts: Iterable[int]) -> None:
        """From here on the session gets the events of these accounts."""
        for account in accounts:
            self._sessions.setdefault(account, {})[session] = None

    def leave(self, session: Session, accounts: Iterable[int]) -> None:
        """End that."""
        for account in accounts:
            sessions = self._sessions.get(account, {})
            sessions.pop(session, None)
            if not sessions:
                self._sessions.pop(account, None)

    def sessions(self, account: int) -> Iterable[Session]:
        """Return the sessions that act for an account."""
        return self._sessions.get(account, ())

    def take(self, shard: int, record: PrivateRecord) -> None:
        """Deliver a private event of a shard."""
        if not record.stream_sequence:
            return
        head = record.header
        key = StreamKey(head.account, head.tranche, shard)
        self.last[key] = record.stream_sequence
        sessions = self._sessions.get(head.account)
        if not sessions:
            return
        event = private_event(record, self._listings.get(head.tranche), shard)
        if event is None:
            return
        frame = protocol.notification("account.event", event[1])
        for session in sessions:
            session.send_event(key, record.stream_sequence, frame)
