"""The engine's ledger against what it was told and how fills ended, in one snapshot of the tables.

Only what the engine has answered in full is decided: an account's cash where the keeper has taken what the
balances show of its transfers, tokens and outcomes of a shard where all commands about them are answered and
projected.
"""

from __future__ import annotations

from typing import Any, Final

import asyncpg

from engine.cash_keeper import CONSUMER as KEEPER
from engine.cash_statement import cash_statement
from settlement.comparison import BreakKind, Comparison
from settlement.outcomes import SOURCE_NAME as OUTCOMES
from settlement.telling import CURRENCY, SOURCE_NAME


async def compare_ledger(connection: asyncpg.Connection) -> dict[BreakKind, list[Comparison]]:
    """Compare cash, tokens and outcomes; the caller's transaction is REPEATABLE READ."""
    rows = {
        BreakKind.LEDGER_CASH: await connection.fetch(_CASH, CURRENCY, KEEPER),
        BreakKind.LEDGER_TOKENS: await connection.fetch(_TOKENS, SOURCE_NAME),
        BreakKind.OUTCOME: await connection.fetch(_OUTCOMES, OUTCOMES),
    }
    compared = {kind: [_comparison(kind, row) for row in found] for kind, found in rows.items()}
    is_decided = all(each.decided for each in compared[BreakKind.LEDGER_CASH])
    return compared | await _compare_statement(connection, is_decided)


async def _compare_statement(
    connection: asyncpg.Connection, is_decided: bool
) -> dict[BreakKind, list[Comparison]]:
    """That no cash is lost between the keeper and the shards, over all accounts."""
    statement = await cash_statement(connection, CURRENCY)
    booked = statement.keeper_free_minor + statement.in_transit_minor + statement.allotted_minor
    held = statement.held_minor + statement.fees_minor
    return {
        kind: [Comparison(kind, f"currency {CURRENCY}", expected, actual, decided=is_decided)]
        for kind, expected, actual in (
            (BreakKind.KEEPER_BOOKS, statement.deposited_minor, booked),
            (BreakKind.CASH_IN_SHARDS, statement.allotted_minor, held),
        )
    }


def _comparison(kind: BreakKind, row: Any) -> Comparison:
    return Comparison(
        kind, row["subject"], int(row["expected"]), int(row["actual"]), decided=row.get("decided", True)
    )


_CASH: Final = """
with undecided as (
    select t.account from engine.cash_transfer t join engine.projector_position p using (shard)
    left join engine.consumer_position k on k.shard = t.shard and k.consumer = $2
    where t.currency = $1 and t.state = 'sent' and p.event > coalesce(k.event, 0)
), given as (
    select t.account,
        sum(case t.direction when 'allot' then t.amount_minor else -t.amount_minor end) as amount
    from engine.cash_transfer t join engine.projector_position p using (shard)
    where t.currency = $1 and t.state = 'done' and t.event <= p.event group by t.account
), fills as (
    select account, sum(amount) as amount from (
        select buy_account as account, -(amount_minor + buyer_fee_minor) as amount
            from engine.fill where outcome = 1
        union all
        select sell_account, amount_minor - seller_fee_minor from engine.fill where outcome = 1
    ) legs group by account
), held as (
    select account, sum(free + earmarked + in_settlement) as amount
    from engine.balance where tranche = 0 and currency = $1 group by account
)
select 'account ' || account as subject, coalesce(g.amount, 0) + coalesce(f.amount, 0) as expected,
    coalesce(h.amount, 0) as actual, account not in (select account from undecided) as decided
from given g full join fills f using (account) full join held h using (account)
"""

TOKENS_ANSWERED: Final = """
    select r.tranche from engine.tranche r
    left join engine.projector_position p using (shard)
    left join settlement.answers_read a using (shard)
    where coalesce(a.event, 0) <= coalesce(p.event, 0) and coalesce(a.number, 0) >= (
        select coalesce(max(o.number), 0) from engine.command_outbox o
        join engine.source s using (source) where s.name = {source} and o.shard = r.shard)
"""
"""Tranches whose shards have answered all that the watcher told of their accounts, as projected."""

_TOKENS: Final = f"""
with answered as ({TOKENS_ANSWERED.format(source="$1")}
), fills as (
    select account, tranche, sum(lots) as lots from (
        select buy_account as account, tranche, quantity_lots as lots from engine.fill where outcome = 1
        union all
        select sell_account, tranche, -quantity_lots from engine.fill where outcome = 1
    ) legs group by account, tranche
), told as (
    select account, tranche, amount as lots from settlement.told where account is not null and tranche <> 0
), held as (
    select account, tranche, sum(free + earmarked + in_settlement - elsewhere) as lots
    from engine.balance where tranche <> 0 group by account, tranche
)
select symbol || ' account ' || account as subject,
    coalesce(t.lots, 0) + coalesce(f.lots, 0) as expected, coalesce(h.lots, 0) as actual,
    tranche in (select tranche from answered) as decided
from engine.tranche r
join (told t full join fills f using (account, tranche) full join held h using (account, tranche))
    using (tranche)
"""

OUTCOMES_ANSWERED: Final = """
    select l.shard from engine.lease l
    left join engine.projector_position p using (shard)
    left join settlement.outcomes_answered a using (shard)
    where coalesce(a.answer_event, 0) <= coalesce(p.event, 0) and coalesce(a.number, 0) >= (
        select coalesce(max(o.number), 0) from engine.command_outbox o
        join engine.source s using (source) where s.name = {source} and o.shard = l.shard)
"""
"""Shards that have answered all that settlement told of outcomes, as projected."""

_OUTCOMES: Final = f"""
with answered as ({OUTCOMES_ANSWERED.format(source="$1")}
), wrong as (
    select tranche, coalesce(f.outcome, 0) <> 0 as is_told
    from engine.fill f full join settlement.instruction i using (tranche, fill_number)
    where coalesce(f.outcome, 0) <> case i.status when 'final' then 1 when 'failed' then 2 else 0 end
), counted as (
    select tranche, count(*) as wrong, count(*) filter (where is_told) as told_wrong
    from wrong group by tranche
)
select symbol as subject, 0 as expected, is_answered or told_wrong > 0 as decided,
    case when is_answered then wrong else told_wrong end as actual
from (
    select symbol, shard in (select shard from answered) as is_answered, coalesce(wrong, 0) as wrong,
        coalesce(told_wrong, 0) as told_wrong
    from engine.tranche left join counted using (tranche)
) tranches
"""
