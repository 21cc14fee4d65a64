"""Every status of a batch with every event."""

import itertools

import pytest

from settlement.batch import TRANSITIONS, UNDER_WAY, BatchEvent, BatchStatus, next_status
from settlement.errors import TransitionError

ALLOWED = {
    "batched": {"submit": "submitted", "revert": "reverted", "hold": "held"},
    "submitted": {"include": "included", "revert": "reverted"},
    "included": {"confirm": "confirmed", "reorganise": "submitted"},
    "confirmed": {"finalise": "final", "reorganise": "submitted"},
    "final": {},
    "held": {"release": "batched"},
    "reverted": {},
}


@pytest.mark.parametrize(("status", "event"), list(itertools.product(BatchStatus, BatchEvent)), ids=str)
def test_every_event_in_every_status_leads_where_it_should_or_is_refused(
    status: BatchStatus, event: BatchEvent
) -> None:
    expected = ALLOWED[status].get(event)
    if expected is None:
        with pytest.raises(TransitionError, match=f"{status} cannot {event}"):
            next_status(status, event)
    else:
        assert next_status(status, event) == expected


def test_a_final_or_reverted_batch_never_changes_again() -> None:
    assert {status for status, _ in TRANSITIONS}.isdisjoint({BatchStatus.FINAL, BatchStatus.REVERTED})


def test_a_batch_on_the_chain_is_always_under_way() -> None:
    assert {BatchStatus.SUBMITTED, BatchStatus.INCLUDED, BatchStatus.CONFIRMED} == UNDER_WAY
