"""What a shard's journal proves of a fill and of the orders behind it.

A row counts once its own hash is recomputed and it chains to the rows on both sides (for the last row, to the
lease): whoever alters a row must alter every row after it. Errors: EvidenceError(ValueError).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, NamedTuple

from engine.journal import ZERO_HASH, JournalBrokenError, JournalRow, check_chain
from engine.projection import accepted_orders
from ext.records import Kind, OrderPlace, Trade, decode, split

_ROWS_KEPT: Final = 32


class EvidenceError(ValueError):
    """The journal does not prove it; the message says what."""


class AcceptedOrder(NamedTuple):
    """A signed revision of an order that the shard accepted, as its command carried it."""

    order_id: int
    order: OrderPlace
    signature: bytes


class ProvenRow:
    """A journal row that was verified: its fills by (tranche, number), its orders by (account, nonce,
    revision).
    """

    def __init__(self, row: JournalRow) -> None:
        self.row = row
        trades = [decode(event) for event in split(row.events) if event[0] == Kind.TRADE]
        self.trades = {
            (trade.header.tranche, trade.fill_number): trade for trade in trades if isinstance(trade, Trade)
        }
        self.orders = {
            (order.header.account, order.nonce, order.revision): AcceptedOrder(order_id, order, signature)
            for order_id, order, signature in accepted_orders(row)
        }


class JournalEvidence:
    """Reads and verifies rows of one shard's journal, and keeps the last few."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self._kept: OrderedDict[int, ProvenRow] = OrderedDict()

    async def row(self, connection: Any, number: int) -> ProvenRow:
        """Read a row and verify it.

        Raises:
            EvidenceError: It is not there, or does not chain.
        """
        proven = self._kept.pop(number, None)
        if proven is None:
            proven = ProvenRow(await self._read(connection, number))
        self._kept[number] = proven
        if len(self._kept) > _ROWS_KEPT:
            self._kept.popitem(last=False)
        return proven

    async def _read(self, connection: Any, number: int) -> JournalRow:
        """Read a row with its neighbours' hashes, and verify that they chain."""
        found = await connection.fetchrow(_ROW, self.shard, number)
        if found is None:
            raise EvidenceError(f"shard {self.shard} has no journal row {number}")
        *columns, before, after = found
        row = JournalRow(*columns)
        try:
            check_chain(row, number - 1, before or ZERO_HASH)
        except JournalBrokenError as error:
            raise EvidenceError(str(error)) from error
        if after != row.hash:
            raise EvidenceError(f"shard {self.shard}: what follows does not chain to row {number}")
        return row


_ROW: Final = """
select j.shard, j.row, j.epoch, j.first_command, j.last_command, j.first_event, j.last_event,
    j.commands, j.side, j.events, j.previous_hash, j.hash, j.state_digest,
    (select hash from engine.journal b where b.shard = j.shard and b.row = j.row - 1) as before,
    coalesce(
        (select previous_hash from engine.journal a where a.shard = j.shard and a.row = j.row + 1),
        (select last_hash from engine.lease l where l.shard = j.shard and l.last_row = j.row)
    ) as after
from engine.journal j where j.shard = $1 and j.row = $2
"""
