"""Telling the engine what the chain says of its accounts, each thing once.

``settlement.told`` holds what was told of every address; what its events now add up to, less that, is the
next command, written in the same transaction. An address without an account is told of when one is opened. A
command that the shard refuses (it may not have heard of the account yet) counts as not told, and is told
again later.

Lots that a batch of ours brings unlocked are told with the fill that brings them: the shard owes them out of
what that fill's end frees, and it does not matter which of the two it hears of first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import asyncpg
import structlog

from engine.cash_keeper import credit_deposit
from engine.command import eligibility_set, tokens_adjust
from engine.command_outbox import INCARNATION, enqueue, outbox_source
from ext.records import (
    Applied,
    EligibilitySet,
    Kind,
    Record,
    Refused,
    Sourced,
    TokensAdjust,
    decode,
    encode,
    split,
)
from settlement.chain_events import EventName
from settlement.standing import Standing, StoredEvent, arrivals_after, standing

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
        events = await _events_of(connection, address, tranche)
        now = standing(events, final_time_s)
        if tranche == CASH:
            await _credit(connection, told, now)
        else:
            commands = [*_eligibility(told, now), *await _lots(connection, told, now, events)]
            by_shard.setdefault(told["shard"], []).extend(Sourced(encode(each)) for each in commands)
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
    answers: list[Record] = []
    for row in rows:
        event = row["last_event"]
        answers += _answers(row["events"], mark)
    number = max([number, *(answer.header.number for answer in answers)])
    taken = sorted({_subject(answer) for answer in answers if isinstance(answer, Applied)})
    refusals = [answer for answer in answers if isinstance(answer, Refused)]
    await connection.execute(_TAKEN, [account for account, _ in taken], [tranche for _, tranche in taken])
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


def _subject(answer: Record) -> tuple[int, int]:
    """Account and tranche that an answer is about."""
    return answer.header.account, answer.header.tranche


async def _take_refusal(connection: asyncpg.Connection, source: int, shard: int, refusal: Refused) -> None:
    """A command was refused: it was not told, and is told again after a while."""
    record: bytes = await connection.fetchval(
        "select record from engine.command_outbox where source = $1 and shard = $2 and number = $3",
        source, shard, refusal.header.number,
    )  # fmt: skip
    command = decode(record)
    head = command.header
    _log.warning("shard refused", kind=Kind(head.kind).name, account=head.account, reason=refusal.reason)
    untold = command.delta_lots if isinstance(command, TokensAdjust) else 0
    eligible = not command.eligible if isinstance(command, EligibilitySet) else None
    await connection.execute(_UNTELL, head.account, head.tranche, untold, eligible)


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
        "select name, amount, until_s, state, transaction_hash from settlement.chain_event"
        " where address = $1 and tranche = $2 and state <> 'gone' order by block_number, log_index",
        address, tranche,
    )  # fmt: skip
    return [
        StoredEvent(
            EventName(row["name"]),
            int(row["amount"]),
            row["until_s"],
            row["state"] == "final",
            row["transaction_hash"],
        )
        for row in rows
    ]


async def _credit(connection: asyncpg.Connection, told: Any, now: Standing) -> None:
    """Credit what is deposited and was not credited yet."""
    if now.amount > told["amount"]:
        await credit_deposit(
            connection, told["account"], CURRENCY, now.amount - told["amount"], actor=SOURCE_NAME
        )


def _eligibility(told: Any, now: Standing) -> list[Record]:
    """The command that says what of an account's eligibility is not told yet, if there is any."""
    if (now.eligible, now.until_s, now.country) == (told["eligible"], told["until_s"], told["country"]):
        return []
    command = eligibility_set(
        told["account"],
        told["tranche"],
        eligible=now.eligible,
        country=now.country,
        until_ns=now.until_s * _NANOSECONDS_PER_SECOND,
    )
    return [command]


async def _lots(
    connection: asyncpg.Connection, told: Any, now: Standing, events: Sequence[StoredEvent]
) -> list[Record]:
    """The commands between the lots told of and those there are now: what our batches brought unlocked each
    with its fill, all else together."""
    account, tranche = told["account"], told["tranche"]
    arrivals = arrivals_after(events, told["arrived"])
    rest = now.amount - told["amount"] + sum(arrival.lots for arrival in arrivals)
    commands: list[Record] = [tokens_adjust(account, tranche, rest)] if rest else []
    for arrival in arrivals:
        fill = await connection.fetchval(_FILL_OF, arrival.transaction_hash, tranche, account)
        commands.append(tokens_adjust(account, tranche, -arrival.lots, of_fill=fill or 0))
    return commands


async def _remember(connection: asyncpg.Connection, told: Any, now: Standing) -> None:
    await connection.execute(
        "update settlement.told set account = $3, amount = $4, eligible = $5, until_s = $6, country = $7,"
        " arrived = $8, not_before = null where address = $1 and tranche = $2",
        told["address"], told["tranche"], told["account"], now.amount, now.eligible, now.until_s, now.country,
        now.arrived,
    )  # fmt: skip


_TOLD: Final = """
select t.address, t.tranche, coalesce(t.account, a.account) as account, t.amount, t.eligible, t.until_s,
    t.country, t.arrived, r.shard
from settlement.told t
left join engine.account a using (address)
left join engine.tranche r on r.tranche = t.tranche
where t.address = $1 and t.tranche = $2 for update of t
"""

_FILL_OF: Final = """
select max(f.fill_number) from settlement.chain_transaction t
join settlement.instruction i on i.batch = t.batch and i.tranche = $2
join engine.fill f on f.tranche = i.tranche and f.fill_number = i.fill_number
where t.hash = $1 and f.buy_account = $3
"""
"""The last fill that a transaction of ours settles for a buyer: the shard hears last that it is final."""

_TAKEN: Final = """
update settlement.told t set refusals = 0 from unnest($1::integer[], $2::integer[]) as u(account, tranche)
where t.account = u.account and t.tranche = u.tranche and t.refusals > 0
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
