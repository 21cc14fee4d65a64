"""Proof of fills for the attestor: each fill and both its orders, as the journal has them and the accounts
signed them.

The projected tables only say where to look. What they say must be what the journal says, because settlement
composes its batch from them. Errors: :class:`~engine.journal_evidence.EvidenceError`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from engine.journal import JournalRow
from engine.journal_evidence import AcceptedOrder, EvidenceError, JournalEvidence
from engine.projection import FILL_COLUMNS, REVISION_COLUMNS, fill_row, revision_row
from engine.settlement_batch import FillFact
from engine.signed_order import (
    KIND_ONCE,
    KIND_STANDING,
    Domain,
    SignatureError,
    SignedOrder,
    order_digest,
    recover_signer,
)
from ext.records import OrderFlag, OrderPlace, Trade

_NANOSECONDS_PER_SECOND: Final = 1_000_000_000
_OrderKey = tuple[int, int, int]


class ProvenFills(NamedTuple):
    """Fills that are proven, by ascending number, and the journal row of the last."""

    facts: list[FillFact]
    last_row: JournalRow


class _Request(NamedTuple):
    """What the tables say of some fills: ``revisions`` by (account, nonce, revision), ``addresses`` by
    account.
    """

    fills: list[Any]
    revisions: dict[_OrderKey, Any]
    addresses: dict[int, bytes]
    tranche_token: bytes
    cash_token: bytes


class FillProver:
    """Proves fills of one DvP contract's domain; keeps the journal rows it verified last."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._evidence: dict[int, JournalEvidence] = {}

    async def prove(self, connection: Any, tranche: int, fill_numbers: Sequence[int]) -> ProvenFills:
        """Prove some fills of a tranche; EvidenceError names the first that is not proven, and why."""
        request = await _read(connection, tranche, fill_numbers)
        evidence = self._evidence_of({row["shard"] for row in request.fills})
        facts = [await self._fact(connection, evidence, request, row) for row in request.fills]
        last = await evidence.row(connection, request.fills[-1]["journal_row"])
        return ProvenFills(facts, last.row)

    def _evidence_of(self, shards: set[int]) -> JournalEvidence:
        """The journal that all fills are in."""
        if len(shards) != 1:
            raise EvidenceError(f"a batch is of one shard, not of {sorted(shards)}")
        (shard,) = shards
        return self._evidence.setdefault(shard, JournalEvidence(shard))

    async def _fact(
        self, connection: Any, evidence: JournalEvidence, request: _Request, row: Any
    ) -> FillFact:
        """One fill as the journal proves it."""
        number, journal_row = row["fill_number"], row["journal_row"]
        if row["outcome"]:
            raise EvidenceError(f"fill {number} is already decided")
        trade = (await evidence.row(connection, journal_row)).trades.get((row["tranche"], number))
        if trade is None:
            raise EvidenceError(f"fill {number} is not in journal row {journal_row}")
        if tuple(row[name] for name in FILL_COLUMNS) != fill_row(trade, evidence.shard, journal_row):
            raise EvidenceError(f"fill {number} differs from the journal")
        return FillFact(
            fill_number=number,
            lots=trade.quantity_lots,
            price_ticks=trade.price_ticks,
            match_time_ns=trade.header.time_ns,
            terms_id=trade.terms_id,
            buy=await self._order(connection, evidence, request, trade, "buy"),
            sell=await self._order(connection, evidence, request, trade, "sell"),
        )

    async def _order(
        self, connection: Any, evidence: JournalEvidence, request: _Request, trade: Trade, side: str
    ) -> SignedOrder:
        """The order of one side of a fill, as the journal proves it and its account signed it."""
        key = order_key(trade, side)
        name = f"the {side} order of fill {trade.fill_number}"
        row = request.revisions.get(key)
        if row is None:
            raise EvidenceError(f"{name} is not in the journal")
        proven = (await evidence.row(connection, row["journal_row"])).orders.get(key)
        if proven is None or proven.order_id != getattr(trade, f"{side}_order_id"):
            raise EvidenceError(f"{name} is not in journal row {row['journal_row']}")
        expected = revision_row(proven.order, proven.signature, proven.order_id, row["journal_row"])
        if tuple(row[column] for column in REVISION_COLUMNS) != expected:
            raise EvidenceError(f"{name} differs from the journal")
        return self._signed(request, proven, name)

    def _signed(self, request: _Request, proven: AcceptedOrder, name: str) -> SignedOrder:
        """What was signed; refused unless the account's own key signed exactly this."""
        address = request.addresses.get(proven.order.header.account)
        if address is None:
            raise EvidenceError(f"{name} is of an unknown account")
        signed = signed_order(proven.order, address, request.tranche_token, request.cash_token)
        try:
            signer = recover_signer(order_digest(self._domain, signed), proven.signature)
        except SignatureError as error:
            raise EvidenceError(f"{name}: {error}") from error
        if signer != address:
            raise EvidenceError(f"{name} was not signed by its account")
        return signed


