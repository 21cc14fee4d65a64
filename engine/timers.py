"""Deadlines of open orders, due by (deadline, order id).

The deadlines are a function of the open orders, so a shard rebuilds them instead of keeping them in its
snapshot. An order that ended or whose deadline moved leaves its entry behind; whoever takes due entries
checks them.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush


class Deadlines:
    """A heap of (deadline, order id); adding and taking are O(log n)."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []

    def add(self, deadline_ns: int, order_id: int) -> None:
        """Note the deadline of an order."""
        heappush(self._heap, (deadline_ns, order_id))

    def is_due(self, now_ns: int) -> bool:
        """Whether an entry's deadline is at or before ``now_ns``."""
        return bool(self._heap) and self._heap[0][0] <= now_ns

    def first(self) -> tuple[int, int] | None:
        """The earliest (deadline, order id), None when there is none."""
        return self._heap[0] if self._heap else None

    def take(self) -> tuple[int, int]:
        """Remove and return the earliest (deadline, order id)."""
        return heappop(self._heap)

    def rebuild(self, entries: Iterable[tuple[int, int]]) -> None:
        """Keep these entries only."""
        self._heap = list(entries)
        heapify(self._heap)

    def __len__(self) -> int:
        return len(self._heap)

    def entries(self) -> set[tuple[int, int]]:
        """All (deadline, order id) noted; O(n), for checks."""
        return set(self._heap)
