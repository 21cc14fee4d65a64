"""Tests of outbox senders, waiting for answers and the whole ledger process, against served shards."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from engine.administration import Administration
from engine.answer import wait_for
from engine.cash_keeper import credit_deposit
from engine.cash_statement import cash_statement
from engine.command import account_open
from engine.command_outbox import enqueue, outbox_source
from engine.database import Database
from engine.event_buffer import EventBuffer
from engine.ledger_process import LedgerConfig, run_ledger
from engine.outbox_sender import OutboxSender, send_outboxes
from engine.postgres_journal import PostgresJournal
from engine.recovery import recover
from engine.settlement_facts import SettlementFacts
from engine.shard_core import ShardCore
from engine.shard_server import ShardServer
from engine.shard_service import ShardService
from engine.signed_order import Domain
from engine.source_secrets import PostgresSecrets
from ext.records import Applied, Kind, Phase, PhaseChanged, Refused, Sourced, encode

ADDRESS = b"\xaa" * 20


class ServedShard:
    """A shard that serves on a socket, in this process."""

    def __init__(self, database: Database, shard: int) -> None:
        self._database = database
        self._journal = PostgresJournal(database, shard)
        self.shard = shard

    async def begin(self) -> None:
        lease = await self._journal.take_over()
        self.core = ShardCore(self.shard)
        await recover(self.core, self._journal, lease)
        service = ShardService(self.core, self._journal, lease, events=EventBuffer(self.core.last_event))
        self._server = ShardServer(service, PostgresSecrets(self._database))
        await self._journal.publish(lease.epoch, await self._server.start("127.0.0.1"))
        self._writing = asyncio.create_task(service.run())

    async def end(self) -> None:
        """End without goodbye."""
        self._writing.cancel()
        await asyncio.wait([self._writing])
        await self._server.close()
        self._journal.close()


Serve = Callable[[int], Awaitable[ServedShard]]


@pytest.fixture
async def serve(meeting_place: Database) -> AsyncIterator[Serve]:
    """Begin shards that serve."""
    served: list[ServedShard] = []

    async def begin(shard: int) -> ServedShard:
        served.append(ServedShard(meeting_place, shard))
        await served[-1].begin()
        return served[-1]

    yield begin
    for shard in served:
        await shard.end()


@pytest.fixture
async def background() -> AsyncIterator[Callable[[Any], asyncio.Task[Any]]]:
    """Run coroutines beside a test and end them with it."""
    tasks: list[asyncio.Task[Any]] = []

    def run(work: Any) -> asyncio.Task[Any]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    yield run
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _enqueue_accounts(connection: asyncpg.Connection, shard: int, accounts: range) -> int:
    async with connection.transaction():
        source = await outbox_source(connection, "administration")
        commands = [Sourced(encode(account_open(account, account))) for account in accounts]
        await enqueue(connection, source, shard, commands, cause="", actor="")
    return source


async def _journalled(connection: asyncpg.Connection, command: int) -> None:
    """Wait until a command is in the journal."""
    while (await connection.fetchval("select max(last_command) from engine.journal") or 0) < command:
        await connection.execute("select pg_sleep(0.005)")


async def test_a_sender_sends_what_is_there_and_what_comes(
    serve: Serve, meeting_place: Database, connection: asyncpg.Connection, background: Any
) -> None:
    source = await _enqueue_accounts(connection, 1, range(1, 4))
    shard = await serve(1)
    background(send_outboxes(meeting_place, ["administration"], [1]))
    await _journalled(connection, 3)
    await _enqueue_accounts(connection, 1, range(4, 400))
    await _journalled(connection, 399)
    assert shard.core.source_number(source, 1) == 399


async def test_senders_that_start_again_or_twice_send_nothing_twice(
    serve: Serve, meeting_place: Database, connection: asyncpg.Connection, background: Any
) -> None:
    shard = await serve(1)
    source = await _enqueue_accounts(connection, 1, range(1, 300))
    first = background(OutboxSender(meeting_place, source, 1).run())
    background(OutboxSender(meeting_place, source, 1).run())
    await _journalled(connection, 299)
    first.cancel()
    await asyncio.wait([first])
    sender = OutboxSender(meeting_place, source, 1)
    background(sender.run())
    await _enqueue_accounts(connection, 1, range(300, 400))
    sender.wake()
    await _journalled(connection, 399)
    assert shard.core.last_command == 399


async def test_a_shard_that_dies_gets_the_rest_when_it_is_back(
    meeting_place: Database, connection: asyncpg.Connection, background: Any
) -> None:
    shard = ServedShard(meeting_place, 1)
    await shard.begin()
    background(send_outboxes(meeting_place, ["administration"], [1]))
    await _enqueue_accounts(connection, 1, range(1, 50))
    await shard.end()
    await _enqueue_accounts(connection, 1, range(50, 100))
    await shard.begin()
    await _journalled(connection, 99)
    assert shard.core.last_command == 99
    await shard.end()


async def test_an_answer_is_waited_for_and_told_whole(
    serve: Serve, meeting_place: Database, background: Any
) -> None:
    await serve(1)
    administration = Administration(meeting_place)
    background(send_outboxes(meeting_place, ["administration"], [1]))
    opened = await administration.open_account(ADDRESS, actor="ann")
    (answer,) = await administration.wait_for(opened.sent[0])
    assert isinstance(answer, Applied)
    assert (answer.command_kind, answer.header.account) == (Kind.ACCOUNT_OPEN, opened.account)
    listed = await administration.list_tranche(_DOCUMENT, SettlementFacts(31337, b"\x33" * 20), actor="ann")
    assert listed.sent is not None
    assert isinstance((await administration.wait_for(listed.sent))[0], Applied)
    applied, changed = await administration.wait_for(
        await administration.set_phase("SOLAR-A", Phase.CALL, actor="ann")
    )
    assert isinstance(applied, Applied)
    assert isinstance(changed, PhaseChanged)
    (refused,) = await administration.wait_for(
        await administration.set_phase("SOLAR-A", Phase.CALL, actor="ann")
    )
    assert isinstance(refused, Refused)


async def test_an_answer_that_does_not_come_is_a_timeout(
    meeting_place: Database, connection: asyncpg.Connection
) -> None:
    await connection.execute("insert into engine.lease (shard) values (1)")
    opened = await Administration(meeting_place).open_account(ADDRESS, actor="ann")
    with pytest.raises(TimeoutError):
        await wait_for(connection, opened.sent[0], timeout_seconds=0.01)


async def test_the_ledger_process_carries_a_deposit_into_every_shard_and_shows_it(
    serve: Serve, engine_database: str, meeting_place: Database, connection: asyncpg.Connection
) -> None:
    config = LedgerConfig(engine_database, (0, 1), Domain(31337, b"\xd0" * 20), b"\x0e" * 32)
    stop = asyncio.Event()
    ledger = asyncio.create_task(run_ledger(config, stop))
    for shard in (0, 1):
        await serve(shard)
    administration = Administration(meeting_place)
    opened = await administration.open_account(ADDRESS, actor="ann")
    for sent in opened.sent:
        await administration.wait_for(sent)
    async with connection.transaction():
        await credit_deposit(connection, opened.account, 1, 101)
    while not (statement := await cash_statement(connection, 1)).decided or statement.held_minor != 101:
        await connection.execute("select pg_sleep(0.01)")
    assert statement.balanced
    balances = await connection.fetch("select shard, free from engine.balance order by shard")
    assert [tuple(balance) for balance in balances] == [(0, 51), (1, 50)]
    stop.set()
    await ledger


async def test_the_ledger_process_begins_anew_when_the_database_cuts_it_off(
    serve: Serve, engine_database: str, meeting_place: Database, connection: asyncpg.Connection
) -> None:
    config = LedgerConfig(engine_database, (0,), Domain(31337, b"\xd0" * 20), b"\x0e" * 32)
    stop = asyncio.Event()
    ledger = asyncio.create_task(run_ledger(config, stop))
    await serve(0)
    administration = Administration(meeting_place)
    await administration.wait_for((await administration.open_account(ADDRESS, actor="ann")).sent[0])
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name in ('abst-ledger', 'abst-outbox', 'abst-listener')"
        " and datname = current_database()"
    )
    opened = await administration.open_account(b"\xbb" * 20, actor="ann")
    answer = asyncio.ensure_future(administration.wait_for(opened.sent[0]))
    await asyncio.wait([answer, ledger], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await ledger
    assert isinstance((await answer)[0], Applied)


_DOCUMENT = {
    "symbol": "SOLAR-A",
    "filing": {"number": "2026-017", "date": "2026-02-06", "authority": "Registrar"},
    "offering_document_sha256": "ab" * 32,
    "issuer": "Solar Receivables 2026-1",
    "chain_id": 31337,
    "token": "0x" + "11" * 20,
    "registry": "0x" + "22" * 20,
    "cash_token": "0x" + "33" * 20,
    "tick_size": "0.0025",
    "price_min": "50",
    "price_max": "150",
    "quantity_max": "1000000",
    "face_per_lot_minor": "100000",
    "terms": {"id": 1, "factor": "1", "accrued_per_lot": "0", "value_date": "2026-03-31"},
}
