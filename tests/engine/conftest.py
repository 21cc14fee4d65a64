"""Fixtures of the engine's tests: a database with the engine's tables, and shards that journal into it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from engine.command import (
    account_open,
    cash_allot,
    eligibility_set,
    numbered,
    phase_set,
    place,
    stamped,
    tokens_adjust,
    tranche_list,
)  # fmt: skip
from engine.command_outbox import commands_above
from engine.database import Database, apply_engine_schema
from engine.frames import side_block
from engine.journal import JournalRow, row_hash
from engine.money import Terms
from engine.postgres_journal import PostgresJournal
from engine.shard_core import ShardCore
from ext.records import Phase, Record, Side, Sourced, decode, decode_all, encode

START_NS = 1_780_000_000_000_000_000
TEST_SOURCE = 900


class JournalledShard:
    """A real shard core over a real journal, one row for each :meth:`apply`."""

    def __init__(self, journal: PostgresJournal, shard: int) -> None:
        self.shard = shard
        self.core = ShardCore(shard)
        self._journal = journal
        self._nonces = 0

    async def start(self) -> None:
        """Take the lease of a shard that is new."""
        self._lease = await self._journal.take_over()
        self._row, self._hash = self._lease.last_row, self._lease.last_hash

    async def apply(self, *commands: Record | Sourced) -> list[Record]:
        """Number commands that have no source yet, stamp them, apply them, journal them; returns their
        events.
        """
        sequence = self.core.last_command
        last = self.core.source_number(TEST_SOURCE, 1) or 0
        sourced = [
            command if isinstance(command, Sourced) else Sourced(encode(command)) for command in commands
        ]
        records = []
        for command in sourced:
            record = decode(command.record)
            if not record.header.source:
                last += 1
                record = numbered(record, TEST_SOURCE, 1, last)
            sequence += 1
            time_ns = START_NS + sequence * 1_000_000
            records.append(encode(stamped(record, sequence, time_ns)))
        first_command, first_event = self.core.last_command + 1, self.core.last_event + 1
        events = self.core.apply(b"".join(records))
        await self._append(
            first_command, first_event, b"".join(records), side_block(c.side for c in sourced), events
        )
        return list(decode_all(events))

    async def take_outbox(self, connection: asyncpg.Connection, source: int) -> list[Record]:
        """Apply what a source has for this shard in its outbox and was not applied yet."""
        last = self.core.source_number(source, 1) or 0
        commands = await commands_above(connection, source, self.shard, last, 1000)
        return await self.apply(*commands) if commands else []

    async def open_market(
        self, tranche: int, accounts: list[int], *, cash: int = 10**12, lots: int = 10**6
    ) -> None:
        """List a tranche, go continuous, and open, admit and fund accounts."""
        terms = Terms(1, 2_500_000_000, 10**9, 0, 20260331)
        listing = tranche_list(
            tranche, terms, document=b"{}", price_min_ticks=1, price_max_ticks=100_000, quantity_max_lots=10**6,
            maker_fee_e6=10, taker_fee_e6=20,
        )  # fmt: skip
        commands: list[Record | Sourced] = [
            Sourced(encode(listing), b"{}"),
            phase_set(tranche, Phase.CONTINUOUS),
        ]
        for account in accounts:
            commands.append(account_open(account, account))
            commands.append(eligibility_set(account, tranche, eligible=True, country=344))
            if cash:
                commands.append(cash_allot(account, cash, transfer=0))
            commands.append(tokens_adjust(account, tranche, lots))
        await self.apply(*commands)

    def order(self, account: int, tranche: int, side: int, price: int, lots: int, **fields: Any) -> Record:
        """An order like any other, not signed."""
        self._nonces += 1
        values: dict[str, Any] = {
            "side": side, "price_ticks": price, "quantity_lots": lots, "nonce": tranche << 40 | self._nonces,
            "valid_until_ns": START_NS * 2, "cash_limit_minor": 10**6 if side == Side.BUY else 0, "fee_limit_minor": 10**9,
        }  # fmt: skip
        return place(account, tranche, f"order-{self._nonces}", **(values | fields))

    async def _append(
        self, first_command: int, first_event: int, commands: bytes, side: bytes, events: bytes
    ) -> None:
        self._row += 1
        chained = row_hash(self._hash, self.shard, self._row, self._lease.epoch, commands, side, events)
        row = JournalRow(
            self.shard, self._row, self._lease.epoch, first_command, self.core.last_command, first_event,
            self.core.last_event, commands, side, events, self._hash, chained,
        )  # fmt: skip
        await self._journal.append(row)
        self._hash = chained


@pytest.fixture
async def engine_database(database: str) -> str:
    """DSN of a fresh database with the engine's tables in it."""
    await apply_engine_schema(database)
    return database


@pytest.fixture
async def connection(engine_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to ``engine_database``."""
    connection = await asyncpg.connect(engine_database)
    yield connection
    connection.terminate()


@pytest.fixture
async def meeting_place(engine_database: str) -> AsyncIterator[Database]:
    """``engine_database`` as a pool."""
    database = await Database.open(engine_database)
    yield database
    await database.close()


@pytest.fixture
async def start_shard(meeting_place: Database) -> AsyncIterator[Callable[[int], Awaitable[JournalledShard]]]:
    """Start shards that journal into ``meeting_place``."""
    journals: list[PostgresJournal] = []

    async def start(shard: int) -> JournalledShard:
        journals.append(PostgresJournal(meeting_place, shard))
        started = JournalledShard(journals[-1], shard)
        await started.start()
        return started

    yield start
    for journal in journals:
        journal.close()