def order_key(trade: Trade, side: str) -> _OrderKey:
    """Account, nonce and revision of the ``buy`` or ``sell`` order under which a fill matched."""
    account, nonce, revision = (getattr(trade, f"{side}_{name}") for name in ("account", "nonce", "revision"))
    return account, nonce, revision


def signed_order(order: OrderPlace, account: bytes, tranche_token: bytes, cash_token: bytes) -> SignedOrder:
    """What the investor signed to make this command (EIP-712); addresses have 20 bytes."""
    return SignedOrder(
        account=account,
        tranche_token=tranche_token,
        cash_token=cash_token,
        side=order.side,
        kind=KIND_STANDING if order.flags & OrderFlag.STANDING else KIND_ONCE,
        quantity_lots=order.quantity_lots,
        limit_price_ticks=order.price_ticks,
        cash_limit_per_lot=order.cash_limit_minor,
        fee_limit=order.fee_limit_minor,
        valid_until=order.valid_until_ns // _NANOSECONDS_PER_SECOND,
        nonce=order.nonce,
        version=order.revision,
    )


async def _read(connection: Any, tranche: int, fill_numbers: Sequence[int]) -> _Request:
    """Read what the tables say of the fills, their orders, accounts and tranche."""
    fills = await connection.fetch(_FILLS, tranche, list(fill_numbers))
    missing = sorted(set(fill_numbers) - {row["fill_number"] for row in fills})
    if missing or not fills:
        raise EvidenceError(f"fill {missing[0]} is not in the journal" if missing else "no fill was named")
    document = await connection.fetchval(_DOCUMENT, tranche)
    if document is None:
        raise EvidenceError(f"tranche {tranche} is not listed")
    revisions = await connection.fetch(_REVISIONS, tranche, list(fill_numbers))
    accounts = {row[name] for row in fills for name in ("buy_account", "sell_account")}
    addresses = await connection.fetch(_ADDRESSES, list(accounts))
    tokens = json.loads(document)
    return _Request(
        fills,
        {(row["account"], row["nonce"], row["revision"]): row for row in revisions},
        {row["account"]: row["address"] for row in addresses},
        bytes.fromhex(tokens["token"].removeprefix("0x")),
        bytes.fromhex(tokens["cash_token"].removeprefix("0x")),
    )


_FILLS: Final = """
select * from engine.fill where tranche = $1 and fill_number = any($2) order by fill_number
"""

_REVISIONS: Final = """
select r.* from engine.fill f join engine.order_revision r
    on (r.account, r.nonce, r.revision) = (f.buy_account, f.buy_nonce, f.buy_revision)
where f.tranche = $1 and f.fill_number = any($2)
union
select r.* from engine.fill f join engine.order_revision r
    on (r.account, r.nonce, r.revision) = (f.sell_account, f.sell_nonce, f.sell_revision)
where f.tranche = $1 and f.fill_number = any($2)
"""

_ADDRESSES: Final = "select account, address from engine.account where account = any($1)"

_DOCUMENT: Final = "select document::text from engine.tranche where tranche = $1"
