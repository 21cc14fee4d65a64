"""Comparisons of what should be with what is, and the breaks they leave in the tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import asyncpg
import structlog

_log = structlog.get_logger()


class BreakKind(StrEnum):
    """What is compared."""

    VAULT_ENTRY = "vault_entry"
    """An account's entry in the vault by deposits, withdrawals and final fills, minor units."""
    VAULT_TOTAL = "vault_total"
    """All entries of the vault together, minor units."""
    VAULT_BALANCE = "vault_balance"
    """The vault's balance of the cash token covers its entries, minor units."""
    LOCKED_TOKENS = "locked_tokens"
    """An account's locked tokens by locks and final fills, lots."""
    FILL_BIT = "fill_bit"
    """A fill is settled on chain if it is final, and not if it failed: 1 or 0."""
    LEDGER_DEPOSITS = "ledger_deposits"
    """What the cash keeper was credited against the final deposits, minor units."""
    LEDGER_CASH = "ledger_cash"
    """An account's cash in the shards: what the keeper gave, and decided fills, minor units."""
    LEDGER_TOKENS = "ledger_tokens"
    """An account's tokens in the shard: what the watcher told, and decided fills, lots."""
    OUTCOME = "outcome"
    """Fills of a tranche of whose end the engine says something else than settlement: how many."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``expected`` by the tables and ``actual`` by the other side; ``at_least``: more is no break."""

    kind: BreakKind
    subject: str
    expected: int
    actual: int
    at_least: bool = False

    @property
    def differs(self) -> bool:
        """Whether this is a break."""
        return self.actual < self.expected if self.at_least else self.actual != self.expected


@dataclass(frozen=True, slots=True)
class Break:
    """A difference that is there now, since ``opened_at``."""

    kind: str
    subject: str
    expected: int
    actual: int
    block_number: int
    opened_at: datetime


async def store_comparisons(
    connection: asyncpg.Connection, comparisons: Iterable[Comparison], block_number: int
) -> int:
    """Open and clear breaks by the outcome of a run; returns how many of its comparisons differ.

    A break of something that this run did not compare stays as it was.
    """
    compared = list(comparisons)
    differing = [each for each in compared if each.differs]
    equal = [each for each in compared if not each.differs]
    cleared = await connection.fetch(
        "update settlement.reconciliation_break b set cleared_at = now()"
        " from unnest($1::text[], $2::text[]) as u(kind, subject)"
        " where b.kind = u.kind and b.subject = u.subject and b.cleared_at is null"
        " returning b.kind, b.subject",
        [str(each.kind) for each in equal], [each.subject for each in equal],
    )  # fmt: skip
    for row in cleared:
        _log.info("break cleared", kind=row["kind"], subject=row["subject"])
    for each in differing:
        await _open(connection, each, block_number)
    await connection.execute(
        "insert into settlement.reconciliation_run (block_number, comparisons, differences)"
        " values ($1, $2, $3)",
        block_number, len(compared), len(differing),
    )  # fmt: skip
    return len(differing)


async def open_breaks(connection: asyncpg.Connection) -> list[Break]:
    """The breaks that are there now, oldest first."""
    rows = await connection.fetch(
        "select kind, subject, expected, actual, block_number, opened_at"
        " from settlement.reconciliation_break where cleared_at is null order by opened_at, break"
    )
    return [Break(**{**row, "expected": int(row["expected"]), "actual": int(row["actual"])}) for row in rows]


async def _open(connection: asyncpg.Connection, found: Comparison, block_number: int) -> None:
    """Open a break, or note what it amounts to now."""
    fresh = await connection.fetchval(
        "insert into settlement.reconciliation_break as b (kind, subject, expected, actual, block_number)"
        " values ($1, $2, $3, $4, $5) on conflict (kind, subject) where cleared_at is null"
        " do update set expected = excluded.expected, actual = excluded.actual,"
        " block_number = excluded.block_number returning xmax = 0",
        str(found.kind), found.subject, found.expected, found.actual, block_number,
    )  # fmt: skip
    if fresh:
        _log.error(
            "break",
            kind=str(found.kind),
            subject=found.subject,
            expected=found.expected,
            actual=found.actual,
            block=block_number,
        )
