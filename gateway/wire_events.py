"""The engine's events as they stand on the wire. No I/O.

Every function takes a record and gives the JSON object of a result, an ``account.event`` or a market
notification; prices become decimals on the tranche's grid, large numbers decimal strings (docs/API.md).
"""

from __future__ import annotations

from typing import Any, Final

from engine.reasons import Reason
from ext.records import (
    AuctionIndicative,
    Balance,
    ExecType,
    ExecutionReport,
    Kind,
    PhaseChanged,
    Record,
    Refused,
    SettlementUpdated,
    Trade,
    client_text,
)
from gateway.errors import CommandRefused
from gateway.listing import CASH_PREFIX, Listing
from gateway.words import (
    EXEC_TYPE_WORDS,
    LIQUIDITY_WORDS,
    MODE_WORDS,
    PHASE_WORDS,
    SIDE_WORDS,
    STATUS_WORDS,
    TIME_IN_FORCE_WORDS,
)

FUNDS_RETRY_MS: Final = 250
COMMAND_WORDS: Final = {
    int(Kind.ORDER_PLACE): "order.place",
    int(Kind.ORDER_REPLACE): "order.replace",
    int(Kind.ORDER_CANCEL): "order.cancel",
}


def stream_name(account: int, symbol: str) -> str:
    """Return the name of a private stream of a tranche."""
    return f"{account}:{symbol}"


def cash_stream_name(account: int, shard: int) -> str:
    """Return the name of the account's cash stream in a shard."""
    return f"{account}:{CASH_PREFIX}{shard}"


def order_state(report: ExecutionReport, listing: Listing) -> dict[str, Any]:
    """Return an order as it stands after a report."""
    state: dict[str, Any] = {
        "order_id": str(report.order_id),
        "client_order_id": client_text(report.client_order_id),
        "original_client_order_id": client_text(report.original_client_order_id),
        "status": STATUS_WORDS[report.order_status],
        "exec_type": EXEC_TYPE_WORDS[report.exec_type],
        "side": SIDE_WORDS[report.side],
        "time_in_force": TIME_IN_FORCE_WORDS[report.time_in_force],
        "price": listing.grid.text(report.price_ticks),
        "quantity": str(report.quantity_lots),
        "leaves": str(report.leaves_lots),
        "cum": str(report.cum_lots),
        "revision": report.revision,
        "nonce": str(report.nonce),
        "terms": report.terms_id,
        "mode": MODE_WORDS[report.mode],
        "stream": stream_name(report.header.account, listing.symbol),
        "seq": report.stream_sequence,
        "time_ns": str(report.header.time_ns),
    }
    if report.reason:
        state["reason"] = report.reason
    if report.exec_type == ExecType.DUPLICATE:
        state["duplicate"] = True
    return state


def execution_report(report: ExecutionReport, listing: Listing) -> dict[str, Any]:
    """Return a report as an ``account.event``; with the fill, where it tells of one."""
    event = order_state(report, listing)
    event["type"] = "execution_report"
    if report.fill_id:
        event |= {
            "fill_id": str(report.fill_id),
            "fill_number": report.fill_number,
            "last_quantity": str(report.last_lots),
            "last_price": listing.grid.text(report.last_price_ticks),
            "amount": str(report.amount_minor),
            "liquidity": LIQUIDITY_WORDS[report.liquidity],
        }
    return event


def refused(record: Refused, listing: Listing) -> dict[str, Any]:
    """Return a refusal as an ``account.event``."""
    return {
        "stream": stream_name(record.header.account, listing.symbol),
        "seq": record.stream_sequence,
        "type": "refused",
        "client_order_id": client_text(record.client_order_id),
        "command": COMMAND_WORDS.get(record.command_kind, "other"),
        "reason": record.reason,
        "name": reason_name(record.reason),
        "limit": str(record.limit),
        "actual": str(record.actual),
        "time_ns": str(record.header.time_ns),
    }


def refusal(record: Refused, order: dict[str, Any] | None = None) -> CommandRefused:
    """Return a refusal as the error that answers its command; ``order`` is the order it was about."""
    words = reason_name(record.reason).replace("_", " ")
    amounts = bool(record.limit or record.actual)
    text = f"{words}: limit {record.limit}, actual {record.actual}" if amounts else words
    return CommandRefused(
        text,
        record.reason,
        limit=record.limit if amounts else None,
        actual=record.actual if amounts else None,
        retry_after_ms=FUNDS_RETRY_MS if record.reason == Reason.FUNDS_ELSEWHERE else None,
        order=order,
    )


