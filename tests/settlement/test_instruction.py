"""Every status with every event: the allowed steps lead where DESIGN 7 says, all others are refused."""

import itertools

import pytest

from settlement.errors import TransitionError
from settlement.instruction import (
    DECIDED,
    TRANSITIONS,
    InstructionEvent,
    InstructionStatus,
    next_status,
)

ALLOWED = {
    "matched": {"batch": "batched", "hold": "held"},
    "batched": {"submit": "submitted", "revert": "reverted", "hold": "held"},
    "submitted": {"include": "included", "revert": "reverted"},
    "included": {"confirm": "confirmed", "reorganise": "submitted"},
    "confirmed": {"finalise": "final", "reorganise": "submitted"},
    "final": {},
    "held": {"release": "matched", "fail": "failed"},
    "reverted": {"isolate": "isolated", "retry": "retried"},
    "isolated": {"fail": "failed", "retry": "retried"},
    "retried": {"batch": "batched", "hold": "held"},
    "failed": {},
}


@pytest.mark.parametrize(
    ("status", "event"), list(itertools.product(InstructionStatus, InstructionEvent)), ids=str
)
def test_every_event_in_every_status_leads_where_it_should_or_is_refused(
    status: InstructionStatus, event: InstructionEvent
) -> None:
    expected = ALLOWED[status].get(event)
    if expected is None:
        with pytest.raises(TransitionError, match=f"{status} cannot {event}"):
            next_status(status, event)
    else:
        assert next_status(status, event) == expected


def test_a_decided_instruction_never_changes_again() -> None:
    assert {status for status, _ in TRANSITIONS}.isdisjoint(DECIDED)


def test_every_status_but_the_first_can_be_reached() -> None:
    assert set(TRANSITIONS.values()) | {InstructionStatus.MATCHED} == set(InstructionStatus)
