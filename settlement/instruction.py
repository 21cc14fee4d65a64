"""The life of a settlement instruction: one per fill, a pure table (DESIGN 7).

``matched → batched → submitted → included → confirmed → final``; beside it ``held`` (by an operator, or
because the engine would not attest; failed when the settlement window has passed), ``reverted → isolated →
failed`` for the fill that cannot settle, and ``reverted → retried → batched`` for those only in its company.
A reorganisation steps back to ``submitted``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from settlement.errors import TransitionError


class InstructionStatus(StrEnum):
    """Where a fill stands on its way to finality. ``final`` and ``failed`` are the ends."""

    MATCHED = "matched"
    BATCHED = "batched"
    SUBMITTED = "submitted"
    INCLUDED = "included"
    CONFIRMED = "confirmed"
    FINAL = "final"
    HELD = "held"
    REVERTED = "reverted"
    ISOLATED = "isolated"
    RETRIED = "retried"
    FAILED = "failed"


class InstructionEvent(StrEnum):
    """What can happen to an instruction."""

    BATCH = "batch"
    SUBMIT = "submit"
    INCLUDE = "include"
    CONFIRM = "confirm"
    FINALISE = "finalise"
    REORGANISE = "reorganise"
    REVERT = "revert"
    ISOLATE = "isolate"
    RETRY = "retry"
    FAIL = "fail"
    HOLD = "hold"
    RELEASE = "release"


_S, _E = InstructionStatus, InstructionEvent

TRANSITIONS: Final[dict[tuple[InstructionStatus, InstructionEvent], InstructionStatus]] = {
    (_S.MATCHED, _E.BATCH): _S.BATCHED,
    (_S.RETRIED, _E.BATCH): _S.BATCHED,
    (_S.BATCHED, _E.SUBMIT): _S.SUBMITTED,
    (_S.SUBMITTED, _E.INCLUDE): _S.INCLUDED,
    (_S.INCLUDED, _E.CONFIRM): _S.CONFIRMED,
    (_S.CONFIRMED, _E.FINALISE): _S.FINAL,
    (_S.INCLUDED, _E.REORGANISE): _S.SUBMITTED,
    (_S.CONFIRMED, _E.REORGANISE): _S.SUBMITTED,
    (_S.BATCHED, _E.REVERT): _S.REVERTED,
    (_S.SUBMITTED, _E.REVERT): _S.REVERTED,
    (_S.REVERTED, _E.ISOLATE): _S.ISOLATED,
    (_S.REVERTED, _E.RETRY): _S.RETRIED,
    (_S.ISOLATED, _E.RETRY): _S.RETRIED,
    (_S.ISOLATED, _E.FAIL): _S.FAILED,
    (_S.HELD, _E.FAIL): _S.FAILED,
    (_S.MATCHED, _E.HOLD): _S.HELD,
    (_S.BATCHED, _E.HOLD): _S.HELD,
    (_S.RETRIED, _E.HOLD): _S.HELD,
    (_S.HELD, _E.RELEASE): _S.MATCHED,
}
"""Every step there is; what is not here is refused."""

WAITING: Final = frozenset({_S.MATCHED, _S.RETRIED})
"""Statuses from which a fill can join a batch."""

DECIDED: Final = frozenset({_S.FINAL, _S.FAILED})
"""Statuses that never change again."""


def next_status(status: InstructionStatus, event: InstructionEvent) -> InstructionStatus:
    """Return the status after ``event``; raises TransitionError where the table has no such step."""
    after = TRANSITIONS.get((status, event))
    if after is None:
        raise TransitionError(f"an instruction that is {status} cannot {event}")
    return after
