"""Who waits for which answer."""

from typing import Any

import pytest

from gateway.errors import OutcomeUnknown, OverLimit
from gateway.pending import Pending


def test_the_first_event_of_a_command_is_its_answer() -> None:
    pending, heard = Pending(5), list[Any]()
    pending.add(1, 7, heard.append, 0)
    event: Any = object()
    pending.answered(1, 7, event)
    pending.answered(1, 7, event)
    pending.answered(2, 7, event)
    assert heard == [event]
    assert len(pending) == 0


def test_who_waits_too_long_is_told_once_and_its_command_still_counts() -> None:
    pending, heard = Pending(5, per_shard_limit=2), list[Any]()
    pending.add(1, 1, heard.append, 0.0)
    pending.add(1, 2, heard.append, 3.0)
    assert pending.expire(4.9) == 0
    assert pending.expire(5.0) == 1
    assert isinstance(heard[0], OutcomeUnknown)
    with pytest.raises(OverLimit):
        pending.check_room(1)
    pending.check_room(2)
    event: Any = object()
    pending.answered(1, 1, event)
    assert len(heard) == 1
    pending.check_room(1)
    assert pending.expire(100) == 1
