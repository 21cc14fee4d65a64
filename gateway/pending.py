"""Commands on their way: by shard and number, who waits for the answer.

A command stays here until its answer comes, also when its waiter was told that the outcome is unknown, so
that the number of commands on their way to a shard that is away stays bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from ext.records import Record
from gateway.errors import OutcomeUnknown, OverLimit, WireError

PER_SHARD_LIMIT: Final = 65_536
RETRY_AFTER_MS: Final = 1_000

Outcome = Record | WireError
Waiter = Callable[[Outcome], None]


class Pending:
    """Waiters of one gateway's commands. ``answer_within_s`` is how long one waits before 710 is
    answered.
    """

    def __init__(self, answer_within_s: float, per_shard_limit: int = PER_SHARD_LIMIT) -> None:
        self._answer_within_s = answer_within_s
        self._limit = per_shard_limit
        self._waiting: dict[int, dict[int, Waiter | None]] = {}
        self._deadlines: deque[tuple[float, int, int]] = deque()

    def check_room(self, shard: int) -> None:
        """Raise OverLimit when too many commands are on their way to the shard."""
        under_way = len(self._waiting.get(shard, ()))
        if under_way >= self._limit:
            raise OverLimit(
                f"{under_way} commands wait for shard {shard}",
                limit=self._limit,
                actual=under_way,
                retry_after_ms=RETRY_AFTER_MS,
            )

    def add(self, shard: int, number: int, waiter: Waiter, now_s: float) -> None:
        """Have ``waiter`` called with the first event of command ``number``, or with OutcomeUnknown."""
        self._waiting.setdefault(shard, {})[number] = waiter
        self._deadlines.append((now_s + self._answer_within_s, shard, number))

    def answered(self, shard: int, number: int, event: Record) -> None:
        """An event of command ``number`` came; the first one is its answer."""
        waiter = self._waiting[shard].pop(number, None) if shard in self._waiting else None
        if waiter is not None:
            waiter(event)

    def expire(self, now_s: float) -> int:
        """Tell those who waited too long that the outcome is unknown; return how many."""
        told = 0
        for shard, number in self._overdue(now_s):
            waiter = self._waiting[shard].get(number)
            if waiter is not None:
                self._waiting[shard][number] = None
                waiter(OutcomeUnknown("no answer from the shard yet", retry_after_ms=RETRY_AFTER_MS))
                told += 1
        return told

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _overdue(self, now_s: float) -> Iterator[tuple[int, int]]:
        while self._deadlines and self._deadlines[0][0] <= now_s:
            _, shard, number = self._deadlines.popleft()
            yield shard, number
