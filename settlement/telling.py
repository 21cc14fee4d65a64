"""Telling the engine what the chain says of its accounts, each thing once.

``settlement.told`` holds what was told of every address; what its events now add up to, less that, is the
next command, written in the same transaction. An address without an account is told of when one is opened. A
command that the shard refuses (it may not have heard of the account yet) counts as not told, and is told
again later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import asyncpg
import structlog

from engine.cash_keeper import credit_deposit
from engine.command import eligibility_set, tokens_adjust
from engine.command_outbox import INCARNATION, enqueue, outbox_source
from engine.reasons import Reason
from ext.records import EligibilitySet, Kind, Record, Refused, Sourced, TokensAdjust, decode, encode, split
from settlement.chain_events import EventName
from settlement.standing import Standing, StoredEvent, standing

_log = structlog.get_logger()

SOURCE_NAME: Final = "watcher"
CASH: Final = 0
"""The tranche number that stands for cash."""
CURRENCY: Final = 1
_NANOSECONDS_PER_SECOND: Final = 1_000_000_000
_JOURNAL_ROWS_AT_ONCE: Final = 50

Subject = tuple[bytes, int]
"""(address, tranche)"""


async def tell(connection: asyncpg.Connection, subjects: Iterable[Subject], final_time_s: int) -> int:
    """Bring what the engine knows of these up to the stored events; returns how many commands were written.

    In the caller's transaction. Shards are written to in ascending order.
    """
    by_shard: dict[int, list[Sourced]] = {}
    for address, tranche in sorted(set(subjects)):
        told = await _told(connection, address, tranche)
        if told["account"] is None:
            continue
        now = standing(await _events_of(connection, address, tranche), final_time_s)
        if tranche == CASH:
            await _credit(connection, told, now)
        else:
            by_shard.setdefault(told["shard"], []).extend(_commands(told, now))
        await _remember(connection, told, now)
    source = await outbox_source(connection, SOURCE_NAME)
    for shard in sorted(by_shard):
        if by_shard[shard]:
            await enqueue(
                connection, source, shard, by_shard[shard], cause="seen on chain", actor=SOURCE_NAME
            )
    return sum(map(len, by_shard.values()))


async def subjects_to_tell_again(connection: asyncpg.Connection) -> list[Subject]:
    """Addresses for which an account was opened since, and what a shard refused and may take now."""
    rows = await connection.fetch(
        "select t.address, t.tranche from settlement.told t join engine.account a using (address)"
        " where t.account is null"
        " union select address, tranche from settlement.told where not_before <= clock_timestamp()"
    )
    return [(row["address"], row["tranche"]) for row in rows]


async def lapsed_subjects(connection: asyncpg.Connection, after_s: int, up_to_s: int) -> list[Subject]:
    """Addresses whose request to unlock lapsed in a span of the chain's time."""
    rows = await connection.fetch(
        "select distinct address, tranche from settlement.chain_event"
        " where name = 'UnlockRequested' and until_s >= $1 and until_s < $2",
        after_s, up_to_s,
    )  # fmt: skip
    return [(row["address"], row["tranche"]) for row in rows]


async def take_refusals(connection: asyncpg.Connection) -> int:
    """Read the shards' answers to our commands; returns how many were refused."""
    source = await outbox_source(connection, SOURCE_NAME)
    refused = 0
    for row in await connection.fetch(_UNANSWERED, source):
        refused += await _read_answers(connection, source, row["shard"], row["event"], row["number"])
    return refused


async def _read_answers(
    connection: asyncpg.Connection, source: int, shard: int, event: int, number: int
) -> int:
    rows = await connection.fetch(
        "select last_event, events from engine.journal where shard = $1 and last_event > $2"
        " order by row limit $3",
        shard, event, _JOURNAL_ROWS_AT_ONCE,
    )  # fmt: skip
    mark = source.to_bytes(4, "little") + INCARNATION.to_bytes(4, "little")
    refusals = []
    for row in rows:
        event = row["last_event"]
        for record in _answers(row["events"], mark):
            number = max(number, record.header.number)
            refusals += [record] if isinstance(record, Refused) else []
    for refusal in refusals:
        await _take_refusal(connection, source, shard, refusal)
    await connection.execute(
        "insert into settlement.answers_read (shard, event, number) values ($1, $2, $3)"
        " on conflict (shard) do update set event = excluded.event, number = excluded.number",
        shard, event, number,
    )  # fmt: skip
    return len(refusals)


