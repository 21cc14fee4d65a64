"""Link, server, service and journal together, against a real PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from engine.command import account_open
from engine.database import Database, apply_engine_schema
from engine.event_buffer import EventBuffer
from engine.journal import FencedError
from engine.postgres_journal import PostgresJournal
from engine.recovery import recover
from engine.shard_core import ShardCore
from engine.shard_link import LinkClosedError, LinkFullError, LinkOverError, LinkTiming, ShardLink
from engine.shard_server import ShardServer
from engine.shard_service import ShardService
from engine.source_secrets import PostgresSecrets
from engine.sources import new_incarnation
from ext.records import RecordError, decode_all, encode

FAST = LinkTiming(back_off_min=0.005, back_off_max=0.02)


@dataclass
class Incarnation:
    """A running incarnation of shard 1."""

    core: ShardCore
    service: ShardService
    server: ShardServer
    writing: asyncio.Task[None]

    async def end(self) -> None:
        """End without goodbye."""
        self.writing.cancel()
        await asyncio.wait([self.writing])
        await self.server.close()


@pytest.fixture
async def store(database: str) -> AsyncIterator[Database]:
    await apply_engine_schema(database)
    opened = await Database.open(database)
    yield opened
    await opened.close()


Begin = Callable[[], Awaitable[Incarnation]]


@pytest.fixture
async def begin(store: Database) -> AsyncIterator[Begin]:
    begun: list[tuple[Incarnation, PostgresJournal]] = []

    async def incarnation() -> Incarnation:
        journal = PostgresJournal(store, 1)
        lease = await journal.take_over()
        core = ShardCore(1)
        await recover(core, journal, lease)
        service = ShardService(core, journal, lease, events=EventBuffer(core.last_event))
        server = ShardServer(service, PostgresSecrets(store))
        address = await server.start("127.0.0.1")
        await journal.publish(lease.epoch, address)
        running = Incarnation(core, service, server, asyncio.create_task(service.run()))
        begun.append((running, journal))
        return running

    yield incarnation
    for running, journal in begun:
        await running.end()
        journal.close()


@pytest.fixture
async def link(store: Database) -> AsyncIterator[ShardLink]:
    opened = ShardLink(store, 1, *await new_incarnation(store.pool, "gateway-a"), timing=FAST)
    yield opened
    await opened.close()


def account(number: int) -> bytes:
    return encode(account_open(number, owner=1))


async def read_until(link: ShardLink, last_event: int) -> list[int]:
    """Read the accounts named by the events up to ``last_event``."""
    accounts: list[int] = []
    async for next_event, records in link.events():
        accounts += [record.header.account for record in decode_all(records)]
        if next_event > last_event:
            break
    return accounts


async def test_a_command_comes_back_as_an_event_once_it_is_durable(
    begin: Begin, link: ShardLink, store: Database
) -> None:
    await begin()
    await link.start(1)
    numbers = [link.send(account(number)) for number in (7, 8, 9)]
    assert numbers == [1, 2, 3]
    assert await read_until(link, 3) == [7, 8, 9]
    assert await store.pool.fetchval("select max(last_command) from engine.journal") == 3


async def test_what_a_dead_shard_had_not_made_durable_is_sent_again_and_applied_once(
    begin: Begin, link: ShardLink
) -> None:
    first = await begin()
    await link.start(1)
    link.send(account(1))
    await link.wait_confirmed(1)
    await first.end()
    link.send(account(2))
    link.send(account(3))
    second = await begin()
    assert await read_until(link, 3) == [1, 2, 3]
    assert second.core.source_number(link.source, link.incarnation) == 3
    assert link.epoch == 2


async def test_commands_given_before_any_shard_serves_are_kept(begin: Begin, link: ShardLink) -> None:
    await link.start(1)
    link.send(account(5))
    await begin()
    assert await read_until(link, 1) == [5]


async def test_an_older_incarnation_of_a_source_is_finished(
    begin: Begin, link: ShardLink, store: Database
) -> None:
    await begin()
    await link.start(1)
    link.send(account(1))
    await link.wait_confirmed(1)
    younger = ShardLink(store, 1, *await new_incarnation(store.pool, "gateway-a"), timing=FAST)
    await younger.start()
    younger.send(account(2))
    await younger.wait_confirmed(1)
    link.send(account(3))
    with pytest.raises(LinkOverError):
        await link.wait_confirmed(2)
    await younger.close()


async def test_a_replaced_incarnation_writes_nothing_and_ends(begin: Begin, store: Database) -> None:
    zombie = await begin()
    gateway = ShardLink(store, 1, *await new_incarnation(store.pool, "gateway-a"), timing=FAST)
    await gateway.start()
    await gateway.wait_connected()
    await begin()
    gateway.send(account(1))
    await gateway.wait_confirmed(1)
    with pytest.raises(FencedError):
        await zombie.writing
    rows = await store.pool.fetch("select epoch, last_command from engine.journal")
    assert [tuple(row) for row in rows] == [(2, 1)]
    await gateway.close()


async def test_unconfirmed_commands_are_bounded(store: Database) -> None:
    link = ShardLink(store, 1, 1, 1, unconfirmed_bytes_max=256, timing=FAST)
    await link.start()
    link.send(account(1))
    link.send(account(2))
    with pytest.raises(LinkFullError):
        link.send(account(3))
    await link.close()


async def test_cut_connections_neither_lose_nor_double_anything(begin: Begin, link: ShardLink) -> None:
    await begin()
    await link.start(1)
    chance = random.Random(7)

    async def send_and_cut() -> None:
        for number in range(1, 301):
            link.send(account(number))
            if chance.random() < 0.1 and link._writer is not None:
                link._writer.transport.abort()
            if chance.random() < 0.2:
                await asyncio.sleep(0)
            if chance.random() < 0.02:
                await link.wait_confirmed(number)

    sending = asyncio.create_task(send_and_cut())
    assert await read_until(link, 300) == list(range(1, 301))
    await sending


async def test_a_consumer_that_stopped_holds_a_bounded_part_and_misses_nothing(
    begin: Begin, link: ShardLink, store: Database
) -> None:
    await begin()
    slow = ShardLink(store, 1, pull_bytes=1000, timing=FAST)
    await slow.start(1)
    await link.start()
    for number in range(1, 1001):
        link.send(account(number))
    await link.wait_confirmed(1000)
    await slow.wait_connected()
    assert sum(len(records) for _, records in slow._pulled) <= 4 * 1000
    assert await read_until(slow, 1000) == list(range(1, 1001))
    await slow.close()


async def test_a_sender_goes_on_where_an_earlier_process_stopped(begin: Begin, store: Database) -> None:
    await begin()
    source, incarnation = await new_incarnation(store.pool, "keeper")
    for life in range(3):
        sender = ShardLink(store, 1, source, incarnation, resume=True, timing=FAST)
        await sender.start()
        await sender.wait_connected()
        assert sender.send(account(10 + life)) == life + 1
        await sender.wait_confirmed(life + 1)
        await sender.close()


async def test_a_closed_link_answers_nobody(link: ShardLink) -> None:
    await link.start(1)
    asked = asyncio.create_task(link.book(1))
    waiting = asyncio.create_task(link.wait_confirmed(1))
    await asyncio.sleep(0)
    await link.close()
    for answer in (asked, waiting):
        with pytest.raises(LinkClosedError):
            await answer
    with pytest.raises(LinkClosedError):
        link.send(account(1))
    assert [run async for run in link.events()] == []


async def test_what_is_no_command_is_refused_before_it_is_sent(link: ShardLink) -> None:
    for wrong in (b"", account(1)[:-1], account(1) * 2, b"\xff" * 64):
        with pytest.raises(RecordError):
            link.send(wrong)
    assert link.send(account(1)) == 1


async def test_a_book_is_answered_after_a_reconnection(begin: Begin, link: ShardLink) -> None:
    await link.start()
    asked = asyncio.create_task(link.book(1))
    await begin()
    book = await asked
    assert (book.tranche, book.levels) == (1, ())


async def test_a_secret_that_was_replaced_is_learnt_anew(
    begin: Begin, link: ShardLink, store: Database
) -> None:
    await begin()
    await link.start(1)
    await link.wait_connected()
    await store.pool.execute("update engine.source set secret = sha256('new')")
    assert link._writer is not None
    link._writer.transport.abort()
    link.send(account(4))
    assert await read_until(link, 1) == [4]


async def test_a_link_of_no_source_waits_until_there_is_one(begin: Begin, store: Database) -> None:
    await begin()
    link = ShardLink(store, 1, 77, 1, timing=FAST)
    await link.start(1)
    link.send(account(6))
    await store.pool.execute("insert into engine.source (source, name) values (77, 'late')")
    assert await read_until(link, 1) == [6]
    await link.close()
