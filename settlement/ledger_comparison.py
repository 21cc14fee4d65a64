"""The engine's ledger against what it was told and how fills ended, in one snapshot of the tables.

Only what the engine has answered in full is compared: an account's cash where the keeper has taken every
event that the balances show, tokens of a shard where all commands of the watcher are answered and projected.
"""

from __future__ import annotations

from typing import Any, Final

import asyncpg

from engine.cash_keeper import CONSUMER as KEEPER
from settlement.comparison import BreakKind, Comparison
from settlement.telling import CURRENCY, SOURCE_NAME


async def compare_ledger(connection: asyncpg.Connection) -> list[Comparison]:
    """Compare deposits, cash, tokens and outcomes; the caller's transaction is REPEATABLE READ."""
    found = _of(BreakKind.LEDGER_DEPOSITS, await connection.fetch(_DEPOSITS, CURRENCY))
    found += _of(BreakKind.LEDGER_CASH, await connection.fetch(_CASH, CURRENCY, KEEPER))
    found += _of(BreakKind.LEDGER_TOKENS, await connection.fetch(_TOKENS, SOURCE_NAME))
    return found + _of(BreakKind.OUTCOME, await connection.fetch(_OUTCOMES))


def _of(kind: BreakKind, rows: list[Any]) -> list[Comparison]:
    return [Comparison(kind, row["subject"], int(row["expected"]), int(row["actual"])) for row in rows]


_DEPOSITS: Final = """
select 'account ' || a.account as subject,
    coalesce((select sum(amount) from settlement.chain_event e
        where e.address = a.address and e.name = 'Deposited' and e.state = 'final'), 0) as expected,
    coalesce((select deposited_minor from engine.cash c where c.account = a.account and c.currency = $1), 0)
        as actual
from engine.account a
join settlement.told t on t.address = a.address and t.tranche = 0 and t.account is not null
"""

_CASH: Final = """
with given as (
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
    coalesce(h.amount, 0) as actual
from given g full join fills f using (account) full join held h using (account)
where not exists (
    select from engine.projector_position p
    left join engine.consumer_position k on k.shard = p.shard and k.consumer = $2
    where p.event > coalesce(k.event, 0)
)
"""

_TOKENS: Final = """
with answered as (
    select r.tranche, r.symbol from engine.tranche r
    join engine.projector_position p using (shard)
    left join settlement.answers_read a using (shard)
    where coalesce(a.event, 0) <= p.event and coalesce(a.number, 0) >= (
        select coalesce(max(o.number), 0) from engine.command_outbox o join engine.source s using (source)
        where s.name = $1 and o.shard = r.shard)
), fills as (
    select account, tranche, sum(lots) as lots from (
        select buy_account as account, tranche, quantity_lots as lots from engine.fill where outcome = 1
        union all
        select sell_account, tranche, -quantity_lots from engine.fill where outcome = 1
    ) legs group by account, tranche
), told as (
    select account, tranche, amount as lots from settlement.told where account is not null and tranche <> 0
), held as (
    select account, tranche, sum(free + earmarked + in_settlement) as lots
    from engine.balance where tranche <> 0 group by account, tranche
)
select symbol || ' account ' || account as subject,
    coalesce(t.lots, 0) + coalesce(f.lots, 0) as expected, coalesce(h.lots, 0) as actual
from answered
join (told t full join fills f using (account, tranche) full join held h using (account, tranche))
    using (tranche)
"""

_OUTCOMES: Final = """
select r.symbol as subject, 0 as expected, count(*) filter (
    where f.outcome <> case i.status when 'final' then 1 when 'failed' then 2 else 0 end) as actual
from engine.fill f
join engine.tranche r using (tranche)
join settlement.instruction i using (tranche, fill_number)
where f.outcome <> 0
group by r.symbol
"""