def _answers(events: bytes, mark: bytes) -> list[Record]:
    """The events in a journal row that were caused by the source whose mark is given."""
    if mark not in events:
        return []
    return [decode(each) for each in split(events) if each[4:12] == mark]


async def _take_refusal(connection: asyncpg.Connection, source: int, shard: int, refusal: Refused) -> None:
    """A command was refused: it was not told. Of lots to take away, take what the shard says can go."""
    record: bytes = await connection.fetchval(
        "select record from engine.command_outbox where source = $1 and shard = $2 and number = $3",
        source, shard, refusal.header.number,
    )  # fmt: skip
    command = decode(record)
    head = command.header
    _log.warning("shard refused", kind=Kind(head.kind).name, account=head.account, reason=refusal.reason)
    untold, eligible, can_go = 0, None, 0
    if isinstance(command, TokensAdjust):
        untold = command.delta_lots
        if untold < 0 and refusal.reason == Reason.BAD_AMOUNT:
            can_go = min(max(refusal.limit, 0), -untold)
    elif isinstance(command, EligibilitySet):
        eligible = not command.eligible
    await connection.execute(_UNTELL, head.account, head.tranche, untold + can_go, eligible)
    if can_go:
        partial = Sourced(encode(tokens_adjust(head.account, head.tranche, -can_go)))
        await enqueue(connection, source, shard, [partial], cause="what can go of it", actor=SOURCE_NAME)


async def _told(connection: asyncpg.Connection, address: bytes, tranche: int) -> Any:
    """What was told of an address, made when it is new, with its account and the tranche's shard."""
    await connection.execute(
        "insert into settlement.told (address, tranche) values ($1, $2) on conflict do nothing",
        address,
        tranche,
    )
    return await connection.fetchrow(_TOLD, address, tranche)


async def _events_of(connection: asyncpg.Connection, address: bytes, tranche: int) -> Sequence[StoredEvent]:
    rows = await connection.fetch(
        "select name, amount, until_s, state from settlement.chain_event"
        " where address = $1 and tranche = $2 and state <> 'gone' order by block_number, log_index",
        address, tranche,
    )  # fmt: skip
    return [
        StoredEvent(EventName(row["name"]), int(row["amount"]), row["until_s"], row["state"] == "final")
        for row in rows
    ]


async def _credit(connection: asyncpg.Connection, told: Any, now: Standing) -> None:
    """Credit what is deposited and was not credited yet."""
    if now.amount > told["amount"]:
        await credit_deposit(
            connection, told["account"], CURRENCY, now.amount - told["amount"], actor=SOURCE_NAME
        )


def _commands(told: Any, now: Standing) -> list[Sourced]:
    """The commands between what was told of an account in a tranche and how it stands now."""
    account, tranche = told["account"], told["tranche"]
    commands: list[Record] = []
    if (now.eligible, now.until_s) != (told["eligible"], told["until_s"]):
        until_ns = now.until_s * _NANOSECONDS_PER_SECOND
        commands.append(eligibility_set(account, tranche, eligible=now.eligible, until_ns=until_ns))
    if now.amount != told["amount"]:
        commands.append(tokens_adjust(account, tranche, now.amount - told["amount"]))
    return [Sourced(encode(command)) for command in commands]


async def _remember(connection: asyncpg.Connection, told: Any, now: Standing) -> None:
    await connection.execute(
        "update settlement.told set account = $3, amount = $4, eligible = $5, until_s = $6, not_before = null"
        " where address = $1 and tranche = $2",
        told["address"], told["tranche"], told["account"], now.amount, now.eligible, now.until_s,
    )  # fmt: skip


_TOLD: Final = """
select t.address, t.tranche, coalesce(t.account, a.account) as account, t.amount, t.eligible, t.until_s,
    r.shard
from settlement.told t
left join engine.account a using (address)
left join engine.tranche r on r.tranche = t.tranche
where t.address = $1 and t.tranche = $2 for update of t
"""

_UNTELL: Final = """
update settlement.told set amount = amount - $3, eligible = coalesce($4, eligible), refusals = refusals + 1,
    not_before = clock_timestamp() + make_interval(secs => least(5, 0.1 * power(2, least(refusals, 10))))
where account = $1 and tranche = $2
"""

_UNANSWERED: Final = """
select l.shard, coalesce(a.event, 0) as event, coalesce(a.number, 0) as number
from engine.lease l cross join lateral (
    select max(number) as number from engine.command_outbox where source = $1 and shard = l.shard
) o
left join settlement.answers_read a on a.shard = l.shard
where o.number > coalesce(a.number, 0)
order by l.shard
"""
