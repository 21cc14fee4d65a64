"""What participants read of the venue's records: orders, fills, balances, settlement (PostgreSQL).

Reads wait until the records contain what this gateway had told when it was asked, so that nobody reads an
order as missing that was just acknowledged to him. Pages are keyed: ``more`` says whether there is another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.database import Database
from engine.reasons import Reason
from ext.records import Refused, Side
from gateway.errors import BadParameters, CommandRefused
from gateway.fan_out import FanOut
from gateway.listing import Listing, Listings
from gateway.protocol import Parameters
from gateway.record_lag import RecordLag
from gateway.session import Session
from gateway.wire_events import stream_name
from gateway.words import MODE_WORDS, SIDE_WORDS, STATUS_WORDS, TIME_IN_FORCE_WORDS

PAGE_ROWS: Final = 500
PAGE_ROWS_MAX: Final = 5_000
OPEN_STATUSES: Final = (0, 1)
OUTCOME_WORDS: Final = {0: "matched", 1: "final", 2: "failed"}

_ORDERS: Final = """
select * from engine.orders
where account = $1 and ($2::int is null or tranche = $2) and order_id > $3
  and (not $4 or status = any($5::smallint[]))
order by order_id limit $6"""

_ORDER: Final = """
select * from engine.orders
where account = $1 and tranche = $2 and (order_id = $3 or ($3 = 0 and client_order_id = $4))
order by order_id desc limit 1"""

_FILLS: Final = """
select f.*, i.status, i.batch, i.reason, b.transaction_hash, b.block_number
from engine.fill f
left join settlement.instruction i using (tranche, fill_number)
left join settlement.batch b on b.batch = i.batch
where f.tranche = $2 and f.fill_number > $3 and f.fill_number <= $4
  and (f.buy_account = $1 or f.sell_account = $1)
order by f.fill_number limit $5"""

_BALANCES: Final = """
select tranche, sum(free)::bigint as free, sum(earmarked)::bigint as earmarked,
       sum(in_settlement)::bigint as in_settlement
