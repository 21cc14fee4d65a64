"""Instructions and batches in PostgreSQL: every step is a row, written with the step itself.

All functions take the connection of the caller's transaction, so that a step and what it causes (a command
to the engine, a request for attestation) exist together or not at all. Which steps there are, the pure tables
say; after a TransitionError the caller's transaction must end without effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from settlement.batch import BatchEvent, BatchStatus
from settlement.batch import next_status as next_batch_status
from settlement.batching import NextBatch, OrderUse, WaitingFill
from settlement.errors import AlreadyRunningError, TransitionError
from settlement.instruction import InstructionEvent, InstructionStatus
from settlement.instruction import next_status as next_instruction_status

TRANSITION_CHANNEL: Final = "settlement_transition"
"""Notified at commit when a step was taken; empty payload."""
ATTESTATION_CHANNEL: Final = "engine_attestation"
FILLS_CHANNEL: Final = "engine_fills"
ACTOR: Final = "settlement"
"""Who takes a step that no person asked for."""
_SETTLEMENT_LOCK: Final = 0x0B0C_5E77
_FILLS_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch as stored; see ``settlement.batch`` in the schema for the fields."""

    batch: int
    tranche: int
    status: BatchStatus
    first_fill: int
    fill_count: int
    gas_bound: int
    attempts: int
    block_number: int | None
    block_hash: bytes | None
    not_before: datetime


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The block a batch's transaction is in, and what it cost."""

    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    gas_used: int


async def take_settlement_lock(connection: asyncpg.Connection) -> None:
    """Make this session the only one that settles; raises AlreadyRunningError where another is."""
    if not await connection.fetchval("select pg_try_advisory_lock($1)", _SETTLEMENT_LOCK):
        raise AlreadyRunningError("another process settles from this database")


async def record_new_fills(connection: asyncpg.Connection) -> int:
    """Make an instruction of every projected fill that has none, up to a limit; returns how many.

    Of a journal row all fills or none are taken, so that a once-order is seen with all its fills. Transaction
    of its own.
    """
    async with connection.transaction():
        count: int = await connection.fetchval(_RECORD_NEW_FILLS, ACTOR, _FILLS_AT_ONCE)
        if count:
            await notify_transition(connection)
    return count


async def tranches_with_waiting_fills(connection: asyncpg.Connection) -> list[int]:
    """Tranches that have fills waiting for a batch."""
    rows = await connection.fetch(
        "select distinct tranche from settlement.instruction where status in ('matched', 'retried')"
        " order by tranche"
    )
    return [row["tranche"] for row in rows]


async def waiting_fills(connection: asyncpg.Connection, tranche: int) -> list[WaitingFill]:
    """All fills of a tranche that can join a batch, in order; one whose signed orders are unknown cannot."""
    return [
        WaitingFill(row["fill_number"], row["matched_at_ns"], _order_use(row, "buy"), _order_use(row, "sell"))
        for row in await connection.fetch(_WAITING_FILLS, tranche)
    ]


async def fills_of_unknown_orders(connection: asyncpg.Connection) -> dict[int, list[int]]:
    """Fill numbers, by tranche, of waiting fills for which no signed order is known."""
    unknown: dict[int, list[int]] = {}
    for row in await connection.fetch(_OF_UNKNOWN_ORDERS):
        unknown.setdefault(row["tranche"], []).append(row["fill_number"])
    return unknown


async def create_batch(
    connection: asyncpg.Connection,
    tranche: int,
    following: NextBatch,
    *,
    reason: str = "",
    replaces: int | None = None,
) -> int:
    """Make a batch of waiting fills, ask the engine to attest it, and return its number."""
    numbers = following.fill_numbers
    batch: int = await connection.fetchval(
        "insert into settlement.batch"
        " (tranche, first_fill, last_fill, fill_count, gas_bound, replaces, reason)"
        " values ($1, $2, $3, $4, $5, $6, $7) returning batch",
        tranche, numbers[0], numbers[-1], len(numbers), following.gas_bound, replaces, reason,
    )  # fmt: skip
    await connection.execute(
        "update settlement.instruction set batch = $3, attempts = attempts + 1"
        " where tranche = $1 and fill_number = any($2)",
        tranche, numbers, batch,
    )  # fmt: skip
    await move_instructions(connection, tranche, numbers, InstructionEvent.BATCH, reason=reason)
    await _record_batch_step(connection, batch, tranche, BatchStatus.BATCHED, reason, ACTOR)
    await connection.execute(
        "insert into engine.attestation (batch, tranche, fill_numbers) values ($1, $2, $3)",
        batch,
        tranche,
        numbers,
    )
    await connection.execute("select pg_notify($1, '')", ATTESTATION_CHANNEL)
    return batch


