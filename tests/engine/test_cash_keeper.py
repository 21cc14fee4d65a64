"""Tests of the cash keeper on a real PostgreSQL, the shards' events made by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import asyncpg
import pytest

from engine.cash_keeper import (
    allot_idle,
    concerns_keeper,
    credit_deposit,
    keeper_position,
    take_events,
)
from engine.cash_statement import cash_statement
from engine.command_outbox import commands_above, outbox_source
from engine.reasons import Reason
from ext.records import Applied, CashEvent, CashMove, Kind, Refused, decode, encode, header

ALICE = 7
CASH = 1


@pytest.fixture
async def books(connection: asyncpg.Connection) -> asyncpg.Connection:
    """A connection to the books of a venue of two shards."""
    await connection.execute("insert into engine.lease (shard) values (1), (2)")
    return connection


async def _deposit(books: asyncpg.Connection, amount: int) -> None:
    async with books.transaction():
        await credit_deposit(books, ALICE, CASH, amount)


async def _moves(books: asyncpg.Connection, shard: int) -> list[CashMove]:
    source = await outbox_source(books, "keeper")
    moves = [decode(command.record) for command in await commands_above(books, source, shard, 0, 1000)]
    return [move for move in moves if isinstance(move, CashMove)]


async def _free(books: asyncpg.Connection) -> int:
    free: int = await books.fetchval("select free_minor from engine.cash where account = $1", ALICE)
    return free


async def _answer(
    books: asyncpg.Connection, move: CashMove, event: int, shard: int, returned: int = 0
) -> None:
    """Let the shard apply a transfer."""
    kind = Kind(move.header.kind)
    head = header(Kind.APPLIED, source=move.header.source, number=move.header.number, sequence=event)
    events = [encode(Applied(head, kind, 0, 0, move.transfer, *[0] * 6))]
    if kind == Kind.CASH_RECALL:
        back = header(Kind.CASH_RETURNED, account=move.header.account, sequence=event + 1)
        events.append(encode(CashEvent(back, move.currency, 0, move.transfer, returned, *[0] * 5)))
    await take_events(books, shard, events, event + len(events) - 1)


def _wanted(event: int, amount: int) -> bytes:
    return encode(
        CashEvent(header(Kind.CASH_WANTED, account=ALICE, sequence=event), CASH, 0, 0, amount, *[0] * 5)
    )


async def _show(books: asyncpg.Connection, shard: int, free: int, event: int) -> None:
    """Let the projector show a balance."""
    await books.execute(
        "insert into engine.balance values ($1, $2, 0, 1, $3, 0, 0, $4)"
        " on conflict (account, tranche, currency, shard)"
        " do update set free = excluded.free, event = excluded.event",
        shard, ALICE, free, event,
    )  # fmt: skip
    await books.execute(
        "insert into engine.projector_position values ($1, 0, $2)"
        " on conflict (shard) do update set event = $2",
        shard, event,
    )  # fmt: skip


async def test_a_deposit_is_allotted_evenly_with_the_remainder_to_the_first_shard(
    books: asyncpg.Connection,
) -> None:
    await _deposit(books, 101)
    (first,), (second,) = await _moves(books, 1), await _moves(books, 2)
    assert (first.header.account, first.amount_minor, first.elsewhere_minor) == (ALICE, 51, 50)
    assert (second.header.account, second.amount_minor, second.elsewhere_minor) == (ALICE, 50, 51)
    statement = await cash_statement(books, CASH)
    assert (statement.deposited_minor, statement.keeper_free_minor, statement.in_transit_minor) == (
        101,
        0,
        101,
    )
    assert statement.balanced


async def test_a_deposit_and_its_allotments_are_undone_with_their_cause(books: asyncpg.Connection) -> None:
    transaction = books.transaction()
    await transaction.start()
    await credit_deposit(books, ALICE, CASH, 100)
    await transaction.rollback()
    assert await _moves(books, 1) == []
    assert (await cash_statement(books, CASH)).deposited_minor == 0


async def test_a_deposit_of_nothing_is_refused(books: asyncpg.Connection) -> None:
    with pytest.raises(ValueError, match="positive"):
        await _deposit(books, 0)


async def test_a_deposit_from_before_the_first_shard_is_allotted_once_there_are_some(
    connection: asyncpg.Connection,
) -> None:
    await _deposit(connection, 100)
    assert await _free(connection) == 100
    await connection.execute("insert into engine.lease (shard) values (1), (2)")
    async with connection.transaction():
        assert await allot_idle(connection) == 1
        assert await allot_idle(connection) == 0
    assert [move.amount_minor for move in await _moves(connection, 2)] == [50]


async def test_an_order_short_of_cash_is_served_by_a_recall_from_the_other_shard(
    books: asyncpg.Connection,
) -> None:
    await _deposit(books, 100)
    for shard in (1, 2):
        await _answer(books, (await _moves(books, shard))[0], 1, shard)
        await _show(books, shard, 50, 1)
    await take_events(books, 1, [_wanted(2, 30)], 2)
    recall = (await _moves(books, 2))[-1]
    assert (recall.header.kind, recall.amount_minor) == (Kind.CASH_RECALL, 30)
    await _answer(books, recall, 2, 2, returned=30)
    allotment = (await _moves(books, 1))[-1]
    assert (allotment.header.kind, allotment.amount_minor) == (Kind.CASH_ALLOT, 30)
    assert await _free(books) == 0


async def test_what_a_shard_could_not_give_back_stays_there(books: asyncpg.Connection) -> None:
    await _deposit(books, 100)
    for shard in (1, 2):
        await _answer(books, (await _moves(books, shard))[0], 1, shard)
        await _show(books, shard, 50, 1)
    await take_events(books, 1, [_wanted(2, 30)], 2)
    await _answer(books, (await _moves(books, 2))[-1], 2, 2, returned=12)
    assert (await _moves(books, 1))[-1].amount_minor == 12
    statement = await cash_statement(books, CASH)
    assert statement.books_balance
    assert (statement.allotted_minor, statement.in_transit_minor) == (100, 0)


async def test_cash_that_is_already_coming_is_not_sent_for_twice(books: asyncpg.Connection) -> None:
    await _deposit(books, 100)
    for shard in (1, 2):
        await _answer(books, (await _moves(books, shard))[0], 1, shard)
        await _show(books, shard, 50, 1)
    await take_events(books, 1, [_wanted(2, 30), _wanted(3, 30), _wanted(4, 40)], 4)
    recalls = [move.amount_minor for move in await _moves(books, 2) if move.header.kind == Kind.CASH_RECALL]
    assert recalls == [30, 10]


async def test_a_refused_allotment_is_free_again_and_is_tried_again(books: asyncpg.Connection) -> None:
    await _deposit(books, 100)
    (move,) = await _moves(books, 1)
    head = header(Kind.REFUSED, source=move.header.source, number=move.header.number, sequence=1)
    refused = encode(Refused(head, bytes(36), Reason.UNKNOWN_ACCOUNT, Kind.CASH_ALLOT, 0, 0, 0))
    await take_events(books, 1, [refused], 1)
    assert await _free(books) == 50
    async with books.transaction():
        assert await allot_idle(books) == 0, "shard 2 has yet to answer"
    await _answer(books, (await _moves(books, 2))[0], 1, 2)
    async with books.transaction():
        assert await allot_idle(books) == 1
    assert await _free(books) == 0
    assert (await cash_statement(books, CASH)).books_balance


async def test_events_handed_in_again_are_taken_once(books: asyncpg.Connection) -> None:
    await _deposit(books, 100)
    await _show(books, 2, 50, 0)
    events = [_wanted(2, 10), _wanted(3, 50)]
    assert await take_events(books, 1, events, 3)
    before = await _moves(books, 2)
    assert not await take_events(books, 1, events, 3)
    assert await take_events(books, 1, [*events, _wanted(4, 50)], 5)
    assert await _moves(books, 2) == before
    assert await keeper_position(books, 1) == 5
    assert await keeper_position(books, 2) == 0


async def test_the_keeper_heeds_wants_returns_and_answers_to_itself() -> None:
    own = encode(Applied(header(Kind.APPLIED, source=5), Kind.CASH_ALLOT, *[0] * 9))
    assert concerns_keeper(_wanted(1, 1), 5)
    assert concerns_keeper(own, 5)
    assert not concerns_keeper(own, 6)


async def test_a_statement_shows_cash_that_vanished_from_a_shard(books: asyncpg.Connection) -> None:
    await _deposit(books, 100)
    for shard in (1, 2):
        await _answer(books, (await _moves(books, shard))[0], 1, shard)
        await _show(books, shard, 50, 1)
    assert (await cash_statement(books, CASH)).balanced
    await _show(books, 2, 49, 1)
    statement = await cash_statement(books, CASH)
    assert statement.decided
    assert not statement.balanced


async def test_a_statement_is_undecided_while_balances_are_ahead_of_the_keeper(
    books: asyncpg.Connection,
) -> None:
    await _deposit(books, 100)
    await _show(books, 1, 50, 1)
    assert not (await cash_statement(books, CASH)).decided
    await _answer(books, (await _moves(books, 1))[0], 1, 1)
    statement = await cash_statement(books, CASH)
    assert statement.decided
    assert statement.balanced


class _CrashedError(Exception):
    """The process died."""


class _CrashingConnection:
    """A connection whose client dies before its n-th statement, or before the commit."""

    def __init__(self, connection: asyncpg.Connection, crash_at: int) -> None:
        self._connection = connection
        self._left = crash_at

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        async with self._connection.transaction():
            yield
            self._moment()

    def is_in_transaction(self) -> bool:
        return bool(self._connection.is_in_transaction())

    def __getattr__(self, name: str) -> Any:
        self._moment()
        return getattr(self._connection, name)

    def _moment(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._connection.terminate()
            raise _CrashedError


async def test_a_keeper_that_dies_anywhere_has_taken_all_of_an_event_or_nothing(
    books: asyncpg.Connection, engine_database: str
) -> None:
    await _deposit(books, 100)
    for shard in (1, 2):
        await _answer(books, (await _moves(books, shard))[0], 1, shard)
        await _show(books, shard, 50, 1)
    before = await _moves(books, 2)
    for crash_at in count(1):
        connection = await asyncpg.connect(engine_database)
        crashing: Any = _CrashingConnection(connection, crash_at)
        try:
            await take_events(crashing, 1, [_wanted(2, 30)], 2)
            break
        except (_CrashedError, asyncpg.InterfaceError):
            assert await keeper_position(books, 1) == 1
            assert await _moves(books, 2) == before
        finally:
            connection.terminate()
    assert crash_at > 8
    assert await keeper_position(books, 1) == 2
    assert [move.amount_minor for move in (await _moves(books, 2))[len(before) :]] == [30]
