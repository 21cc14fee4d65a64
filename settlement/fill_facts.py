"""The facts of a batch's fills as the contract needs them: what matched, and what each side signed.

Read from what the projector wrote, which the engine checks against its journal before it attests the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from engine.settlement_batch import FillFact
from engine.signed_order import KIND_ONCE, KIND_STANDING, SIDE_BUY, SIDE_SELL, SignedOrder

_NANOSECONDS_PER_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """Fills of a batch by ascending number, and the 65-byte signature of every order they name."""

    fills: list[FillFact]
    signatures: dict[SignedOrder, bytes]


async def batch_facts(connection: asyncpg.Connection, tranche: int, fill_numbers: list[int]) -> BatchFacts:
    """Read the facts of these fills, by ascending number."""
    token, cash_token = await tokens_of(connection, tranche)
    rows = await connection.fetch(_FACTS, tranche, fill_numbers)
    signatures: dict[SignedOrder, bytes] = {}
    fills = [_fill_fact(row, token, cash_token, signatures) for row in rows]
    return BatchFacts(fills, signatures)


async def tokens_of(connection: asyncpg.Connection, tranche: int) -> tuple[bytes, bytes]:
    """Tranche token and cash token (20 bytes each) that a tranche's orders are signed for."""
    row = await connection.fetchrow(
        "select document ->> 'token' as token, document ->> 'cash_token' as cash_token from engine.tranche"
        " where tranche = $1",
        tranche,
    )
    token, cash_token = (bytes.fromhex(row[name].removeprefix("0x")) for name in ("token", "cash_token"))
    return token, cash_token


def _fill_fact(row: Any, token: bytes, cash_token: bytes, signatures: dict[SignedOrder, bytes]) -> FillFact:
    buy = _signed_order(row, "buy", SIDE_BUY, token, cash_token)
    sell = _signed_order(row, "sell", SIDE_SELL, token, cash_token)
    signatures[buy], signatures[sell] = row["buy_signature"], row["sell_signature"]
    return FillFact(
        fill_number=row["fill_number"],
        lots=row["quantity_lots"],
        price_ticks=row["price_ticks"],
        match_time_ns=row["matched_at_ns"],
        terms_id=row["terms_id"],
        buy=buy,
        sell=sell,
    )


def _signed_order(row: Any, name: str, side: int, token: bytes, cash_token: bytes) -> SignedOrder:
    """One side's order, as its account signed the revision that matched."""
    return SignedOrder(
        account=row[f"{name}_address"],
        tranche_token=token,
        cash_token=cash_token,
        side=side,
        kind=KIND_STANDING if row[f"{name}_standing"] else KIND_ONCE,
        quantity_lots=row[f"{name}_quantity_lots"],
        limit_price_ticks=row[f"{name}_price_ticks"],
        cash_limit_per_lot=row[f"{name}_cash_limit_minor"],
        fee_limit=row[f"{name}_fee_limit_minor"],
        valid_until=row[f"{name}_valid_until_ns"] // _NANOSECONDS_PER_SECOND,
        nonce=row[f"{name}_nonce"],
        version=row[f"{name}_revision"],
    )


def _side_columns(name: str, alias: str) -> str:
    columns = (
        "standing, quantity_lots, price_ticks, cash_limit_minor, fee_limit_minor, valid_until_ns, signature"
    )
    return ", ".join(
        [f"{alias}.{column} as {name}_{column}" for column in columns.split(", ")]
        + [f"f.{name}_nonce", f"f.{name}_revision", f"{alias}a.address as {name}_address"]
    )


_FACTS: Final = f"""
select f.fill_number, f.quantity_lots, f.price_ticks, f.matched_at_ns, f.terms_id,
    {_side_columns("buy", "b")}, {_side_columns("sell", "s")}
from engine.fill f
join engine.order_revision b
    on (b.account, b.nonce, b.revision) = (f.buy_account, f.buy_nonce, f.buy_revision)
join engine.order_revision s
    on (s.account, s.nonce, s.revision) = (f.sell_account, f.sell_nonce, f.sell_revision)
join engine.account ba on ba.account = f.buy_account
join engine.account sa on sa.account = f.sell_account
where f.tranche = $1 and f.fill_number = any($2)
order by f.fill_number
"""
