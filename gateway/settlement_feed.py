"""Following settlement: every step of an instruction, told to the two parties as ``settlement.event``.

Numbers of ``settlement.transition`` are drawn before their transactions commit, so a lower one may appear
after a higher: a number that is missing is waited for a while before it is taken for rolled back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from engine.database import Database, connect
from gateway import protocol
from gateway.fan_out import FanOut
from gateway.listing import Listings

CHANNEL: Final = "settlement_transition"
POLL_S: Final = 1.0
MISSING_S: Final = 10.0
PAGE_ROWS: Final = 2_000

_LAST: Final = "select coalesce(max(transition), 0) from settlement.transition"
_PAGE: Final = """
select t.transition, t.subject, t.tranche, t.fill_number, t.batch, t.status, t.reason,
       f.buy_account, f.sell_account, b.transaction_hash, b.block_number
from settlement.transition t
left join engine.fill f on f.tranche = t.tranche and f.fill_number = t.fill_number
left join settlement.batch b on b.batch = t.batch
where t.transition > $1 and t.transition <> all($2::bigint[])
order by t.transition limit $3"""


class NumberTrack:
    """Which numbers of a sequence with late-comers were handled. No clock: the caller says what time it
    is.
    """

    def __init__(self, low: int) -> None:
        self.low = low
        self.above: set[int] = set()
        self._stuck_since_s: float | None = None

    def handled(self, number: int) -> None:
        """Note a number; ``low`` rises over all that are handled without a gap."""
        self.above.add(number)
        self._rise()

    def give_up(self, now_s: float, after_s: float) -> None:
        """Pass over a gap that has been there for ``after_s``."""
        if not self.above:
            self._stuck_since_s = None
        elif self._stuck_since_s is None:
            self._stuck_since_s = now_s
        elif now_s - self._stuck_since_s >= after_s:
            self.low = min(self.above) - 1
            self._rise()

    def _rise(self) -> None:
        while self.low + 1 in self.above:
            self.low += 1
            self.above.discard(self.low)
            self._stuck_since_s = None


class SettlementFeed:
    """Tells the parties how their fills settle."""

    def __init__(self, database: Database, fan_out: FanOut, listings: Listings) -> None:
        self._database = database
        self._fan_out = fan_out
        self._listings = listings
        self._track: NumberTrack | None = None
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Follow from now on, until cancelled. Raises what asyncpg raises when the database goes away; run
        again, it goes on where it was."""
        listener = await connect(self._database.dsn, name="abst-gateway-settlement")
        try:
            await listener.add_listener(CHANNEL, lambda *_: self._woken.set())
            if self._track is None:
                self._track = NumberTrack(await listener.fetchval(_LAST))
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._woken.wait()
                self._woken.clear()
                await self._tell_new(self._track)
        finally:
            listener.terminate()

    async def _tell_new(self, track: NumberTrack) -> None:
        more = True
        while more:
            async with self._database.connection() as connection:
                rows = await connection.fetch(_PAGE, track.low, list(track.above), PAGE_ROWS)
            for row in rows:
                track.handled(row["transition"])
                if row["subject"] == "instruction":
                    self._tell(row)
            more = len(rows) == PAGE_ROWS
        track.give_up(asyncio.get_running_loop().time(), MISSING_S)

    def _tell(self, row: Any) -> None:
        parties = {row["buy_account"], row["sell_account"]} - {None}
        sessions = {session for account in parties for session in self._fan_out.sessions(account)}
        listing = self._listings.get(row["tranche"])
        if not sessions or listing is None:
            return
        event = {
            "symbol": listing.symbol,
            "fill_number": row["fill_number"],
            "status": row["status"],
            "batch": row["batch"],
        }
        if row["transaction_hash"] is not None:
            event["transaction_hash"] = "0x" + row["transaction_hash"].hex()
        if row["block_number"] is not None:
            event["block_number"] = row["block_number"]
        if row["reason"]:
            event["reason"] = row["reason"]
        frame = protocol.notification("settlement.event", event)
        for session in sessions:
            session.send(frame)
