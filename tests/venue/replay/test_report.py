from dataclasses import replace

import pytest
from rich.console import Console

from venue.replay.report import Latency, Report, count_reasons, quantiles


def report() -> Report:
    return Report(
        run="replay-1", symbols=["TAPE"], commands=10, unanswered=0, rejects={}, fills=4, volume_lots=9,
        auction_price=["480000"], auction_volume_lots=2, fills_equal=True, first_difference="",
        compared_with="the files", batches=2, final=4, failed=0, gas_used=1000, gas_per_fill=250.0,
        latency_kind="open pipeline", acknowledgement=Latency(10, 1.5, 9.0), commands_per_second=100.0,
        match_to_final=Latency(4, 3000.0, 4000.0), breaks=0, reconciled=True, seconds=12.0,
    )  # fmt: skip


def test_a_run_succeeds_when_everything_is_equal_final_and_reconciled() -> None:
    assert report().succeeded


@pytest.mark.parametrize(
    "flaw",
    [
        {"fills_equal": False},
        {"final": 3},
        {"final": 3, "failed": 1},
        {"rejects": {401: 1}},
        {"unanswered": 1},
        {"breaks": 1},
        {"reconciled": False},
    ],
)
def test_any_flaw_makes_the_run_fail(flaw: dict[str, object]) -> None:
    assert not replace(report(), **flaw).succeeded  # type: ignore[arg-type]


def test_the_json_object_tells_success_and_every_figure() -> None:
    told = report().as_json_object()
    assert told["succeeded"] is True
    assert told["acknowledgement"] == {"count": 10, "p50_ms": 1.5, "p99_ms": 9.0}
    assert told["auction_price"] == ["480000"]


def test_the_table_labels_the_latency_and_names_the_first_difference() -> None:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(replace(report(), latency_kind="serial", first_difference="fill 3 differs").as_table())
    assert "acknowledgement, serial" in captured.get()
    assert "fill 3 differs" in captured.get()


def test_quantiles_are_of_the_nearest_rank() -> None:
    assert quantiles(list(range(1000, 101_000, 1000))) == Latency(100, 50.0, 99.0)
    assert quantiles([7000]) == Latency(1, 7.0, 7.0)
    assert quantiles([]) == Latency(0, None, None)


def test_reasons_are_counted_most_frequent_first_and_none_is_no_reason() -> None:
    assert list(count_reasons([0, 301, 401, 401]).items()) == [(401, 2), (301, 1)]
