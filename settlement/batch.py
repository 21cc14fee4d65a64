"""The life of a batch: one transaction, one tranche, settled whole or not at all. A pure table (DESIGN 7).

``batched → submitted → included → confirmed → final``; ``held`` waits for an operator; ``reverted`` is the
end of a batch that failed in simulation or on chain: its fills go on in other batches, or fail.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from settlement.errors import TransitionError


class BatchStatus(StrEnum):
    """Where a batch stands. ``final`` and ``reverted`` are the ends."""

    BATCHED = "batched"
    SUBMITTED = "submitted"
    INCLUDED = "included"
    CONFIRMED = "confirmed"
    FINAL = "final"
    HELD = "held"
    REVERTED = "reverted"


class BatchEvent(StrEnum):
    """What can happen to a batch."""

    SUBMIT = "submit"
    INCLUDE = "include"
    CONFIRM = "confirm"
    FINALISE = "finalise"
    REORGANISE = "reorganise"
    REVERT = "revert"
    HOLD = "hold"
    RELEASE = "release"


_S, _E = BatchStatus, BatchEvent

TRANSITIONS: Final[dict[tuple[BatchStatus, BatchEvent], BatchStatus]] = {
    (_S.BATCHED, _E.SUBMIT): _S.SUBMITTED,
    (_S.SUBMITTED, _E.INCLUDE): _S.INCLUDED,
    (_S.INCLUDED, _E.CONFIRM): _S.CONFIRMED,
    (_S.CONFIRMED, _E.FINALISE): _S.FINAL,
    (_S.INCLUDED, _E.REORGANISE): _S.SUBMITTED,
    (_S.CONFIRMED, _E.REORGANISE): _S.SUBMITTED,
    (_S.BATCHED, _E.REVERT): _S.REVERTED,
    (_S.SUBMITTED, _E.REVERT): _S.REVERTED,
    (_S.BATCHED, _E.HOLD): _S.HELD,
    (_S.HELD, _E.RELEASE): _S.BATCHED,
}
"""Every step there is; what is not here is refused."""

UNDER_WAY: Final = frozenset({_S.SUBMITTED, _S.INCLUDED, _S.CONFIRMED})
"""Statuses in which a transaction of the batch may be on the chain without being final."""


def next_status(status: BatchStatus, event: BatchEvent) -> BatchStatus:
    """Return the status after ``event``; raises TransitionError where the table has no such step."""
    after = TRANSITIONS.get((status, event))
    if after is None:
        raise TransitionError(f"a batch that is {status} cannot {event}")
    return after
