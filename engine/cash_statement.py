"""Proof that no cash is lost between the keeper and the shards, computed from the tables alone.

The keeper's books say what each shard should hold; the projected balances say what it does hold. Both are
read in one snapshot, and a transfer counts for a shard once the shard's event that ended it is projected.
"""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from engine.cash_keeper import CONSUMER


@dataclass(frozen=True, slots=True)
class CashStatement:
    """Where one currency's cash is, all accounts together, in minor units.

    ``allotted_minor`` is what the keeper's books say the shards were given less what they gave back, up to
    the events that the projected balances show; ``held_minor`` is what those balances add up to.
    ``in_transit_minor`` is the rest of the keeper's transfers, net: sent and not seen to arrive, or arrived
    (or come back) but not yet in the balances. ``decided`` is false while the keeper has still to take events
    that the balances already show: ask again then.
    """

    deposited_minor: int
    keeper_free_minor: int
    in_transit_minor: int
    allotted_minor: int
    held_minor: int
    fees_minor: int
    decided: bool

    @property
    def books_balance(self) -> bool:
        """The keeper's own books: deposited = free + in transit + allotted."""
        return self.deposited_minor == self.keeper_free_minor + self.in_transit_minor + self.allotted_minor

    @property
    def shards_agree(self) -> bool:
        """The shards hold what the books say they were given."""
        return self.held_minor + self.fees_minor == self.allotted_minor

    @property
    def balanced(self) -> bool:
        """Whether all is there; only a decided statement proves anything."""
        return self.books_balance and self.shards_agree


async def cash_statement(connection: asyncpg.Connection, currency: int) -> CashStatement:
    """Compute the statement of a currency in a transaction of its own (repeatable read, so one moment of all
    tables).
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        row = await connection.fetchrow(_STATEMENT, currency, CONSUMER)
    return CashStatement(**row)


_STATEMENT = """
with moved as (
    select shard, event, state,
        case direction when 'allot' then amount_minor else -amount_minor end as amount_minor
    from engine.cash_transfer
    where currency = $1 and (state = 'done' or (state = 'sent' and direction = 'allot'))
), shown as (
    select m.amount_minor, coalesce(m.state = 'done' and m.event <= p.event, false) as in_balances
    from moved m left join engine.projector_position p using (shard)
)
select
    (select coalesce(sum(deposited_minor), 0)::bigint from engine.cash
        where currency = $1) as deposited_minor,
    (select coalesce(sum(free_minor), 0)::bigint from engine.cash
        where currency = $1) as keeper_free_minor,
    (select coalesce(sum(amount_minor) filter (where not in_balances), 0)::bigint
        from shown) as in_transit_minor,
    (select coalesce(sum(amount_minor) filter (where in_balances), 0)::bigint
        from shown) as allotted_minor,
    (select coalesce(sum(free + earmarked + in_settlement), 0)::bigint from engine.balance
        where currency = $1 and tranche = 0) as held_minor,
    (select coalesce(sum(buyer_fee_minor + seller_fee_minor), 0)::bigint
        from engine.fill join engine.tranche using (tranche)
        where outcome = 1 and coalesce(document ->> 'currency', '1')::integer = $1) as fees_minor,
    not exists (
        select from engine.projector_position p
        left join engine.consumer_position k on k.shard = p.shard and k.consumer = $2
        where p.event > coalesce(k.event, 0)
    ) as decided
"""
