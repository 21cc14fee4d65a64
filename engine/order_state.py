"""An order of a participant as the shard keeps it, open or closed, and its bytes."""

from __future__ import annotations

import struct
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from ext.records import OrderStatus, Side

if TYPE_CHECKING:
    from engine.holding import Holding

CLIENT_ID_BYTES: Final = 36
_FIELDS: Final = (
    "order_id",
    "nonce",
    "price_ticks",
    "quantity_lots",
    "leaves_lots",
    "cum_lots",
    "lot_earmark_minor",
    "fees_minor",
    "fee_limit_minor",
    "cash_limit_minor",
    "valid_until_ns",
    "deadline_ns",
    "revision",
    "terms_id",
    "flags",
    "side",
    "time_in_force",
    "status",
)
_values: Final = attrgetter(*_FIELDS)
_STRUCT: Final = struct.Struct("<QQqqqqqqqqqqIIIBBBxII")


class OrderState:
    """An order under its latest revision.

    ``lot_earmark_minor`` is the cash that each open lot of a buy holds. ``deadline_ns`` is when the shard
    ends the order by itself: the end of its signature or of the account's eligibility, whichever comes
    first. ``client_ids`` are all client order ids that named it: of its placing first, then of its
    replacements and its cancel.
    """

    __slots__ = (*_FIELDS, "client_ids", "holding")

    order_id: int
    nonce: int
    price_ticks: int
    quantity_lots: int
    leaves_lots: int
    cum_lots: int
    lot_earmark_minor: int
    fees_minor: int
    fee_limit_minor: int
    cash_limit_minor: int
    valid_until_ns: int
    deadline_ns: int
    revision: int
    terms_id: int
    flags: int
    side: int
    time_in_force: int
    status: int
    holding: Holding
    client_ids: list[bytes]

    def held(self) -> int:
        """What the order holds of its account's funds: minor units for a buy, lots for a sell."""
        return self.leaves_lots * self.lot_earmark_minor if self.side == Side.BUY else self.leaves_lots

    def is_open(self) -> bool:
        """Whether the order can still fill."""
        return self.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)

    def to_bytes(self) -> bytes:
        """The order as it stands in a snapshot."""
        account = self.holding.account.account
        head = _STRUCT.pack(*_values(self), account, len(self.client_ids))
        return head + b"".join(self.client_ids)


def order_id_of(record: bytes) -> int:
    """The id of an order in bytes."""
    order_id: int = _STRUCT.unpack_from(record)[0]
    return order_id


def account_of(record: bytes) -> int:
    """The account of an order in bytes."""
    account: int = _STRUCT.unpack_from(record)[-2]
    return account


def client_ids_of(record: bytes) -> list[bytes]:
    """All client order ids of an order in bytes."""
    start = _STRUCT.size
    return [record[at : at + CLIENT_ID_BYTES] for at in range(start, len(record), CLIENT_ID_BYTES)]


def record_bytes(buffer: memoryview) -> int:
    """The length of the order that ``buffer`` begins with."""
    length: int = _STRUCT.size + CLIENT_ID_BYTES * _STRUCT.unpack_from(buffer)[-1]
    return length


def order_from_bytes(record: bytes, holding: Holding) -> OrderState:
    """Read an order of ``holding``'s account back from :meth:`OrderState.to_bytes`."""
    order = OrderState()
    for name, value in zip(_FIELDS, _STRUCT.unpack_from(record), strict=False):
        setattr(order, name, value)
    order.client_ids = client_ids_of(record)
    order.holding = holding
    return order
