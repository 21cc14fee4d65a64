"""The gateway's side of the shards: commands out, events in, and who gets what of them.

Answers come from the event stream only: the first event with our source, incarnation and number is the
answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

import structlog

from engine.database import Database
from engine.reasons import Reason
from engine.shard_link import LinkError, LinkFullError, ShardLink
from engine.sources import SourceIncarnation
from ext.records import Record, decode_all
from gateway.database_errors import DATABASE_ERRORS
from gateway.errors import CommandRefused, OverLimit
from gateway.fan_out import PRIVATE_RECORDS, FanOut
from gateway.listing import Listings
from gateway.market_data import PUBLIC_RECORDS, MarketData
from gateway.pending import RETRY_AFTER_MS, Pending, Waiter

log = structlog.get_logger()

EXPIRE_EVERY_S: Final = 0.25
LOOK_EVERY_S: Final = 0.5
_LAST_EVENT: Final = "select coalesce(max(last_event), 0) from engine.journal where shard = $1"


class ShardFeeds:
    """Links to all shards under one source and incarnation.

    ``learn`` refreshes the directory; it is called when an event names a tranche that is not known yet.
    ``on_link``, where set, is called with each shard as its link begins.
    """

    def __init__(
        self,
        database: Database,
        source: SourceIncarnation,
        pending: Pending,
        fan_out: FanOut,
        listings: Listings,
        learn: Callable[[], Awaitable[None]],
    ) -> None:
        self.on_link: Callable[[int], None] = _nothing
        self.began: dict[int, int] = {}
        self.market = MarketData(self._ask_book)
        self._database = database
        self._source = source
        self._pending = pending
        self._fan_out = fan_out
        self._listings = listings
        self._learn = learn
        self._links: dict[int, ShardLink] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._books_wanted: dict[int, list[int]] = {}

    @property
    def shards(self) -> list[int]:
        """The shards there are links to."""
        return list(self._links)

    async def run(self, shards: Callable[[], Iterable[int]]) -> None:
        """Follow every shard that ``shards`` names, new ones too, until cancelled.

        Raises:
            LinkOverError: Another gateway of this name was started; this one is finished.
        """
        following: set[asyncio.Task[None]] = set()
        try:
            while True:
                try:
                    await self.open(shards())
                except DATABASE_ERRORS as problem:
                    log.warning("shards cannot be looked up", error=repr(problem))
                known = {task.get_name() for task in following}
                for shard in self._links:
                    if str(shard) not in known:
                        following.add(asyncio.create_task(self._follow(shard), name=str(shard)))
                await _first_failure(following, LOOK_EVERY_S)
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)

    async def open(self, shards: Iterable[int]) -> None:
        """Begin links to shards that have none, their events from the first one not yet journalled."""
        for shard in shards:
            if shard not in self._links:
                async with self._database.connection() as connection:
                    last_event = await connection.fetchval(_LAST_EVENT, shard)
                link = ShardLink(self._database, shard, *self._source)
                await link.start(last_event + 1)
                self.began[shard] = self._fan_out.passed[shard] = last_event
                self._links[shard] = link
                self.on_link(shard)
                for tranche in self._books_wanted.pop(shard, ()):
                    self._ask_book(shard, tranche)

    async def close(self) -> None:
        """End all links."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await asyncio.gather(*(link.close() for link in self._links.values()))

    async def connected(self, shard: int) -> None:
        """Return when the shard answers. Raises LinkError when it never will."""
        await self._links[shard].wait_connected()

    def send(self, shard: int, record: bytes, side: bytes, waiter: Waiter) -> None:
        """Send a command; ``waiter`` gets its answer, or OutcomeUnknown.

        Raises:
            OverLimit: Too much is under way to the shard; nothing was sent.
            CommandRefused: There is no link to the shard (707): not yet, or not any more; nothing was sent.
        """
        self._pending.check_room(shard)
        link = self._links.get(shard)
        if link is None:
            raise _away(f"shard {shard} is not known here yet")
        try:
            number = link.send(record, side)
        except LinkFullError as problem:
            raise OverLimit(str(problem), retry_after_ms=RETRY_AFTER_MS) from None
        except LinkError as problem:
            raise _away(str(problem)) from None
        self._pending.add(shard, number, waiter, asyncio.get_running_loop().time())

    async def _follow(self, shard: int) -> None:
        async for next_event, events in self._links[shard].events():
            records = list(decode_all(events))
            if any(self._is_new(record) for record in records):
                await self._learn_surely()
            self.take(shard, next_event, records)

    async def _learn_surely(self) -> None:
        while True:
            try:
                await self._learn()
            except DATABASE_ERRORS as problem:
                log.warning("a new tranche cannot be looked up", error=repr(problem))
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                return

    async def expire(self) -> None:
        """Tell those who waited too long, for ever."""
        while True:
            await asyncio.sleep(EXPIRE_EVERY_S)
            overdue = self._pending.expire(asyncio.get_running_loop().time())
            if overdue:
                log.warning("no answer in time", commands=overdue)

    def take(self, shard: int, next_event: int, records: list[Record]) -> None:
        """Deliver a run of events."""
        source, incarnation = self._source
        pending, fan_out, market = self._pending, self._fan_out, self.market
        for record in records:
            head = record.header
            if head.source == source and head.incarnation == incarnation:
                pending.answered(shard, head.number, record)
            if isinstance(record, PUBLIC_RECORDS):
                market.take(record)
            elif isinstance(record, PRIVATE_RECORDS):
                fan_out.take(shard, record)
        fan_out.passed[shard] = next_event - 1
        market.flush()

    def _is_new(self, record: Record) -> bool:
        tranche = record.header.tranche
        return tranche != 0 and self._listings.get(tranche) is None

    def _ask_book(self, shard: int, tranche: int) -> None:
        if shard not in self._links:
            self._books_wanted.setdefault(shard, []).append(tranche)
            return
        task = asyncio.create_task(self._bring_book(shard, tranche))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _bring_book(self, shard: int, tranche: int) -> None:
        with suppress(LinkError):
            self.market.begin(await self._links[shard].book(tranche))


def _nothing(shard: int) -> None:
    """Do nothing about a new link."""


def _away(why: str) -> CommandRefused:
    return CommandRefused(why, Reason.SHARD_UNAVAILABLE, retry_after_ms=RETRY_AFTER_MS)


async def _first_failure(tasks: set[asyncio.Task[None]], within_s: float) -> None:
    """Wait a while; raise what the first of the tasks that failed raised."""
    if not tasks:
        await asyncio.sleep(within_s)
        return
    done, _ = await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
