"""Private streams over time: where each stands, and replaying one from the records until it is live."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from engine.database import Database
from engine.reasons import Reason
from ext.records import Record, decode
from gateway import protocol
from gateway.errors import BadParameters, CommandRefused
from gateway.fan_out import FanOut
from gateway.listing import CASH_PREFIX, Listings
from gateway.record_lag import POLL_S, RecordLag
from gateway.replay import Replay, StreamKey
from gateway.session import Session
from gateway.wire_events import cash_stream_name, private_event, stream_name

PAGE_EVENTS: Final = 500
STREAMS_MAX: Final = 1024
SEQUENCE_MAX: Final = 2**53

_PAGE: Final = """
select stream_sequence, record from engine.stream_event
where account = $1 and tranche = $2 and shard = $3 and stream_sequence > $4
order by stream_sequence limit $5"""

_LAST: Final = """
select k.account, k.tranche, k.shard, s.stream_sequence
from unnest($1::int[], $2::int[], $3::int[], $4::bigint[]) as k(account, tranche, shard, before)
cross join lateral (
    select e.stream_sequence from engine.stream_event e
    where e.account = k.account and e.tranche = k.tranche and e.shard = k.shard and e.event <= k.before
    order by e.stream_sequence desc limit 1
) s"""

Drained = Callable[[], Awaitable[None]]


class Streams:
    """The private streams of all accounts, from the records and live. ``began`` is, per shard, the last
    event before those that this gateway reads.
    """

    def __init__(
        self,
        database: Database,
        lag: RecordLag,
        fan_out: FanOut,
        listings: Listings,
        began: Mapping[int, int],
    ) -> None:
        self._began = began
        self._database = database
        self._lag = lag
        self._fan_out = fan_out
        self._listings = listings

    def name(self, key: StreamKey) -> str:
        """Return a stream's name on the wire."""
        listing = self._listings.get(key.tranche)
        if key.tranche == 0 or listing is None:
            return cash_stream_name(key.account, key.shard)
        return stream_name(key.account, listing.symbol)

    def key(self, name: str) -> StreamKey:
        """Return the stream of a name. Raises CommandRefused (711) when there is none."""
        account, _, rest = name.partition(":")
        if account.isascii() and account.isdigit() and len(account) < 11 and rest:
            if rest.startswith(CASH_PREFIX):
                shard = rest[len(CASH_PREFIX) :]
                if shard.isdigit() and any(shard == str(known) for known in self._began):
                    return StreamKey(int(account), 0, int(shard))
            else:
                listing = self._listings.of_symbol(rest)
                return StreamKey(int(account), listing.tranche, listing.shard)
        raise CommandRefused(f"there is no stream {name[:80]!r}", Reason.UNKNOWN_STREAM)

    def read_resume(self, session: Session, streams: Any) -> dict[StreamKey, int]:
        """Read the parameter of ``session.resume``.

        Raises:
            BadParameters: It is no map of names to sequences.
            CommandRefused: A stream is unknown (711) or of an account the session does not act for (703).
        """
        if not isinstance(streams, dict) or len(streams) > STREAMS_MAX:
            raise BadParameters(f"streams must be an object of at most {STREAMS_MAX} streams")
        read = {}
        for name, after in streams.items():
            if isinstance(after, bool) or not isinstance(after, int) or not 0 <= after <= SEQUENCE_MAX:
                raise BadParameters(f"the sequence of stream {name[:80]!r} must be a JSON integer from 0 on")
            key = self.key(name)
            session.check_account(key.account)
            read[key] = after
        return read

    async def positions(self, accounts: Iterable[int]) -> Callable[[], dict[str, int]]:
        """Read where the accounts' streams stood; the result, called at once before joining them live,
        says where they stand. Raises CommandRefused (712) when the records are too far behind.
        """
        places = [(0, shard) for shard in self._began]
        places += [(listing.tranche, listing.shard) for listing in self._listings.all()]
        keys = [StreamKey(account, tranche, shard) for account in accounts for tranche, shard in places]
        for shard, before in self._began.items():
            await self._lag.until(shard, before)
        recorded = await self._last_recorded(keys)

        def now() -> dict[str, int]:
            last = ((key, self._fan_out.last.get(key) or recorded.get(key, 0)) for key in keys)
            return {self.name(key): sequence for key, sequence in last if sequence}

        return now

    async def _last_recorded(self, keys: list[StreamKey]) -> dict[StreamKey, int]:
        columns = [[key[field] for key in keys] for field in range(3)]
        before = [self._began.get(key.shard, 0) for key in keys]
        async with self._database.connection() as connection:
            rows = await connection.fetch(_LAST, *columns, before)
        return {
            StreamKey(row["account"], row["tranche"], row["shard"]): row["stream_sequence"] for row in rows
        }

    def hold(self, session: Session, streams: Mapping[StreamKey, int]) -> None:
        """Begin to replay streams to a session: from here on what comes live waits behind the replay.

        Each holds what comes live only when its turn has come, so a session holds one stream's at a time.
        """
        for key, after in streams.items():
            session.replays[key] = Replay(after, self._fan_out.passed.get(key.shard, 0))
            session.replays[key].drop()

    async def replay(self, session: Session, keys: Iterable[StreamKey], drained: Drained) -> None:
        """Send what the held streams missed, each until it is live, then ``replay_complete``."""
        last = {}
        for key in keys:
            replay = session.replays.get(key)
            if replay is not None:
                await self._replay_one(session, key, replay, drained)
                last[self.name(key)] = replay.last
        session.send(protocol.notification("replay_complete", {"streams": last}))

    async def _replay_one(self, session: Session, key: StreamKey, replay: Replay, drained: Drained) -> None:
        while session.replays.get(key) is replay:
            if replay.dropping:
                replay.hold_anew(self._fan_out.passed.get(key.shard, 0))
            recorded = await self._lag.recorded(key.shard)
            rows = await self._page(key, replay.last)
            for frame in replay.recorded(rows):
                session.send(frame)
            if len(rows) < PAGE_EVENTS:
                if replay.joined(recorded):
                    break
                await asyncio.sleep(POLL_S)
            await drained()
        if session.replays.get(key) is replay:
            del session.replays[key]
            for frame in replay.rest():
                session.send(frame)

    async def _page(self, key: StreamKey, after: int) -> list[tuple[int, bytes]]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(_PAGE, key.account, key.tranche, key.shard, after, PAGE_EVENTS)
        return [(row["stream_sequence"], self._frame(key, decode(row["record"]))) for row in rows]

    def _frame(self, key: StreamKey, record: Record) -> bytes:
        event = private_event(record, self._listings.get(key.tranche), key.shard)
        assert event is not None, "only private events are in streams"
        return protocol.notification("account.event", event[1])