async def move_instructions(
    connection: asyncpg.Connection,
    tranche: int,
    fill_numbers: Sequence[int],
    event: InstructionEvent,
    *,
    reason: str = "",
    actor: str = ACTOR,
) -> None:
    """Take one step with these instructions; all of them or, with TransitionError, none."""
    rows = await connection.fetch(
        "select fill_number, status, batch from settlement.instruction"
        " where tranche = $1 and fill_number = any($2) order by fill_number for update",
        tranche, list(fill_numbers),
    )  # fmt: skip
    if len(rows) != len(fill_numbers):
        raise TransitionError(f"tranche {tranche} lacks instructions for some of {len(fill_numbers)} fills")
    statuses = [next_instruction_status(InstructionStatus(row["status"]), event) for row in rows]
    numbers, batches = [row["fill_number"] for row in rows], [row["batch"] for row in rows]
    await connection.execute(_MOVE_INSTRUCTIONS, tranche, numbers, list(map(str, statuses)), reason)
    await connection.execute(
        "insert into settlement.transition (subject, tranche, fill_number, batch, status, reason, actor)"
        " select 'instruction', $1, n, b, s, $5, $6"
        " from unnest($2::bigint[], $3::bigint[], $4::text[]) as u(n, b, s)",
        tranche, numbers, batches, list(map(str, statuses)), reason, actor,
    )  # fmt: skip
    await notify_transition(connection)


async def move_batch(
    connection: asyncpg.Connection, batch: int, event: BatchEvent, *, reason: str = "", actor: str = ACTOR
) -> BatchStatus:
    """Take one step with a batch alone, its instructions not, and return its new status."""
    row = await connection.fetchrow(
        "select tranche, status from settlement.batch where batch = $1 for update", batch
    )
    status = next_batch_status(BatchStatus(row["status"]), event)
    await connection.execute(
        "update settlement.batch set status = $2, reason = $3, changed_at = now() where batch = $1",
        batch, str(status), reason,
    )  # fmt: skip
    await _record_batch_step(connection, batch, row["tranche"], status, reason, actor)
    return status


async def move_whole_batch(
    connection: asyncpg.Connection, batch: int, event: BatchEvent, *, reason: str = "", actor: str = ACTOR
) -> list[int]:
    """Take the same step with a batch and all its instructions; returns their fill numbers."""
    await move_batch(connection, batch, event, reason=reason, actor=actor)
    tranche, numbers = await fills_of_batch(connection, batch)
    await move_instructions(
        connection, tranche, numbers, InstructionEvent(event.value), reason=reason, actor=actor
    )
    return numbers


async def fills_of_batch(connection: asyncpg.Connection, batch: int) -> tuple[int, list[int]]:
    """Tranche and fill numbers, ascending, of the instructions that are in a batch now."""
    rows = await connection.fetch(
        "select tranche, fill_number from settlement.instruction where batch = $1 order by fill_number", batch
    )
    if not rows:
        raise TransitionError(f"batch {batch} holds no instructions any more")
    return rows[0]["tranche"], [row["fill_number"] for row in rows]


async def set_inclusion(connection: asyncpg.Connection, batch: int, inclusion: Inclusion | None) -> None:
    """Note in which block a batch's transaction is (None: in none any more)."""
    values = (
        (inclusion.transaction_hash, inclusion.block_number, inclusion.block_hash, inclusion.gas_used)
        if inclusion
        else (None, None, None, None)
    )
    await connection.execute(
        "update settlement.batch set transaction_hash = coalesce($2, transaction_hash), block_number = $3,"
        " block_hash = $4, gas_used = $5 where batch = $1",
        batch, *values,
    )  # fmt: skip


async def set_transaction(connection: asyncpg.Connection, batch: int, transaction_hash: bytes) -> None:
    """Note the transaction that a batch was last sent by."""
    await connection.execute(
        "update settlement.batch set transaction_hash = $2 where batch = $1", batch, transaction_hash
    )


async def postpone_batch(
    connection: asyncpg.Connection, batch: int, pause_s: float, gas_bound: int, reason: str
) -> None:
    """Leave a batch that is no fill's fault alone for a while, and say why."""
    await connection.execute(
        "update settlement.batch set attempts = attempts + 1, reason = $4, gas_bound = $3,"
        " not_before = now() + make_interval(secs => $2) where batch = $1",
        batch, pause_s, gas_bound, reason,
    )  # fmt: skip


async def batches_in(connection: asyncpg.Connection, statuses: Sequence[BatchStatus]) -> list[BatchRow]:
    """Batches in one of these statuses, by tranche, earliest fills first."""
    rows = await connection.fetch(
        "select batch, tranche, status, first_fill, fill_count, gas_bound, attempts, block_number,"
        " block_hash, not_before from settlement.batch where status = any($1)"
        " order by tranche, first_fill, batch",
        [str(status) for status in statuses],
    )
    return [BatchRow(**{**row, "status": BatchStatus(row["status"])}) for row in rows]


async def batch_of_older_version(connection: asyncpg.Connection, row: BatchRow) -> int | None:
    """The last earlier batch, not yet decided, with fills under an older version of one of a batch's orders.

    On chain the newer version would end the older one, and with it those fills (DESIGN D8). Earlier is what
    begins with an earlier fill, so that no two batches wait for each other.
    """
    found: int | None = await connection.fetchval(
        _BATCH_OF_OLDER_VERSION, row.batch, row.tranche, row.first_fill
    )
    return found