def reason_name(reason: int) -> str:
    """Return a reason's name in lower case."""
    try:
        return Reason(reason).name.lower()
    except ValueError:
        return "unknown"


def balance(record: Balance, stream: str) -> dict[str, Any]:
    """Return a balance as an ``account.event``: lots in a tranche's stream, minor units in a cash
    stream.
    """
    return {
        "stream": stream,
        "seq": record.stream_sequence,
        "type": "balance",
        "currency": record.currency,
        "free": str(record.free),
        "earmarked": str(record.earmarked),
        "in_settlement": str(record.in_settlement),
        "time_ns": str(record.header.time_ns),
    }


def settlement(record: SettlementUpdated, listing: Listing) -> dict[str, Any]:
    """Return the engine's word that a fill is final or failed, as an ``account.event``."""
    event: dict[str, Any] = {
        "stream": stream_name(record.header.account, listing.symbol),
        "seq": record.stream_sequence,
        "type": "settlement",
        "status": "failed" if record.failed else "final",
        "fill_number": record.fill_number,
        "fill_id": str(record.fill_id),
        "side": SIDE_WORDS[record.side],
        "quantity": str(record.quantity_lots),
        "amount": str(record.amount_minor),
        "batch": record.batch,
        "time_ns": str(record.header.time_ns),
    }
    if record.reason:
        event["reason"] = record.reason
    return event


def private_event(record: Record, listing: Listing | None, shard: int) -> tuple[int, dict[str, Any]] | None:
    """Return (stream sequence, ``account.event``) of a record of a private stream; None for any other.

    ``listing`` is that of the record's tranche, None where it has none (cash).
    """
    if isinstance(record, Balance):
        account = record.header.account
        if record.header.tranche == 0:
            return record.stream_sequence, balance(record, cash_stream_name(account, shard))
        if listing is None:
            return None
        return record.stream_sequence, balance(record, stream_name(account, listing.symbol))
    if listing is None:
        return None
    if isinstance(record, ExecutionReport):
        return record.stream_sequence, execution_report(record, listing)
    if isinstance(record, SettlementUpdated):
        return record.stream_sequence, settlement(record, listing)
    if isinstance(record, Refused) and record.stream_sequence:
        return record.stream_sequence, refused(record, listing)
    return None


def trade(record: Trade, listing: Listing) -> dict[str, Any]:
    """Return a fill as the public sees it."""
    return {
        "symbol": listing.symbol,
        "seq": record.book_sequence,
        "fill_id": str(record.fill_id),
        "fill_number": record.fill_number,
        "price": listing.grid.text(record.price_ticks),
        "quantity": str(record.quantity_lots),
        "aggressor": SIDE_WORDS.get(record.aggressor, "auction"),
        "time_ns": str(record.header.time_ns),
    }


def phase_changed(record: PhaseChanged, listing: Listing) -> dict[str, Any]:
    """Return a change of phase; with the auction's outcome where the change uncrossed."""
    status: dict[str, Any] = {
        "symbol": listing.symbol,
        "seq": record.book_sequence,
        "phase": PHASE_WORDS[record.phase],
        "previous": PHASE_WORDS[record.previous],
        "time_ns": str(record.header.time_ns),
    }
    if record.price_ticks:
        status["auction"] = _auction(record, listing)
    return status


def indicative(record: AuctionIndicative, listing: Listing, phase: str) -> dict[str, Any]:
    """Return where the call would uncross now; price null: nowhere."""
    return {
        "symbol": listing.symbol,
        "seq": record.book_sequence,
        "phase": phase,
        "indicative": _auction(record, listing),
        "time_ns": str(record.header.time_ns),
    }


def _auction(record: PhaseChanged | AuctionIndicative, listing: Listing) -> dict[str, Any]:
    return {
        "price": listing.grid.text(record.price_ticks) if record.price_ticks else None,
        "volume": str(record.quantity_lots),
        "surplus": str(record.surplus_lots),
    }
