"""A run waits until everything it did was compared, and says so only then."""

from typing import Any

from venue.replay.run import _is_reconciled


def status(**changes: Any) -> dict[str, Any]:
    return {"reconciled_block": 100, "reconciled_age_ms": 2_000} | changes


def test_a_run_is_reconciled_by_a_complete_comparison_begun_after_all_was_projected() -> None:
    assert _is_reconciled(status(), 100, 2.1)


def test_a_comparison_from_before_all_was_projected_does_not_count() -> None:
    assert not _is_reconciled(status(), 100, 1.9)
    assert not _is_reconciled(status(reconciled_age_ms=0), 100, float("-inf"))


def test_a_comparison_below_the_last_block_does_not_count() -> None:
    assert not _is_reconciled(status(), 101, 2.1)


def test_without_any_complete_comparison_even_a_run_without_fills_is_not_reconciled() -> None:
    assert not _is_reconciled(status(reconciled_block=None, reconciled_age_ms=None), 0, 60.0)
