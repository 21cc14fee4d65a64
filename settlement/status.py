"""How settlement stands, for the live board, ``abst status`` and the administrator's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg

from settlement.comparison import Break, Undecided, long_undecided, open_breaks

RECONCILED_WITHIN_S: Final = 60.0
"""While there is activity, everything must have been compared within so many seconds."""


@dataclass(frozen=True, slots=True)
class SettlementStatus:
    """How settlement stands.

    ``batches`` and ``instructions``: how many by state. ``unsettled``: fills neither final nor failed, those
    without an instruction yet included, and ``oldest_unsettled_s``, the age of the oldest, None without one.
    ``fails``: fills that failed; ``held``: that wait for an operator. ``gas_used`` and ``fills_final`` are of
    final batches. ``breaks``: open ones, oldest first. ``undecided``: what could not be compared for many
    runs in a row. ``reconciled_block``: the block of the last run that compared everything, None before the
    first; ``reconciled_age_s``: how long ago the tables were as it saw them. ``active_age_s``: how long ago
    a shard or settlement last did something, None when nothing ever happened; ``begun_age_s``: the first.
    """

    batches: Mapping[str, int]
    instructions: Mapping[str, int]
    unsettled: int
    oldest_unsettled_s: float | None
    fails: int
    held: int
    fills_final: int
    gas_used: int
    breaks: list[Break]
    undecided: list[Undecided]
    reconciled_block: int | None
    reconciled_age_s: float | None
    active_age_s: float | None
    begun_age_s: float | None

    @property
    def gas_per_fill(self) -> float | None:
        """Gas of final batches over their fills; None before the first."""
        return self.gas_used / self.fills_final if self.fills_final else None

    @property
    def is_reconciled(self) -> bool:
        """Whether everything was compared since the last activity (or lately, while it goes on) and found
        right.
        """
        if self.breaks or self.undecided:
            return False
        if self.active_age_s is None or self.begun_age_s is None:
            return True
        compared_s = self.begun_age_s if self.reconciled_age_s is None else self.reconciled_age_s
        return compared_s <= self.active_age_s or compared_s <= RECONCILED_WITHIN_S


async def settlement_status(connection: asyncpg.Connection) -> SettlementStatus:
    """Read the status in one snapshot, in a transaction of its own."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        batches = await connection.fetch("select status, count(*) from settlement.batch group by status")
        instructions = await connection.fetch(
            "select status, count(*) from settlement.instruction group by status"
        )
        unsettled = await connection.fetchrow(_UNSETTLED)
        final = await connection.fetchrow(_FINAL)
        run = await connection.fetchrow(_LAST_RUN)
        breaks = await open_breaks(connection)
        undecided = await long_undecided(connection)
        activity = await connection.fetchrow(_ACTIVITY)
    by_status = {row["status"]: row["count"] for row in instructions}
    return SettlementStatus(
        batches={row["status"]: row["count"] for row in batches},
        instructions=by_status,
        unsettled=unsettled["count"],
        oldest_unsettled_s=unsettled["age_s"],
        fails=by_status.get("failed", 0),
        held=by_status.get("held", 0),
        fills_final=final["fills"],
        gas_used=final["gas"],
        breaks=breaks,
        undecided=undecided,
        reconciled_block=run["block_number"] if run else None,
        reconciled_age_s=run["age_s"] if run else None,
        active_age_s=activity["active_age_s"],
        begun_age_s=activity["begun_age_s"],
    )


_UNSETTLED: Final = """
select count(*), extract(epoch from clock_timestamp())::float8 - min(f.matched_at_ns) / 1e9 as age_s
from engine.fill f left join settlement.instruction i using (tranche, fill_number)
where i.status is null or i.status not in ('final', 'failed')
"""

_FINAL: Final = """
select coalesce(sum(fill_count), 0)::bigint as fills, coalesce(sum(gas_used), 0)::bigint as gas
from settlement.batch where status = 'final'
"""

_LAST_RUN: Final = """
select block_number, extract(epoch from clock_timestamp() - as_of)::float8 as age_s
from settlement.reconciliation_run where complete order by run desc limit 1
"""

_ACTIVITY: Final = """
with acts as (
    select begun.written_at as began, latest.written_at as ended from engine.lease l
    cross join lateral (
        select written_at from engine.journal where shard = l.shard order by row limit 1) begun
    cross join lateral (
        select written_at from engine.journal where shard = l.shard order by row desc limit 1) latest
    union all
    select (select at from settlement.transition order by transition limit 1),
        (select at from settlement.transition order by transition desc limit 1)
)
select extract(epoch from clock_timestamp() - max(ended))::float8 as active_age_s,
    extract(epoch from clock_timestamp() - min(began))::float8 as begun_age_s
from acts
"""
