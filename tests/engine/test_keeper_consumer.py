"""Tests of the cash keeper with real shards: cash reaches the order that wants it, and none is ever lost."""

import random
from typing import Any

import asyncpg
import pytest

from engine.cash_keeper import SOURCE_NAME, allot_idle, credit_deposit, keeper_position, tell_elsewhere
from engine.cash_statement import CashStatement, cash_statement
from engine.command import account_open, settlement_failed, settlement_final
from engine.command_outbox import outbox_source
from engine.keeper_consumer import KeeperConsumer
from engine.postgres_projector import PostgresProjector
from engine.reasons import Reason
from ext.records import Refused, Side, Trade

ANN, BEN, CYD = 1, 2, 3
CASH = 1
TRANCHES = {0: 10, 1: 11}
LOT_MINOR = 100_020
"""Cost of a lot at 40,000 ticks with the largest fee."""


class Venue:
    """Two shards with a tranche each, no cash in them, and the ledger's work done by hand."""

    def __init__(self, database: Any, connection: asyncpg.Connection, shards: list[Any]) -> None:
        self.database = database
        self.connection = connection
        self.shards = shards
        self.consumers = [KeeperConsumer(database, shard.shard) for shard in shards]
        self.unsettled: dict[int, list[int]] = {0: [], 1: []}

    async def deposit(self, account: int, amount: int) -> None:
        async with self.connection.transaction():
            await credit_deposit(self.connection, account, CASH, amount)

    async def deliver(self, shard: int) -> None:
        """Send the keeper's outbox to a shard."""
        source = await outbox_source(self.connection, SOURCE_NAME)
        await self.shards[shard].take_outbox(self.connection, source)

    async def project(self, shard: int) -> None:
        while await PostgresProjector(self.database, shard).step():
            pass

    async def consume(self, shard: int) -> None:
        while await self.consumers[shard].step():
            pass
        await self.consumers[shard].save()

    async def tidy(self) -> None:
        async with self.connection.transaction():
            await allot_idle(self.connection)
            await tell_elsewhere(self.connection)

    async def restart_consumer(self, shard: int) -> None:
        """Lose what the consumer holds in memory."""
        self.consumers[shard] = KeeperConsumer(self.database, shard)

    async def trade(self, shard: int, account: int, side: int, lots: int, price: int = 40_000) -> list[Any]:
        events: list[Any] = await self.shards[shard].apply(
            self.shards[shard].order(account, TRANCHES[shard], side, price, lots)
        )
        self.unsettled[shard] += [event.fill_number for event in events if isinstance(event, Trade)]
        return events

    async def settle(self, shard: int, *, failed: bool = False) -> None:
        decide = settlement_failed if failed else settlement_final
        for number in self.unsettled[shard]:
            await self.shards[shard].apply(decide(TRANCHES[shard], number))
        self.unsettled[shard].clear()

    async def round(self) -> None:
        """Let everything run once."""
        for shard in (0, 1):
            await self.deliver(shard)
            await self.project(shard)
            await self.consume(shard)
        await self.tidy()

    async def quiet(self) -> CashStatement:
        """Run until nothing is on its way; returns where all cash is then."""
        for _ in range(12):
            await self.round()
        statement = await cash_statement(self.connection, CASH)
        assert statement.decided
        assert statement.in_transit_minor == 0
        return statement


@pytest.fixture
async def venue(start_shard: Any, meeting_place: Any, connection: asyncpg.Connection) -> Venue:
    """A venue of two shards where three accounts have tokens but no cash."""
    shards = [await start_shard(number) for number in (0, 1)]
    for shard in shards:
        await shard.open_market(TRANCHES[shard.shard], [ANN, BEN, CYD], cash=0)
        await connection.execute(
            "insert into engine.tranche (tranche, symbol, shard, document)"
            " values ($1, $2, $3, '{}')",
            TRANCHES[shard.shard], f"T{shard.shard}", shard.shard,
        )  # fmt: skip
    return Venue(meeting_place, connection, shards)


async def test_an_order_refused_for_funds_elsewhere_passes_after_the_keeper_moved_them(venue: Venue) -> None:
    await venue.deposit(ANN, 20 * LOT_MINOR)
    await venue.quiet()
    refused = (await venue.trade(0, ANN, Side.BUY, 15))[0]
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.FUNDS_ELSEWHERE
    await venue.quiet()
    accepted = (await venue.trade(0, ANN, Side.BUY, 15))[0]
    assert not isinstance(accepted, Refused)
    assert (await venue.quiet()).balanced


