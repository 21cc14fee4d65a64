"""The cash keeper's tables, seen for one account in one currency; amounts are minor units.

Everything here runs in the transaction of the connection's owner, who holds the keeper's lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import asyncpg


@dataclass(frozen=True, slots=True)
class AccountCash:
    """What the keeper holds and moves for one account in one currency."""

    connection: asyncpg.Connection
    account: int
    currency: int

    async def deposit(self, amount_minor: int) -> None:
        """Count an amount as deposited, and as free here."""
        await self.connection.execute(_DEPOSIT, self.account, self.currency, amount_minor)

    async def add_free(self, amount_minor: int) -> None:
        """Change what is free here; the table refuses a result below zero. Sellers need never have
        deposited.
        """
        await self.connection.execute(_OPEN, self.account, self.currency)
        await self.connection.execute(_ADD_FREE, self.account, self.currency, amount_minor)

    async def free(self) -> int:
        """What is free here."""
        free: int | None = await self.connection.fetchval(_FREE, self.account, self.currency)
        return free or 0

    async def coming(self, shard: int) -> int:
        """What is already on its way to the shard, or asked back for it."""
        coming: int = await self.connection.fetchval(_COMING, self.account, self.currency, shard)
        return coming

    async def free_by_shard(self) -> dict[int, int]:
        """What lies free in each shard, as last projected and less what was already asked back."""
        rows = await self.connection.fetch(_FREE_BY_SHARD, self.account, self.currency)
        return {row["shard"]: row["free"] for row in rows}

    async def elsewhere(self, shard: int) -> int:
        """What is not in the shard: free here, on its way to others, and held by others as projected."""
        elsewhere: int = await self.connection.fetchval(_ELSEWHERE, self.account, self.currency, shard)
        return elsewhere

    async def write_transfer(
        self,
        shard: int,
        direction: Literal["allot", "recall"],
        amount_minor: int,
        *,
        wanted_by: int | None = None,
    ) -> int:
        """Write a transfer as sent and return its number."""
        transfer: int = await self.connection.fetchval(
            _WRITE_TRANSFER, self.account, self.currency, shard, direction, amount_minor, wanted_by
        )
        return transfer


_DEPOSIT = """
insert into engine.cash as c (account, currency, deposited_minor, free_minor) values ($1, $2, $3, $3)
on conflict (account, currency)
do update set deposited_minor = c.deposited_minor + $3, free_minor = c.free_minor + $3
"""

_OPEN = "insert into engine.cash (account, currency) values ($1, $2) on conflict do nothing"

_ADD_FREE = "update engine.cash set free_minor = free_minor + $3 where account = $1 and currency = $2"

_FREE = "select free_minor from engine.cash where account = $1 and currency = $2"

_COMING = """
select coalesce(sum(amount_minor), 0)::bigint from engine.cash_transfer
where account = $1 and currency = $2 and state = 'sent'
    and case direction when 'allot' then shard else wanted_by end = $3
"""

_FREE_BY_SHARD = """
select b.shard, b.free - coalesce((
    select sum(t.amount_minor) from engine.cash_transfer t
    where t.account = b.account and t.currency = b.currency and t.shard = b.shard
        and t.direction = 'recall' and t.state = 'sent'
), 0)::bigint as free
from engine.balance b where b.account = $1 and b.tranche = 0 and b.currency = $2
"""

_ELSEWHERE = """
select (
    coalesce((select free_minor from engine.cash where account = $1 and currency = $2), 0)
    + coalesce((
        select sum(amount_minor) from engine.cash_transfer
        where account = $1 and currency = $2 and state = 'sent' and direction = 'allot' and shard <> $3
    ), 0)
    + coalesce((
        select sum(free + earmarked + in_settlement) from engine.balance
        where account = $1 and tranche = 0 and currency = $2 and shard <> $3
    ), 0)
)::bigint
"""

_WRITE_TRANSFER = """
insert into engine.cash_transfer (account, currency, shard, direction, amount_minor, wanted_by)
values ($1, $2, $3, $4, $5, $6) returning transfer
"""
