"""How a venue stands, read from its database: shards, fills and batches by state, fails, breaks."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import asyncpg
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from settlement.status import SettlementStatus, settlement_status
from venue.configuration import Configuration
from venue.data_directory import DataDirectory
from venue.problems import ProblemNumber, VenueError

_CONNECT_SECONDS_MAX = 5.0
_BREAKS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """One shard: its writer's epoch and address, rows and events journalled, events not yet projected."""

    shard: int
    epoch: int
    address: str
    rows: int
    events: int
    projector_lag: int


@dataclass(frozen=True, slots=True)
class VenueStatus:
    """How a venue stands. ``processes`` by name, where an embedded stack tells of them."""

    shards: list[ShardStatus]
    settlement: SettlementStatus
    processes: dict[str, dict[str, Any]]

    @property
    def is_well(self) -> bool:
        """Whether every shard has a writer, nothing failed to settle, and everything was compared since the
        last activity, without a break.
        """
        settled = not self.settlement.fails and self.settlement.is_reconciled
        return all(shard.address for shard in self.shards) and settled

    def as_json_object(self) -> dict[str, Any]:
        """Return the status for ``--json``."""
        return {"is_well": self.is_well} | dataclasses.asdict(self)


class StatusReader:
    """Reads the status of one venue again and again, over one connection that is made anew when it is
    lost.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._data = DataDirectory(configuration.data_directory)
        self._dsn = configuration.postgres.dsn
        self._connection: asyncpg.Connection | None = None

    async def read(self) -> VenueStatus:
        """Read the status; VenueError 910 when no venue runs, 911 when its database does not answer."""
        venue = {} if self._dsn else self._data.read_venue()
        try:
            connection = await self._connected(self._dsn or venue["dsn"])
            rows = await connection.fetch(_SHARDS)
            settlement = await settlement_status(connection)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self.close()
            raise VenueError(
                ProblemNumber.VENUE_GONE, f"the venue's database does not answer: {error}", "See its log."
            ) from error
        return VenueStatus([ShardStatus(**row) for row in rows], settlement, venue.get("processes", {}))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _connected(self, dsn: str) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS_MAX)
        return self._connection


def board(status: VenueStatus) -> RenderableType:
    """Return the status for a terminal."""
    parts: list[RenderableType] = [_shards(status.shards), _settlement(status.settlement)]
    if status.processes:
        parts.insert(0, _processes(status.processes))
    if status.settlement.breaks:
        parts.append(_breaks(status.settlement))
    return Group(*parts)


def _processes(processes: dict[str, dict[str, Any]]) -> Table:
    table = Table("process", "pid", "state", "restarts", title="processes")
    for name, process in processes.items():
        style = "green" if process["state"] == "ready" else "red"
        table.add_row(name, str(process["pid"]), Text(process["state"], style), str(process["restarts"]))
    return table


def _shards(shards: Iterable[ShardStatus]) -> Table:
    table = Table("shard", "epoch", "address", "rows", "events", "projector lag", title="shards")
    for shard in shards:
        address = Text(shard.address) if shard.address else Text("none", "red")
        counts = (f"{count:,}" for count in (shard.rows, shard.events, shard.projector_lag))
        table.add_row(str(shard.shard), str(shard.epoch), address, *counts)
    return table


def _settlement(status: SettlementStatus) -> Table:
    table = Table(show_header=False, title="settlement")
    oldest = "none" if status.oldest_unsettled_s is None else f"{status.oldest_unsettled_s:.1f} s"
    reconciled = "never" if status.reconciled_block is None else f"block {status.reconciled_block:,}"
    gas = "-" if status.gas_per_fill is None else f"{status.gas_per_fill:,.0f}"
    for name, value, bad in (
        ("batches", _by_state(status.batches), False),
        ("fills", _by_state(status.instructions), False),
        ("not settled yet", f"{status.unsettled:,}", False),
        ("oldest of them", oldest, False),
        ("held", f"{status.held:,}", status.held > 0),
        ("fails", f"{status.fails:,}", status.fails > 0),
        ("breaks", f"{len(status.breaks):,}", bool(status.breaks)),
        ("not compared", _not_compared(status), bool(status.undecided)),
        ("reconciled to", reconciled, not status.is_reconciled),
        ("gas a fill", gas, False),
    ):
        table.add_row(Text(name, "bold"), Text(value, "bold red" if bad else ""))
    return table


def _by_state(counts: Any) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())) or "none"


def _not_compared(status: SettlementStatus) -> str:
    """What could not be compared for long, by kind with how many subjects."""
    return _by_state(Counter(each.kind for each in status.undecided))


def _breaks(status: SettlementStatus) -> Table:
    table = Table("break", "of", "expected", "actual", title="breaks")
    for each in status.breaks[:_BREAKS_SHOWN]:
        table.add_row(each.kind, each.subject, f"{each.expected:,}", f"{each.actual:,}")
    return table


_SHARDS = """
select l.shard, l.epoch, l.address, l.last_row as rows, coalesce(j.last_event, 0) as events,
       coalesce(j.last_event, 0) - coalesce(p.event, 0) as projector_lag
from engine.lease l
left join engine.projector_position p using (shard)
left join lateral (
    select last_event from engine.journal where shard = l.shard order by row desc limit 1
) j on true
order by l.shard
"""
