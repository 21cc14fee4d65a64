"""What the engine's ledger holds for each account, with what sets it apart from a final block of the chain.

Cash is what lies in the shards, free at the keeper and in transit; tokens are what a shard holds less what it
owes because it went away on chain. Chain and ledger take in the same things at different moments, and what
only one of them shows yet is known exactly: fills final in blocks up to this one that the shard was not told
of or has not answered, fills it has applied that are final in later blocks, deposits of later blocks that are
credited, and deposits of addresses for which nobody has told the keeper. Where it is not known, as when an
account's cash leaves the vault above the block, the holding is undecided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from engine.cash_keeper import CONSUMER as KEEPER
from settlement.ledger_comparison import OUTCOMES_ANSWERED, TOKENS_ANSWERED
from settlement.outcomes import SOURCE_NAME as OUTCOMES
from settlement.telling import CURRENCY
from settlement.telling import SOURCE_NAME as WATCHER


@dataclass(frozen=True, slots=True)
class LedgerHolding:
    """An account's holding in a tranche (0: cash), lots or minor units.

    ``ahead`` is by how much the ledger may and must be above the chain's state after the block.
    """

    address: bytes
    account: int
    tranche: int
    held: int
    ahead: int
    decided: bool


async def cash_holdings(connection: asyncpg.Connection, block: int) -> list[LedgerHolding]:
    """Cash of every account that ledger or vault knows; the caller's transaction is REPEATABLE READ."""
    return _holdings(await connection.fetch(_CASH, CURRENCY, KEEPER, OUTCOMES, block))


async def token_holdings(connection: asyncpg.Connection, block: int) -> list[LedgerHolding]:
    """Tokens of every account that a shard knows to have had any; as above."""
    return _holdings(await connection.fetch(_TOKENS, WATCHER, OUTCOMES, block))


def _holdings(rows: list[Any]) -> list[LedgerHolding]:
    return [
        LedgerHolding(
            row["address"],
            row["account"],
            row["tranche"],
            int(row["held"]),
            int(row["ahead"]),
            row["decided"],
        )
        for row in rows
    ]


_AHEAD: Final = """
    select f.tranche, f.buy_account, f.sell_account, f.quantity_lots, f.amount_minor,
        case f.outcome when 1 then 1 else -1 end as sign
    from engine.fill f
    join settlement.instruction i using (tranche, fill_number)
    join settlement.batch b on b.batch = i.batch
    where i.status = 'final' and b.status = 'final' and case f.outcome
        when 1 then b.block_number > {block}
        else b.block_number <= {block} and f.shard not in (select shard from answered) end
"""
"""Fills that are ahead of the block in the ledger (sign 1), or on chain ahead of the ledger (-1)."""

_CASH: Final = f"""
with answered as ({OUTCOMES_ANSWERED.format(source="$3")}
), transfers as (
    select t.account, t.state, t.direction, t.event <= p.event as in_balances,
        case t.direction when 'allot' then t.amount_minor else -t.amount_minor end as amount,
        coalesce(p.event, 0) > coalesce(k.event, 0) as keeper_lags
    from engine.cash_transfer t
    left join engine.projector_position p using (shard)
    left join engine.consumer_position k on k.shard = t.shard and k.consumer = $2
    where t.currency = $1
), in_transit as (
    select account, coalesce(bool_or(state = 'sent' and keeper_lags), false) as undecided,
        sum(amount) filter (where (state = 'done' and in_balances is not true)
            or (state = 'sent' and direction = 'allot')) as amount
    from transfers group by account
), held as (
    select account, sum(amount) as amount from (
        select account, free + earmarked + in_settlement as amount
            from engine.balance where tranche = 0 and currency = $1
        union all select account, free_minor from engine.cash where currency = $1
        union all select account, coalesce(amount, 0) from in_transit
    ) places group by account
), fills as ({_AHEAD.format(block="$4")}
), fills_ahead as (
    select account, sum(amount) as amount from (
        select buy_account as account, -sign * amount_minor as amount from fills
        union all select sell_account, sign * amount_minor from fills
    ) legs group by account
), seen as (
    select address,
        sum(amount) filter (where name = 'Deposited' and state = 'final' and block_number > $4) as later,
        sum(case name when 'Deposited' then amount when 'Withdrawn' then -amount else 0 end)
            filter (where state = 'final' and block_number <= $4) as net,
        bool_or(name <> 'Deposited' and block_number > $4) as undecided
    from settlement.chain_event where tranche = 0 and state <> 'gone' group by address
)
select a.address, a.account, 0 as tranche, coalesce(h.amount, 0) as held,
    coalesce(f.amount, 0) + case when t.account is null then -coalesce(s.net, 0) else coalesce(s.later, 0) end
        as ahead,
    not coalesce(s.undecided, false) and not coalesce(i.undecided, false) as decided
from engine.account a
left join held h using (account)
left join in_transit i using (account)
left join fills_ahead f using (account)
left join seen s on s.address = a.address
left join settlement.told t on t.address = a.address and t.tranche = 0
where h.account is not null or f.account is not null or s.address is not null
"""

_TOKENS: Final = f"""
with answered as ({OUTCOMES_ANSWERED.format(source="$2")}
), told_all as ({TOKENS_ANSWERED.format(source="$1")}
), held as (
    select account, tranche, sum(free + earmarked + in_settlement - elsewhere) as lots
    from engine.balance where tranche <> 0 group by account, tranche
), fills as ({_AHEAD.format(block="$3")}
), fills_ahead as (
    select account, tranche, sum(lots) as lots from (
        select buy_account as account, tranche, greatest(sign, 0) * quantity_lots as lots from fills
        union all select sell_account, tranche, -sign * quantity_lots from fills
    ) legs group by account, tranche
)
select a.address, h.account, h.tranche, h.lots as held, coalesce(f.lots, 0) as ahead,
    h.tranche in (select tranche from told_all) and t.not_before is null and not exists (
        select from settlement.chain_event e where e.address = a.address and e.tranche = h.tranche
            and e.block_number > $3 and e.state = 'final') as decided
from held h
join engine.account a using (account)
left join fills_ahead f using (account, tranche)
left join settlement.told t on t.address = a.address and t.tranche = h.tranche
"""
