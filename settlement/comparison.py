"""Comparisons of what should be with what is, and the breaks they leave in the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import asyncpg
import structlog

_log = structlog.get_logger()

RUNS_UNDECIDED_MAX: Final = 15
"""What could not be compared in so many runs in a row is shown: its other side does not come after."""


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
    LEDGER_VAULT = "ledger_vault"
    """An account's cash in the ledger by its entry in the vault, minor units."""
    DELIVERABLE = "deliverable"
    """The contract would deliver all that an account has in the shard, lots."""
    KEEPER_BOOKS = "keeper_books"
    """All deposits are free at the keeper, in transit, or in the shards by its books, minor units."""
    CASH_IN_SHARDS = "cash_in_shards"
    """What is in the shards by the keeper's books is in them, minor units."""
    LEDGER_CASH = "ledger_cash"
    """An account's cash in the shards: what the keeper gave, and decided fills, minor units."""
    LEDGER_TOKENS = "ledger_tokens"
    """An account's tokens in the shard less what it owes: what the watcher told, and decided fills, lots."""
    OUTCOME = "outcome"
    """Fills of a tranche of whose end the engine says something else than settlement: how many."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``expected`` by the tables and ``actual`` by the other side; ``at_least``: more is no break.

    ``decided`` is false while one side has still to take in what the other shows: nothing follows from it
    then, and it is made again in the next run.
    """

    kind: BreakKind
    subject: str
    expected: int
    actual: int
    at_least: bool = False
    decided: bool = True

    @property
    def differs(self) -> bool:
        """Whether this is a break."""
        wrong = self.actual < self.expected if self.at_least else self.actual != self.expected
        return wrong and self.decided


Compared = Mapping[BreakKind, Sequence[Comparison]]
"""What a run compared: a kind that is no key was not compared at all."""


@dataclass(frozen=True, slots=True)
class Break:
    """A difference that is there now, since ``opened_at``."""

    kind: str
    subject: str
    expected: int
    actual: int
    block_number: int
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Undecided:
    """What could not be compared in the last ``runs`` runs."""

    kind: str
    subject: str
    runs: int
    since: datetime


async def store_comparisons(
    connection: asyncpg.Connection, compared: Compared, block_number: int, as_of: datetime
) -> int:
    """Open and clear breaks by the outcome of a run; returns how many of its comparisons differ.

    A break of something that this run did not decide stays as it was. ``as_of`` is when the snapshot of the
    tables was taken. The run counts as complete when it decided every kind for all its subjects.
    """
    every = [each for kind in compared for each in compared[kind]]
    differing = [each for each in every if each.differs]
    await _clear(connection, [each for each in every if each.decided and not each.differs])
    for each in differing:
        await _open(connection, each, block_number)
    undecided = {(str(each.kind), each.subject) for each in every if not each.decided}
    undecided |= {(str(kind), "") for kind in BreakKind if kind not in compared}
    await _note_undecided(connection, sorted(undecided))
    await connection.execute(
        "insert into settlement.reconciliation_run"
        " (block_number, as_of, comparisons, differences, compared, complete)"
        " values ($1, $2, $3, $4, $5, $6)",
        block_number, as_of, sum(each.decided for each in every), len(differing),
        sorted({str(kind) for kind in compared} - {kind for kind, _ in undecided}), not undecided,
    )  # fmt: skip
    return len(differing)


async def open_breaks(connection: asyncpg.Connection) -> list[Break]:
    """The breaks that are there now, oldest first."""
    rows = await connection.fetch(
        "select kind, subject, expected, actual, block_number, opened_at"
        " from settlement.reconciliation_break where cleared_at is null order by opened_at, break"
    )
    return [Break(**{**row, "expected": int(row["expected"]), "actual": int(row["actual"])}) for row in rows]


async def long_undecided(connection: asyncpg.Connection) -> list[Undecided]:
    """What could not be compared for ``RUNS_UNDECIDED_MAX`` runs or more, longest first."""
    rows = await connection.fetch(
        "select kind, subject, runs, since from settlement.reconciliation_undecided where runs >= $1"
        " order by runs desc, kind, subject",
        RUNS_UNDECIDED_MAX,
    )
    return [Undecided(**row) for row in rows]


async def _clear(connection: asyncpg.Connection, equal: Sequence[Comparison]) -> None:
    """Clear the breaks of what does not differ any more."""
    cleared = await connection.fetch(
        "update settlement.reconciliation_break b set cleared_at = now()"
        " from unnest($1::text[], $2::text[]) as u(kind, subject)"
        " where b.kind = u.kind and b.subject = u.subject and b.cleared_at is null"
        " returning b.kind, b.subject",
        [str(each.kind) for each in equal], [each.subject for each in equal],
    )  # fmt: skip
    for row in cleared:
        _log.info("break cleared", kind=row["kind"], subject=row["subject"])


async def _note_undecided(connection: asyncpg.Connection, undecided: Sequence[tuple[str, str]]) -> None:
    """Count for how many runs in a row each was undecided; forget the others."""
    columns = [kind for kind, _ in undecided], [subject for _, subject in undecided]
    await connection.execute(_FORGET_DECIDED, *columns)
    for row in await connection.fetch(_COUNT_UNDECIDED, *columns):
        if row["runs"] == RUNS_UNDECIDED_MAX:
            _log.error("not compared", kind=row["kind"], subject=row["subject"], runs=row["runs"])


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


_FORGET_DECIDED: Final = """
delete from settlement.reconciliation_undecided d where not exists (
    select from unnest($1::text[], $2::text[]) as u(kind, subject)
    where u.kind = d.kind and u.subject = d.subject)
"""

_COUNT_UNDECIDED: Final = """
insert into settlement.reconciliation_undecided as d (kind, subject)
select * from unnest($1::text[], $2::text[])
on conflict (kind, subject) do update set runs = d.runs + 1
returning kind, subject, runs
"""
