"""Orders that ended, kept as bytes so that a client order id that comes again is answered with its order.

They never change, so their digest is a chain in the order of their ending, made as they end.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from engine.order_state import OrderState


class ClosedOrders:
    """Orders by id, and the chained digest over them."""

    __slots__ = ("_records", "digest")

    def __init__(self) -> None:
        self._records: dict[int, bytes] = {}
        self.digest = bytes(32)

    def add(self, order: OrderState) -> None:
        """Keep an order as it ended."""
        self.load(order.order_id, order.to_bytes())

    def load(self, order_id: int, record: bytes) -> None:
        """Keep an order in bytes."""
        assert order_id not in self._records
        self._records[order_id] = record
        self.digest = sha256(self.digest + record).digest()

    def get(self, order_id: int) -> bytes | None:
        """The order in bytes, None when no such order ended."""
        return self._records.get(order_id)

    def __iter__(self) -> Iterator[bytes]:
        """The orders in bytes, in the order in which they ended."""
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)