async def test_a_sale_in_one_shard_pays_for_an_order_in_the_other(venue: Venue) -> None:
    await venue.deposit(ANN, 40 * LOT_MINOR)
    await venue.quiet()
    await venue.trade(0, BEN, Side.SELL, 10)
    await venue.trade(0, ANN, Side.BUY, 10)
    await venue.settle(0)
    await venue.quiet()
    assert isinstance((await venue.trade(1, BEN, Side.BUY, 5))[0], Refused)
    await venue.quiet()
    assert not isinstance((await venue.trade(1, BEN, Side.BUY, 5))[0], Refused)
    statement = await venue.quiet()
    assert statement.fees_minor > 0
    assert statement.balanced


async def test_what_is_earmarked_elsewhere_stays_there(venue: Venue) -> None:
    await venue.deposit(ANN, 20 * LOT_MINOR)
    await venue.quiet()
    await venue.trade(1, ANN, Side.BUY, 10)
    for _ in range(2):
        refused = (await venue.trade(0, ANN, Side.BUY, 15))[0]
        assert isinstance(refused, Refused)
        await venue.quiet()
    assert (await venue.quiet()).balanced
    held = await venue.connection.fetchval(
        "select earmarked from engine.balance where account = 1 and shard = 1 and currency = 1"
    )
    assert held > 9 * LOT_MINOR


async def test_an_account_that_a_shard_did_not_know_yet_gets_its_cash_once_it_does(venue: Venue) -> None:
    late = 9
    await venue.deposit(late, 10 * LOT_MINOR)
    await venue.round()
    await venue.round()
    assert (await cash_statement(venue.connection, CASH)).books_balance
    for shard in venue.shards:
        await shard.apply(account_open(late, late))
    statement = await venue.quiet()
    assert statement.held_minor == 10 * LOT_MINOR
    assert statement.balanced


async def test_a_consumer_that_starts_again_takes_no_event_twice(venue: Venue) -> None:
    await venue.deposit(ANN, 20 * LOT_MINOR)
    await venue.quiet()
    await venue.trade(0, ANN, Side.BUY, 15)
    for _ in range(3):
        await venue.restart_consumer(0)
        await venue.consume(0)
    recalls = "select count(*) from engine.cash_transfer where direction = 'recall'"
    assert await venue.connection.fetchval(recalls) == 1
    position = await keeper_position(venue.connection, 0)
    assert position == venue.shards[0].core.last_event


@pytest.mark.parametrize("seed", range(4))
async def test_no_cash_is_lost_whatever_happens_in_whatever_order(venue: Venue, seed: int) -> None:
    chance = random.Random(seed)
    deposited = 0
    for account in (ANN, BEN, CYD):
        await venue.deposit(account, 12 * LOT_MINOR)
        deposited += 12 * LOT_MINOR
    await venue.quiet()
    for _ in range(150):
        shard, account = chance.choice((0, 1)), chance.choice((ANN, BEN, CYD))
        what = chance.choices(list(_STEPS), list(_STEPS.values()))[0]
        if what == "deposit":
            amount = chance.randrange(1, 5 * LOT_MINOR)
            deposited += amount
            await venue.deposit(account, amount)
        elif what in ("buy", "sell"):
            side = Side.BUY if what == "buy" else Side.SELL
            await venue.trade(shard, account, side, chance.randrange(1, 12))
        elif what == "tidy":
            await venue.tidy()
        elif what == "settle":
            await venue.settle(shard, failed=chance.random() < 0.3)
        else:
            await getattr(venue, what)(shard)
        statement = await cash_statement(venue.connection, CASH)
        assert statement.books_balance
        assert statement.deposited_minor == deposited
        assert statement.shards_agree or not statement.decided
    statement = await venue.quiet()
    assert statement.balanced
    for journalled in venue.shards:
        journalled.core._check()
    recalls = "select count(*) from engine.cash_transfer where direction = 'recall' and amount_minor > 0"
    assert await venue.connection.fetchval(recalls) > 3, "the run must have moved cash about"


_STEPS = {
    "deposit": 1, "buy": 6, "sell": 3, "deliver": 6, "project": 6, "consume": 6, "tidy": 2,
    "restart_consumer": 2, "settle": 2,
}  # fmt: skip
