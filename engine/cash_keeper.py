"""The cash keeper: an account's cash that lies in no shard, and its ways between shards (DESIGN D6).

Cash is not local to a tranche, so no shard holds it all. The keeper's books are ``engine.cash`` (deposited,
and free here) and ``engine.cash_transfer``. Every transfer is written with its numbered command (source
``keeper``) in one transaction, and every event of a shard that ends one is taken exactly once, by
``engine.consumer_position`` in the transaction of its effect. So

    deposited = free here + in transit + held by shards, per currency, always;

``engine/cash_statement.py`` computes both sides from the tables.

All functions take the connection of a transaction, and take one lock first, so that transactions of the
keeper follow each other and none deadlocks with another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from engine.cash_books import AccountCash
from engine.cash_policy import even_shares, recall_plan
from engine.command import cash_allot, cash_recall
from engine.command_outbox import enqueue, outbox_source
from ext.records import Applied, CashEvent, CashMove, Kind, Record, Refused, Sourced, decode, encode

SOURCE_NAME: Final = "keeper"
CONSUMER: Final = "keeper"
_KEEPER_LOCK: Final = 0x0B0C_CA58
_TOLD_AT_ONCE: Final = 256
_CASH_COMMANDS: Final = (Kind.CASH_ALLOT, Kind.CASH_RECALL)


async def credit_deposit(
    connection: asyncpg.Connection, account: int, currency: int, amount_minor: int, *, actor: str = "watcher"
) -> None:
    """Credit a deposit that is final on chain and allot it evenly over the shards, in the caller's
    transaction.

    ``amount_minor`` > 0. Exactly once is the caller's: it calls this in the transaction that marks the
    deposit as seen. Without any shard yet the cash stays free here until :func:`allot_idle` finds one.

    Raises:
        ValueError: The amount is not positive.
    """
    if amount_minor <= 0:
        raise ValueError(f"a deposit is positive, not {amount_minor}")
    await _lock_keeper(connection)
    cash = AccountCash(connection, account, currency)
    await cash.deposit(amount_minor)
    for shard, share in even_shares(amount_minor, await _shards(connection)).items():
        await _allot(cash, shard, share, cause="deposit", actor=actor)


async def allot_idle(connection: asyncpg.Connection) -> int:
    """Allot what lies free here and waits for nothing, evenly over the shards, in the caller's transaction.

    Such cash is left by a deposit from before the first shard, and by an allotment that a shard refused (it
    did not know the account yet). Accounts with a transfer under way are left for later. Returns how many
    accounts had some.
    """
    await _lock_keeper(connection)
    shards = await _shards(connection)
    idle = await connection.fetch(_IDLE) if shards else []
    for account, currency, free_minor in idle:
        for shard, share in even_shares(free_minor, shards).items():
            cash = AccountCash(connection, account, currency)
            await _allot(cash, shard, share, cause="idle", actor=SOURCE_NAME)
    return len(idle)


async def tell_elsewhere(connection: asyncpg.Connection) -> int:
    """Tell shards of cash they do not know an account has outside them, in the caller's transaction; returns
    how many were told.

    A shard refuses an order as short of cash, and does not ask the keeper, when it knows of none elsewhere;
    sales elsewhere make such cash. Accounts whose transfers are under way, or not projected, wait.
    """
    await _lock_keeper(connection)
    untold = await connection.fetch(_UNTOLD, _TOLD_AT_ONCE)
    for account, currency, shard in untold:
        cash = AccountCash(connection, account, currency)
        await _allot(cash, shard, 0, cause="elsewhere", actor=SOURCE_NAME)
    return len(untold)


def concerns_keeper(event: memoryview | bytes, keeper_source: int) -> bool:
    """Whether the keeper acts on an event record: cash wanted or returned, or an answer to its own
    commands.
    """
    kind = event[0] | event[1] << 8
    if kind in (Kind.CASH_RETURNED, Kind.CASH_WANTED):
        return True
    own = int.from_bytes(event[4:8], "little") == keeper_source
    return own and kind in (Kind.APPLIED, Kind.REFUSED)


async def take_events(
    connection: asyncpg.Connection, shard: int, events: Sequence[bytes | memoryview], last_event: int
) -> bool:
    """Act on a shard's events and move the keeper's position to ``last_event``, in one transaction of its
    own.

    ``events`` are those of :func:`concerns_keeper` numbered up to ``last_event``, in order, with none since
    the position left out; what lies at or below the position is skipped, so that a run may be handed in
    again. Returns whether the position moved.
    """
    async with connection.transaction():
        await _lock_keeper(connection)
        position = await keeper_position(connection, shard)
        if last_event <= position:
            return False
        for event in events:
            record = decode(event)
            if record.header.sequence > position:
                await _take(connection, shard, record)
        await connection.execute(_MOVE_POSITION, CONSUMER, shard, last_event)
    return True


async def keeper_position(connection: asyncpg.Connection, shard: int) -> int:
    """Number of the last event of the shard that the keeper has taken; 0 before the first."""
    event: int | None = await connection.fetchval(
        "select event from engine.consumer_position where consumer = $1 and shard = $2", CONSUMER, shard
    )
    return event or 0


async def _take(connection: asyncpg.Connection, shard: int, record: Record) -> None:
    """Act on one event of a shard."""
    if isinstance(record, CashEvent) and record.header.kind == Kind.CASH_WANTED:
        cash = AccountCash(connection, record.header.account, record.currency)
        await _serve(cash, shard, record.amount_minor)
    elif isinstance(record, CashEvent):
        await _take_back(connection, record)
    elif isinstance(record, Applied) and record.command_kind == Kind.CASH_ALLOT:
        await connection.execute(_FINISH, record.reference, "done", record.header.sequence)
    elif isinstance(record, Refused) and record.command_kind in _CASH_COMMANDS:
        await _take_refusal(connection, shard, record)


async def _serve(cash: AccountCash, shard: int, short_minor: int) -> None:
    """An order in ``shard`` was short of cash that lies elsewhere: allot what is free here, recall the rest.

    What is already on its way there counts, so that a participant who asks again meanwhile does not move
    cash twice. Where nothing can be moved, the shard is told anew what the account has elsewhere.
    """
    coming = await cash.coming(shard)
    short_minor = max(short_minor - coming, 0)
    at_once = min(short_minor, await cash.free())
    elsewhere = await cash.free_by_shard()
    elsewhere.pop(shard, None)
    recalls = recall_plan(short_minor - at_once, elsewhere)
    if at_once or not (coming or recalls):
        await _allot(cash, shard, at_once, cause="wanted", actor=SOURCE_NAME)
    for giver, amount_minor in sorted(recalls.items()):
        await _recall(cash, giver, amount_minor, wanted_by=shard)


async def _take_back(connection: asyncpg.Connection, returned: CashEvent) -> None:
    """A shard gave cash back: it is free here, and goes on to the shard that wants it."""
    cash = AccountCash(connection, returned.header.account, returned.currency)
    wanted_by: int | None = await connection.fetchval(
        _FINISH_RECALL, returned.transfer, returned.header.sequence, returned.amount_minor
    )
    await cash.add_free(returned.amount_minor)
    if wanted_by is not None and returned.amount_minor:
        await _allot(cash, wanted_by, returned.amount_minor, cause="recalled", actor=SOURCE_NAME)


async def _take_refusal(connection: asyncpg.Connection, shard: int, refused: Refused) -> None:
    """A shard refused a transfer: nothing moved there, so an allotment is free here again."""
    record: bytes = await connection.fetchval(_COMMAND, refused.header.source, shard, refused.header.number)
    move = decode(record)
    assert isinstance(move, CashMove)
    await connection.execute(_FINISH, move.transfer, "refused", refused.header.sequence)
    if move.header.kind == Kind.CASH_ALLOT:
        await AccountCash(connection, move.header.account, move.currency).add_free(move.amount_minor)


async def _allot(cash: AccountCash, shard: int, amount_minor: int, *, cause: str, actor: str) -> None:
    """Take an amount from what is free here and send it to the shard."""
    await cash.add_free(-amount_minor)
    transfer = await cash.write_transfer(shard, "allot", amount_minor)
    elsewhere = await cash.elsewhere(shard)
    move = cash_allot(
        cash.account, amount_minor, transfer=transfer, elsewhere_minor=elsewhere, currency=cash.currency
    )
    await _send(cash.connection, shard, move, cause=cause, actor=actor)


async def _recall(cash: AccountCash, shard: int, amount_minor: int, *, wanted_by: int) -> None:
    """Ask a shard to give back up to an amount."""
    transfer = await cash.write_transfer(shard, "recall", amount_minor, wanted_by=wanted_by)
    elsewhere = await cash.elsewhere(shard)
    move = cash_recall(
        cash.account, amount_minor, transfer=transfer, elsewhere_minor=elsewhere, currency=cash.currency
    )
    await _send(cash.connection, shard, move, cause=f"wanted by shard {wanted_by}", actor=SOURCE_NAME)


async def _send(
    connection: asyncpg.Connection, shard: int, move: CashMove, *, cause: str, actor: str
) -> None:
    """Put a transfer's command into the keeper's outbox."""
    source = await outbox_source(connection, SOURCE_NAME)
    await enqueue(connection, source, shard, [Sourced(encode(move))], cause=cause, actor=actor)


async def _shards(connection: asyncpg.Connection) -> list[int]:
    """The shards there are, in ascending order."""
    return [row["shard"] for row in await connection.fetch("select shard from engine.lease order by shard")]


async def _lock_keeper(connection: asyncpg.Connection) -> None:
    """Wait for other transactions of the keeper, and keep them waiting until this one ends."""
    assert connection.is_in_transaction()
    await connection.execute("select pg_advisory_xact_lock($1)", _KEEPER_LOCK)


_IDLE = """
select account, currency, free_minor from engine.cash c
where free_minor > 0 and not exists (
    select from engine.cash_transfer t
    where t.account = c.account and t.currency = c.currency and t.state = 'sent'
) order by account, currency
"""

_UNTOLD = """
with held as (
    select account, currency, sum(free + earmarked + in_settlement)::bigint as total
    from engine.balance where tranche = 0 group by account, currency
)
select h.account, h.currency, l.shard
from held h
cross join engine.lease l
left join engine.cash c on c.account = h.account and c.currency = h.currency
left join engine.balance b
    on b.account = h.account and b.tranche = 0 and b.currency = h.currency and b.shard = l.shard
where h.total - coalesce(b.free + b.earmarked + b.in_settlement, 0) + coalesce(c.free_minor, 0)
        > coalesce(b.elsewhere, 0)
    and not exists (
        select from engine.cash_transfer t join engine.projector_position p using (shard)
        where t.account = h.account and t.currency = h.currency
            and (t.state = 'sent' or (t.state = 'done' and t.event > p.event))
    )
order by h.account, h.currency, l.shard limit $1
"""

_MOVE_POSITION = """
insert into engine.consumer_position (consumer, shard, event) values ($1, $2, $3)
on conflict (consumer, shard) do update set event = excluded.event
"""

_FINISH = "update engine.cash_transfer set state = $2, event = $3 where transfer = $1"

_FINISH_RECALL = """
update engine.cash_transfer set state = 'done', event = $2, amount_minor = $3
where transfer = $1 returning wanted_by
"""

_COMMAND = "select record from engine.command_outbox where source = $1 and shard = $2 and number = $3"