async def notify_transition(connection: asyncpg.Connection) -> None:
    """Say, when the caller's transaction commits, that a step was taken."""
    await connection.execute("select pg_notify($1, '')", TRANSITION_CHANNEL)


async def _record_batch_step(
    connection: asyncpg.Connection, batch: int, tranche: int, status: BatchStatus, reason: str, actor: str
) -> None:
    await connection.execute(
        "insert into settlement.transition (subject, tranche, batch, status, reason, actor)"
        " values ('batch', $1, $2, $3, $4, $5)",
        tranche, batch, str(status), reason, actor,
    )  # fmt: skip
    await notify_transition(connection)


def _order_use(row: Any, side: str) -> OrderUse:
    """One side's order from a row of ``_WAITING_FILLS``."""
    return OrderUse(
        account=row[f"{side}_account"],
        nonce=row[f"{side}_nonce"],
        version=row[f"{side}_revision"],
        standing=row[f"{side}_standing"],
    )


_RECORD_NEW_FILLS: Final = """
with fresh as (
    insert into settlement.instruction (tranche, fill_number, matched_at_ns)
    select f.tranche, f.fill_number, f.matched_at_ns
    from engine.tranche t cross join lateral (
        select coalesce(max(i.fill_number), 0) as fill_number
        from settlement.instruction i where i.tranche = t.tranche
    ) known left join lateral (
        select next.fill_number from engine.fill last join engine.fill next using (tranche)
        where last.tranche = t.tranche and last.fill_number = known.fill_number + $2
        and next.fill_number > last.fill_number
        and (next.shard, next.journal_row) <> (last.shard, last.journal_row)
        order by next.fill_number limit 1
    ) beyond on true cross join lateral (
        select tranche, fill_number, matched_at_ns from engine.fill
        where tranche = t.tranche and fill_number > known.fill_number
        and fill_number < coalesce(beyond.fill_number, 9223372036854775807)
        order by fill_number
    ) f
    returning tranche, fill_number
), step as (
    insert into settlement.transition (subject, tranche, fill_number, status, actor)
    select 'instruction', tranche, fill_number, 'matched', $1 from fresh order by tranche, fill_number
)
select count(*) from fresh
"""

_WAITING_FILLS: Final = """
select i.fill_number, i.matched_at_ns,
    f.buy_account, f.buy_nonce, f.buy_revision, b.standing as buy_standing,
    f.sell_account, f.sell_nonce, f.sell_revision, s.standing as sell_standing
from settlement.instruction i
join engine.fill f using (tranche, fill_number)
join engine.order_revision b
    on (b.account, b.nonce, b.revision) = (f.buy_account, f.buy_nonce, f.buy_revision)
join engine.order_revision s
    on (s.account, s.nonce, s.revision) = (f.sell_account, f.sell_nonce, f.sell_revision)
where i.tranche = $1 and i.status in ('matched', 'retried')
order by i.fill_number
"""

_OF_UNKNOWN_ORDERS: Final = """
select i.tranche, i.fill_number
from settlement.instruction i
join engine.fill f using (tranche, fill_number)
left join engine.order_revision b
    on (b.account, b.nonce, b.revision) = (f.buy_account, f.buy_nonce, f.buy_revision)
left join engine.order_revision s
    on (s.account, s.nonce, s.revision) = (f.sell_account, f.sell_nonce, f.sell_revision)
where i.status in ('matched', 'retried') and (b.account is null or s.account is null)
order by i.tranche, i.fill_number
"""

_BATCH_OF_OLDER_VERSION: Final = """
select batch from (
    select b.first_fill, b.batch, s.revision,
        max(s.revision) filter (where b.batch = $1) over (partition by s.account, s.nonce) as newer
    from settlement.batch b
    join settlement.instruction i on i.batch = b.batch
    join engine.fill f on f.tranche = i.tranche and f.fill_number = i.fill_number
    cross join lateral (values (f.buy_account, f.buy_nonce, f.buy_revision),
        (f.sell_account, f.sell_nonce, f.sell_revision)) as s (account, nonce, revision)
    where b.tranche = $2 and (b.first_fill, b.batch) <= ($3, $1)
    and b.status not in ('final', 'reverted', 'held')
    and exists (
        select from settlement.instruction i join engine.fill f using (tranche, fill_number)
        where i.batch = $1 and greatest(f.buy_revision, f.sell_revision) > 1)
) uses
where batch <> $1 and revision < newer
order by first_fill desc, batch desc limit 1
"""

_MOVE_INSTRUCTIONS: Final = """
update settlement.instruction i set status = u.status, reason = $4, changed_at = now()
from unnest($2::bigint[], $3::text[]) as u(fill_number, status)
where i.tranche = $1 and i.fill_number = u.fill_number
"""
