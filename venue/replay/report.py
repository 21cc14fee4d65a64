"""The figures of a run, as a table for people and as one JSON object for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles of a latency in milliseconds over ``count`` samples; None where there is none."""

    count: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(slots=True)
class Report:
    """Everything a run prints. ``latency_kind`` is ``open pipeline`` or ``serial``; ``rejects`` by numbered
    reason.
    """

    run: str
    symbols: list[str]
    commands: int
    unanswered: int
    rejects: dict[int, int]
    fills: int
    volume_lots: int
    auction_price: list[str]
    auction_volume_lots: int
    fills_equal: bool
    first_difference: str
    compared_with: str
    batches: int
    final: int
    failed: int
    gas_used: int
    gas_per_fill: float | None
    latency_kind: str
    acknowledgement: Latency
    commands_per_second: float | None
    match_to_final: Latency
    breaks: int
    reconciled: bool
    seconds: float
    venue_ready_seconds: float | None = None
    venue_memory_mib: float | None = None
    fail_reasons: list[str] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        """Whether every command was answered and none refused, all fills are equal, all are final on chain,
        and reconciliation shows no break.
        """
        all_taken = not self.unanswered and not self.rejects
        all_final = self.final == self.fills and not self.failed
        return all_taken and self.fills_equal and all_final and self.reconciled and not self.breaks

    def as_json_object(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return {"succeeded": self.succeeded} | asdict(self)

    def as_table(self) -> Table:
        """Return the report for a terminal."""
        table = Table(title=f"{self.run}: {'succeeded' if self.succeeded else 'FAILED'}", show_header=False)
        table.add_column(style="bold")
        table.add_column()
        for name, value in self._rows():
            table.add_row(name, value)
        return table

    def _rows(self) -> list[tuple[str, str]]:
        rejects = ", ".join(f"{count} x {reason}" for reason, count in self.rejects.items())
        rows = [
            ("commands", f"{self.commands:,} over {', '.join(self.symbols)}"),
            ("without an answer", f"{self.unanswered:,}"),
            ("rejects", rejects or "none"),
            ("fills", f"{self.fills:,}, {self.volume_lots:,} lots"),
            ("auction", f"{' / '.join(self.auction_price) or 'none'}, {self.auction_volume_lots:,} lots"),
            (
                "fills as they must be",
                f"{'yes' if self.fills_equal else 'NO'}, one by one ({self.compared_with})",
            ),
            ("batches", f"{self.batches:,} final on chain: {self.final:,} fills, {self.failed:,} failed"),
            ("gas", f"{self.gas_used:,}, {_number(self.gas_per_fill)} a fill"),
            (f"acknowledgement, {self.latency_kind}", _quantiles(self.acknowledgement)),
            ("commands a second", _number(self.commands_per_second)),
            ("match to final on chain", _quantiles(self.match_to_final)),
            ("reconciliation", f"{self.breaks} breaks" if self.reconciled else "NOT DONE"),
            ("time", f"{self.seconds:.1f} s"),
        ]
        if self.venue_ready_seconds is not None:
            memory = f", {_number(self.venue_memory_mib)} MiB (PSS)"
            rows.append(("embedded venue", f"ready in {self.venue_ready_seconds:.1f} s{memory}"))
        rows += [("first difference", self.first_difference)] if self.first_difference else []
        return rows + [("failed", reason) for reason in self.fail_reasons]


def quantiles(samples_us: Sequence[int]) -> Latency:
    """Return p50 and p99 of samples in microseconds (nearest rank)."""
    if not samples_us:
        return Latency(0, None, None)
    ordered = sorted(samples_us)
    p50, p99 = (ordered[-(-len(ordered) * percent // 100) - 1] / 1000 for percent in (50, 99))
    return Latency(len(ordered), p50, p99)


def count_reasons(reasons: Sequence[int]) -> dict[int, int]:
    """Return how often each numbered reason came, most frequent first; 0 is none."""
    return dict(Counter(reason for reason in reasons if reason).most_common())


def _quantiles(latency: Latency) -> str:
    if latency.p50_ms is None or latency.p99_ms is None:
        return "not measured"
    return f"p50 {latency.p50_ms:,.1f} ms, p99 {latency.p99_ms:,.1f} ms ({latency.count:,} samples)"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