from engine.balance where account = $1 group by tranche order by tranche"""

_KEPT: Final = """
select coalesce(sum(deposited_minor), 0)::bigint as deposited, coalesce(sum(free_minor), 0)::bigint as free
from engine.cash where account = $1"""


class Views:
    """Reads for participants; every method takes the session and the request's parameters."""

    def __init__(self, database: Database, lag: RecordLag, fan_out: FanOut, listings: Listings) -> None:
        self._database = database
        self._lag = lag
        self._fan_out = fan_out
        self._listings = listings

    async def orders_list(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        """``orders.list``: own orders, oldest first."""
        given = Parameters(params)
        account = self._account(session, given)
        listing = self._listing(given)
        open_only, limit = given.flag("open", False), _limit(given)
        after = given.whole("after_order_id", 0)
        given.finish()
        as_of = await self._caught_up(listing)
        tranche = None if listing is None else listing.tranche
        rows = await self._fetch(_ORDERS, account, tranche, after, open_only, OPEN_STATUSES, limit + 1)
        orders = [self._order(row) for row in rows[:limit]]
        return {"orders": orders, "more": len(rows) > limit, "as_of_event": as_of}

    async def order_get(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        """``order.get``: one own order, by its id or the client order id it was placed under."""
        given = Parameters(params)
        account = self._account(session, given)
        listing = self._listings.of_symbol(given.text("symbol"))
        order_id = given.whole("order_id", 0)
        client_order_id = given.client_order_id("client_order_id", "")
        given.finish()
        if bool(order_id) == bool(client_order_id):
            raise BadParameters("name the order by either order_id or client_order_id")
        await self._caught_up(listing)
        rows = await self._fetch(_ORDER, account, listing.tranche, order_id, client_order_id)
        if not rows:
            raise CommandRefused("the account has no such order", Reason.UNKNOWN_ORDER)
        return self._order(rows[0])

    async def order_that_ended(
        self, params: Mapping[str, Any], refused: Refused, listing: Listing
    ) -> dict[str, Any] | None:
        """Return the order that a refused replace or cancel (``params``) named, as it was when refused; None
        where the records do not know it under that name. Raises CommandRefused (712) when they are behind.
        """
        head = refused.header
        await self._lag.until(listing.shard, head.sequence)
        order_id, client_order_id = int(params.get("order_id", 0)), params.get("original_client_order_id", "")
        rows = await self._fetch(_ORDER, head.account, head.tranche, order_id, client_order_id)
        return self._order(rows[0]) if rows else None

    async def fills_list(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        """``fills.list``: own fills of a tranche with how they settle."""
        account, listing, rows, more = await self._fills(session, params)
        return {"fills": [self._fill(account, listing, row) for row in rows], "more": more}

    async def settlement_status(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        """``settlement.status``: how own fills of a tranche settle."""
        one = "fill_number" in params
        _, _, rows, more = await self._fills(session, params)
        if one and not rows:
            raise CommandRefused("the account has no such fill", Reason.UNKNOWN_FILL)
        return {"fills": [_settlement(row) for row in rows], "more": more}

    async def balances_get(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        """``balances.get``: cash over all shards and the keeper, and the lots of each tranche."""
        given = Parameters(params)
        account = self._account(session, given)
        given.finish()
        await self._caught_up(None)
        rows = await self._fetch(_BALANCES, account)
        kept = (await self._fetch(_KEPT, account))[0]
        cash = {"free": 0, "earmarked": 0, "in_settlement": 0}
        tokens = {}
        for row in rows:
            amounts = {name: row[name] for name in cash}
            listing = self._listings.get(row["tranche"])
            if row["tranche"] == 0:
                cash = amounts
            elif listing is not None:
                tokens[listing.symbol] = _texts(amounts)
        keeper = {"deposited": kept["deposited"], "unallotted": kept["free"]}
        return {"cash": _texts(cash | keeper), "tokens": tokens}

    # How they are made ------------------------------------------------------------------------------------

    async def _fills(
        self, session: Session, params: Mapping[str, Any]
    ) -> tuple[int, Listing, list[Any], bool]:
        given = Parameters(params)
        account = self._account(session, given)
        listing = self._listings.of_symbol(given.text("symbol"))
        one = given.small("fill_number", 0, high=2**53)
        after = given.small("after_fill_number", 0, high=2**53)
        limit = _limit(given)
        given.finish()
        await self._caught_up(listing)
        low, high = (one - 1, one) if one else (after, 2**62)
        rows = await self._fetch(_FILLS, account, listing.tranche, low, high, limit + 1)
        return account, listing, rows[:limit], len(rows) > limit

    def _account(self, session: Session, given: Parameters) -> int:
        account: int = given.small("account", low=1)
        session.check_account(account)
        return account

    def _listing(self, given: Parameters) -> Listing | None:
        symbol = given.text("symbol", None)
        return None if symbol is None else self._listings.of_symbol(symbol)

    async def _caught_up(self, listing: Listing | None) -> dict[str, int]:
        """Wait for the records of one shard or of all; return the events they contain."""
        shards = list(self._fan_out.passed) if listing is None else [listing.shard]
        told = {shard: self._fan_out.passed.get(shard, 0) for shard in shards}
        for shard, event in told.items():
            await self._lag.until(shard, event)
        return {str(shard): event for shard, event in told.items()}

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        async with self._database.connection() as connection:
            rows: list[Any] = await connection.fetch(query, *arguments)
        return rows

    def _order(self, row: Any) -> dict[str, Any]:
        listing = self._listings.get(row["tranche"])
        assert listing is not None, "orders are of listed tranches"
        return {
            "order_id": str(row["order_id"]),
            "client_order_id": row["client_order_id"],
            "original_client_order_id": row["client_order_id"],
            "status": STATUS_WORDS[row["status"]],
            "side": SIDE_WORDS[row["side"]],
            "time_in_force": TIME_IN_FORCE_WORDS[row["time_in_force"]],
            "price": listing.grid.text(row["price_ticks"]),
            "quantity": str(row["quantity_lots"]),
            "leaves": str(row["leaves_lots"]),
            "cum": str(row["cum_lots"]),
            "revision": row["revision"],
            "nonce": str(row["nonce"]),
            "stream": stream_name(row["account"], listing.symbol),
            "placed_at_ns": str(row["placed_at_ns"]),
            "changed_at_ns": str(row["changed_at_ns"]),
        }

    def _fill(self, account: int, listing: Listing, row: Any) -> dict[str, Any]:
        bought = row["buy_account"] == account
        side = Side.BUY if bought else Side.SELL
        return _settlement(row) | {
            "symbol": listing.symbol,
            "fill_id": str(row["fill_id"]),
            "order_id": str(row["buy_order_id"] if bought else row["sell_order_id"]),
            "side": SIDE_WORDS[side],
            "price": listing.grid.text(row["price_ticks"]),
            "quantity": str(row["quantity_lots"]),
            "amount": str(row["amount_minor"]),
            "fee": str(row["buyer_fee_minor"] if bought else row["seller_fee_minor"]),
            "terms": row["terms_id"],
            "mode": MODE_WORDS[row["mode"]],
            "aggressor": SIDE_WORDS.get(row["aggressor"], "auction"),
            "matched_at_ns": str(row["matched_at_ns"]),
        }


def _settlement(row: Any) -> dict[str, Any]:
    """How a fill settles, as settlement says; where it says nothing yet, as the engine knows."""
    status = {
        "fill_number": row["fill_number"],
        "status": row["status"] or OUTCOME_WORDS[row["outcome"]],
        "batch": row["batch"],
    }
    if row["transaction_hash"] is not None:
        status["transaction_hash"] = "0x" + row["transaction_hash"].hex()
    if row["block_number"] is not None:
        status["block_number"] = row["block_number"]
    if row["reason"]:
        status["reason"] = row["reason"]
    return status


def _limit(given: Parameters) -> int:
    limit: int = given.small("limit", PAGE_ROWS, low=1, high=PAGE_ROWS_MAX)
    return limit


def _texts(amounts: dict[str, int]) -> dict[str, str]:
    return {name: str(amount) for name, amount in amounts.items()}
