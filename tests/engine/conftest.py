"""Fixtures of the engine's tests: a database with the engine's tables, and shards that journal into it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import pytest

from engine.command import (
    account_open,
    cancel,
    cash_allot,
    eligibility_set,
    numbered,
    phase_set,
    place,
    replace,
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
from ext.naive_order_book import NaiveOrderBook
from ext.order_book import OrderBook
from ext.records import (
    Balance,
    ExecType,
    ExecutionReport,
    OrderFlag,
    OrderPlace,
    Phase,
    Record,
    Side,
    Sourced,
    Trade,
    client_text,
    decode,
    decode_all,
    encode,
    side_digest,
)

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
            bound = record.header._replace(side_digest=side_digest(command.side))
            records.append(encode(stamped(record._replace(header=bound), sequence, time_ns)))
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
            tranche, terms, document=b"{}", price_min_ticks=1, price_max_ticks=100_000,
            quantity_max_lots=10**6, maker_fee_e6=10, taker_fee_e6=20,
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
            "valid_until_ns": START_NS * 2, "cash_limit_minor": 10**6 if side == Side.BUY else 0,
            "fee_limit_minor": 10**9, "flags": OrderFlag.STANDING,
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


class Market:
    """A shard under test, spoken to in trading words.

    Every command goes through a core with the fast book and one with the naive book, which must agree;
    invariants and the density of every stream are checked after each. :meth:`replay` proves the rest.
    """

    SHARD = 3
    SOURCE = 7
    TRANCHE = 1

    def __init__(self) -> None:
        self.core = ShardCore(self.SHARD, OrderBook)
        self.twin = ShardCore(self.SHARD, NaiveOrderBook)
        self.now_ns = 1_000
        self.accounts: dict[str, int] = {}
        self.nonces: dict[tuple[int, int], int] = {}
        self.placed: dict[tuple[int, int, str], OrderPlace] = {}
        self.balances: dict[tuple[int, int], tuple[int, int, int]] = {}
        self.elsewhere: dict[tuple[int, int], int] = {}
        self.streams: dict[tuple[int, int], int] = {}
        self.commands: list[bytes] = []
        self.outputs: list[bytes] = []
        self.last: list[Any] = []

    # -- sending

    def send(self, command: Any, **header: int) -> list[Any]:
        """Number, stamp and apply a command, its header changed by ``header``; return its events."""
        number = (self.core.source_number(self.SOURCE, 1) or 0) + 1
        command = stamped(numbered(command, self.SOURCE, 1, number), self.core.last_command + 1, self.now_ns)
        self.now_ns += 1
        return self.send_raw(encode(command._replace(header=command.header._replace(**header))))

    def send_raw(self, record: bytes) -> list[Any]:
        """Apply a stamped record; return its events."""
        before = self.core.last_event
        events = self.core.apply(record)
        assert self.twin.apply(record) == events
        self.commands.append(record)
        self.outputs.append(events)
        self.last = list(decode_all(events))
        numbers = [event.header.sequence for event in self.last]
        assert numbers == list(range(before + 1, self.core.last_event + 1))
        self._follow()
        self.core._check()
        return self.last

    def _follow(self) -> None:
        for event in self.last:
            account, tranche = event.header.account, event.header.tranche
            if isinstance(event, Balance):
                self.balances[account, tranche] = (event.free, event.earmarked, event.in_settlement)
                self.elsewhere[account, tranche] = event.elsewhere
            if getattr(event, "stream_sequence", 0):
                self._expect_next((account, tranche), event.stream_sequence)
            if getattr(event, "book_sequence", 0):
                self._expect_next((0, tranche), event.book_sequence)

    def _expect_next(self, stream: tuple[int, int], sequence: int) -> None:
        assert sequence == self.streams.get(stream, 0) + 1
        self.streams[stream] = sequence

    # -- setting up

    def open_tranche(self, tranche: int = TRANCHE, phase: int | None = Phase.CONTINUOUS, **rules: Any) -> Any:
        """List a tranche, one tick worth one minor unit unless ``rules`` say else, and open it."""
        terms = rules.pop("terms", Terms(1, 10**9, 10**9, 0, 20261122))
        bounds = {"price_min_ticks": 1, "price_max_ticks": 1_000, "quantity_max_lots": 10_000}
        answer = self.send(tranche_list(tranche, terms, document=b"{}", **(bounds | rules)))
        if phase is not None:
            self.send(phase_set(tranche, phase))
        return self.answer_of(answer)

    def investor(self, name: str, *, cash: int = 0, lots: int = 0, tranche: int = TRANCHE) -> int:
        """Make an eligible account with free cash and lots; one that is known only gets them added."""
        if name not in self.accounts:
            self.accounts[name] = len(self.accounts) + 11
            self.send(account_open(self.accounts[name], owner=self.accounts[name] + 100))
        account = self.accounts[name]
        self.send(eligibility_set(account, tranche, eligible=True, country=344))
        if cash:
            self.send(cash_allot(account, cash, transfer=1))
        if lots:
            self.send(tokens_adjust(account, tranche, lots))
        return account

    # -- trading

    def order(self, name: str, side: int, lots: int, at: int, id: str = "", **fields: Any) -> OrderPlace:
        """A good new order, ``fields`` changed."""
        account, tranche = self.accounts.get(name, 0), fields.pop("tranche", self.TRANCHE)
        nonce = self.nonces.get((account, tranche), tranche << 40) + 1
        good = {
            "side": side,
            "price_ticks": at,
            "quantity_lots": lots,
            "nonce": nonce,
            "valid_until_ns": 2**62,
            "cash_limit_minor": 2**40 if side == Side.BUY else 0,
            "fee_limit_minor": 2**40,
            "flags": OrderFlag.STANDING,
        }
        return place(account, tranche, id or f"{name}-{nonce & 0xFFFF}", **(good | fields))

    def buy(self, name: str, lots: int, at: int, id: str = "", **fields: Any) -> Any:
        """Place a buy; return the answer."""
        return self.place(self.order(name, Side.BUY, lots, at, id, **fields))

    def sell(self, name: str, lots: int, at: int, id: str = "", **fields: Any) -> Any:
        """Place a sell; return the answer."""
        return self.place(self.order(name, Side.SELL, lots, at, id, **fields))

    def place(self, order: OrderPlace) -> Any:
        """Place an order; return the answer."""
        answer = self.answer_of(self.send(order))
        if isinstance(answer, ExecutionReport) and answer.exec_type == ExecType.NEW:
            key = (order.header.account, order.header.tranche)
            self.nonces[key] = order.nonce
            self.placed[(*key, client_text(order.client_order_id))] = order
        return answer

    def replace(self, name: str, original: str, id: str, *, revision: int = 2, **changes: Any) -> Any:
        """Replace the order placed under ``original``; return the answer."""
        tranche = changes.pop("tranche", self.TRANCHE)
        placed = self.placed[self.accounts[name], tranche, original]
        command = replace(placed, id, revision=revision, original_client_order_id=original, **changes)
        return self.answer_of(self.send(command))

    def cancel(self, name: str, original: str, id: str, **fields: Any) -> Any:
        """Cancel the order placed under ``original``; return the answer."""
        tranche = fields.pop("tranche", self.TRANCHE)
        named = {"original_client_order_id": original} | fields
        return self.answer_of(self.send(cancel(self.accounts[name], tranche, id, **named)))

    def phase(self, phase: int, tranche: int = TRANCHE) -> Any:
        """Change the phase; return the answer."""
        return self.answer_of(self.send(phase_set(tranche, phase)))

    # -- looking

    def answer_of(self, events: list[Any]) -> Any:
        """The first event that names the command."""
        return next(event for event in events if event.header.source == self.SOURCE)

    def of(self, kind: type[Any]) -> list[Any]:
        """The last command's events of a kind."""
        return [event for event in self.last if type(event) is kind]

    def fills(self) -> list[tuple[int, int]]:
        """(lots, price) of each trade of the last command."""
        return [(trade.quantity_lots, trade.price_ticks) for trade in self.of(Trade)]

    def cash(self, name: str) -> tuple[int, int, int]:
        """Free, earmarked, in settlement, as last told."""
        return self.balances.get((self.accounts[name], 0), (0, 0, 0))

    def lots(self, name: str, tranche: int = TRANCHE) -> tuple[int, int, int]:
        """Free, earmarked, in settlement, as last told."""
        return self.balances.get((self.accounts[name], tranche), (0, 0, 0))

    def owed(self, name: str, tranche: int = TRANCHE) -> int:
        """Lots owed, as last told."""
        return self.elsewhere.get((self.accounts[name], tranche), 0)

    def book(self, tranche: int = TRANCHE) -> list[tuple[int, int, int]]:
        """(side, price, lots) of each level."""
        return [level[:3] for level in self.core.book_levels(tranche)]

    # -- proving

    def replay(self, restore_at: int) -> None:
        """Replay everything in one batch, and from a snapshot taken after ``restore_at`` commands."""
        whole = ShardCore(self.SHARD)
        assert whole.apply(b"".join(self.commands)) == b"".join(self.outputs)
        assert whole.digest() == self.core.digest() == self.twin.digest()
        assert whole.snapshot() == self.core.snapshot() == self.twin.snapshot()
        first = ShardCore(self.SHARD, NaiveOrderBook)
        first.apply(b"".join(self.commands[:restore_at]))
        second = ShardCore.restore(first.snapshot(), OrderBook)
        second._check()
        assert second.digest() == first.digest()
        assert second.apply(b"".join(self.commands[restore_at:])) == b"".join(self.outputs[restore_at:])
        assert second.snapshot() == self.core.snapshot()
        second._check()


@pytest.fixture
def new_market() -> type[Market]:
    """Makes shards under test."""
    return Market


@pytest.fixture
def market() -> Iterator[Market]:
    """A shard under test; what a test did to it must replay, and restore half way."""
    market = Market()
    yield market
    market.replay(len(market.commands) // 2)
