"""How settlement stands, for the live board, ``abst status`` and the administrator's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg

from settlement.comparison import Break, open_breaks


@dataclass(frozen=True, slots=True)
class SettlementStatus:
    """How settlement stands.

    ``batches`` and ``instructions``: how many by state. ``unsettled``: fills neither final nor failed, those
    without an instruction yet included, and ``oldest_unsettled_s``, the age of the oldest, None without one.
    ``fails``: fills that failed; ``held``: that wait for an operator. ``gas_used`` and ``fills_final`` are of
    final batches. ``breaks``: open ones, oldest first. ``reconciled_block``: the block of the last
    comparison, None before the first; ``reconciled_age_s``: how long ago.
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
    reconciled_block: int | None
    reconciled_age_s: float | None

    @property
    def gas_per_fill(self) -> float | None:
        """Gas of final batches over their fills; None before the first."""
        return self.gas_used / self.fills_final if self.fills_final else None


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
        reconciled_block=run["block_number"] if run else None,
        reconciled_age_s=run["age_s"] if run else None,
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
select block_number, extract(epoch from clock_timestamp() - at)::float8 as age_s
from settlement.reconciliation_run order by run desc limit 1
"""
