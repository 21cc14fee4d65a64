"""From the journal to rows: what a run of journal rows says of orders, fills, streams, balances and terms.

Pure. The rows are those of ``engine/schema.sql`` under "Made by the projector", each a tuple in the order of
the columns named beside it. Where a run says several things of one order or balance, its row holds the last.
Events are read column by column with NumPy, because there are some ten of them to a fill.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Final

import numpy as np

from engine.frames import read_sides
from engine.journal import JournalRow
from ext.records import (
    DTYPES,
    NO_SIDE_DATA,
    UNIT_BYTES,
    ExecType,
    Kind,
    OrderFlag,
    OrderPlace,
    Sourced,
    TermsSet,
    Trade,
    TrancheList,
    decode,
    decode_header,
    split,
)

Rows = list[tuple[Any, ...]]

ORDER_COLUMNS: Final = (
    "order_id", "tranche", "account", "client_order_id", "nonce", "side", "time_in_force", "price_ticks",
    "quantity_lots", "leaves_lots", "cum_lots", "revision", "status", "placed_at_ns", "changed_at_ns",
)  # fmt: skip
REVISION_COLUMNS: Final = (
    "account", "nonce", "revision", "order_id", "tranche", "side", "standing", "quantity_lots", "price_ticks",
    "cash_limit_minor", "fee_limit_minor", "valid_until_ns", "signature", "journal_row",
)  # fmt: skip
FILL_COLUMNS: Final = (
    "tranche", "fill_number", "fill_id", "shard", "journal_row", "price_ticks", "quantity_lots",
    "amount_minor", "terms_id", "aggressor", "mode", "buy_order_id", "sell_order_id", "buy_account",
    "sell_account", "buy_nonce", "sell_nonce", "buy_revision", "sell_revision", "buyer_fee_minor",
    "seller_fee_minor", "matched_at_ns",
)  # fmt: skip
OUTCOME_COLUMNS: Final = ("tranche", "fill_number", "outcome")
STREAM_COLUMNS: Final = ("shard", "account", "tranche", "stream_sequence", "event", "record")
BALANCE_COLUMNS: Final = (
    "shard", "account", "tranche", "currency", "free", "earmarked", "in_settlement", "event", "elsewhere",
)  # fmt: skip
TERMS_COLUMNS: Final = (
    "tranche", "terms_id", "tick_value_e9", "factor_e9", "accrued_e9_per_lot", "value_date",
)  # fmt: skip

OUTCOME_FINAL: Final = 1
OUTCOME_FAILED: Final = 2

_PRIVATE: Final = (Kind.EXECUTION_REPORT, Kind.REFUSED, Kind.BALANCE, Kind.SETTLEMENT_UPDATED)
_TERMS_COMMANDS: Final = (Kind.TRANCHE_LIST, Kind.TERMS_SET)
_FROM_TRADE: Final = {"shard": None, "journal_row": None, "matched_at_ns": "time_ns"}
_FROM_REPORT: Final = {
    "client_order_id": None,
    "status": "order_status",
    "placed_at_ns": "time_ns",
    "changed_at_ns": "time_ns",
}


@dataclass(frozen=True, slots=True)
class Projection:
    """What a run of journal rows of one shard says; ``last_row`` and ``last_event`` are where it ends."""

    shard: int
    last_row: int
    last_event: int
    orders: Rows = field(default_factory=list)
    revisions: Rows = field(default_factory=list)
    fills: Rows = field(default_factory=list)
    outcomes: Rows = field(default_factory=list)
    stream_events: Rows = field(default_factory=list)
    balances: Rows = field(default_factory=list)
    terms: Rows = field(default_factory=list)


def project(rows: Sequence[JournalRow]) -> Projection:
    """Project consecutive journal rows of one shard; O(bytes). ``rows`` is not empty."""
    shard, last = rows[0].shard, rows[-1]
    events = _EventColumns(rows)
    revisions, terms = _from_commands(rows, events)
    return Projection(
        shard=shard,
        last_row=last.row,
        last_event=last.last_event,
        orders=_orders(events.of(Kind.EXECUTION_REPORT)),
        revisions=revisions,
        fills=_fills(events.of(Kind.TRADE), shard, rows),
        outcomes=_outcomes(events.of(Kind.SETTLEMENT_UPDATED)),
        stream_events=_stream_events(events, shard),
        balances=_balances(events.of(Kind.BALANCE), shard),
        terms=terms,
    )


def commands_with_side(row: JournalRow) -> Iterator[Sourced]:
    """The commands of a journal row, each with its side data."""
    sides = iter(read_sides(row.side))
    for record in split(row.commands):
        bound = bytes(record[UNIT_BYTES - len(NO_SIDE_DATA) : UNIT_BYTES]) != NO_SIDE_DATA
        yield Sourced(bytes(record), next(sides) if bound else b"")


def accepted_orders(row: JournalRow) -> Iterator[tuple[int, OrderPlace, bytes]]:
    """Order id, command and signature of every order and replacement that a journal row accepted."""
    accepted = _accepted(_EventColumns([row]).of(Kind.EXECUTION_REPORT))
    for command, signature in commands_with_side(row):
        order_id = accepted.pop(_name(command), None)
        if order_id is not None:
            order = decode(command)
            assert isinstance(order, OrderPlace)
            yield order_id, order, signature


def fill_row(trade: Trade, shard: int, journal_row: int) -> tuple[Any, ...]:
    """The row of one fill, as its TRADE in a journal row says."""
    elsewhere = {"tranche": trade.header.tranche, "shard": shard, "journal_row": journal_row}
    elsewhere["matched_at_ns"] = trade.header.time_ns
    return tuple(elsewhere[name] if name in elsewhere else getattr(trade, name) for name in FILL_COLUMNS)


def revision_row(order: OrderPlace, signature: bytes, order_id: int, journal_row: int) -> tuple[Any, ...]:
    """The row of one signed revision of an order, as the command that carried it says."""
    return (
        order.header.account, order.nonce, order.revision, order_id, order.header.tranche, order.side,
        bool(order.flags & OrderFlag.STANDING), order.quantity_lots, order.price_ticks,
        order.cash_limit_minor, order.fee_limit_minor, order.valid_until_ns, signature, journal_row,
    )  # fmt: skip


class _EventColumns:
    """The events of some rows, kind by kind: the records, and their fields as a NumPy array."""

    def __init__(self, rows: Iterable[JournalRow]) -> None:
        self._records: dict[int, list[bytes]] = {}
        self._arrays: dict[int, np.ndarray[Any, Any]] = {}
        for row in rows:
            for event in split(row.events):
                self._records.setdefault(event[0] | event[1] << 8, []).append(bytes(event))

    def records(self, kind: Kind) -> list[bytes]:
        """The records of a kind, in order."""
        return self._records.get(kind, [])

    def of(self, kind: Kind) -> np.ndarray[Any, Any]:
        """The fields of a kind's records, in order."""
        if kind not in self._arrays:
            self._arrays[kind] = np.frombuffer(b"".join(self.records(kind)), DTYPES[kind])
        return self._arrays[kind]


def _columns(
    array: np.ndarray[Any, Any], names: Sequence[str], renamed: dict[str, str | None]
) -> list[list[Any]]:
    """The columns of a table out of an array's fields; those renamed to None are left empty."""
    sources = [renamed.get(name, name) for name in names]
    return [array[source].tolist() if source else [None] * len(array) for source in sources]


def _orders(reports: np.ndarray[Any, Any]) -> Rows:
    """One row per order that something happened to. ``placed_at_ns`` is only right where its placing is in
    the run.
    """
    happened = reports[reports["exec_type"] != ExecType.DUPLICATE]
    columns = _columns(happened, ORDER_COLUMNS, _FROM_REPORT)
    columns[3] = [text.decode("ascii", "replace") for text in happened["original_client_order_id"].tolist()]
    placed: dict[int, int] = {}
    latest: dict[int, tuple[Any, ...]] = {}
    for row in zip(*columns, strict=True):
        placed.setdefault(row[0], row[-2])
        latest[row[0]] = row
    return [(*row[:-2], placed[row[0]], row[-1]) for row in latest.values()]


def _fills(trades: np.ndarray[Any, Any], shard: int, rows: Sequence[JournalRow]) -> Rows:
    """One row per TRADE; its journal row is the one whose events reach it first."""
    columns = _columns(trades, FILL_COLUMNS, _FROM_TRADE)
    ends = np.array([row.last_event for row in rows], dtype=np.uint64)
    numbers = [row.row for row in rows]
    columns[3] = [shard] * len(trades)
    columns[4] = [numbers[index] for index in np.searchsorted(ends, trades["sequence"]).tolist()]
    return list(zip(*columns, strict=True))


def _outcomes(updates: np.ndarray[Any, Any]) -> Rows:
    """One row per fill that was decided (both its parties are told)."""
    decided = zip(
        updates["tranche"].tolist(), updates["fill_number"].tolist(), updates["failed"].tolist(), strict=True
    )
    outcomes = {(tranche, number): failed for tranche, number, failed in decided}
    return [(*fill, OUTCOME_FAILED if failed else OUTCOME_FINAL) for fill, failed in outcomes.items()]


def _stream_events(events: _EventColumns, shard: int) -> Rows:
    """One row per private event; refusals that belong to no stream have no number and are left out."""
    found: Rows = []
    for kind in _PRIVATE:
        array = events.of(kind)
        columns = (array[name].tolist() for name in ("account", "tranche", "stream_sequence", "sequence"))
        found.extend(zip(repeat(shard, len(array)), *columns, events.records(kind), strict=True))
    return [row for row in found if row[3]]


def _balances(balances: np.ndarray[Any, Any], shard: int) -> Rows:
    """One row per account and asset: where it ended."""
    columns = _columns(balances, BALANCE_COLUMNS, {"shard": None, "event": "sequence"})
    columns[0] = [shard] * len(balances)
    return list({row[1:4]: row for row in zip(*columns, strict=True)}.values())


def _from_commands(rows: Sequence[JournalRow], events: _EventColumns) -> tuple[Rows, Rows]:
    """Signed revisions that were accepted, and numbered terms that were applied."""
    accepted = _accepted(events.of(Kind.EXECUTION_REPORT))
    applied = _applied(events.of(Kind.APPLIED))
    revisions: Rows = []
    terms: Rows = []
    for row in rows:
        for command, side in commands_with_side(row):
            name = _name(command)
            if name in accepted:
                revisions.append(_revision(command, side, accepted.pop(name), row.row))
            elif name in applied:
                terms.append(_terms(command))
    return revisions, terms


def _accepted(reports: np.ndarray[Any, Any]) -> dict[tuple[int, int, int], int]:
    """Order id by name of the command that placed or replaced the order."""
    taken = reports[np.isin(reports["exec_type"], (ExecType.NEW, ExecType.REPLACED))]
    return dict(zip(_names(taken), taken["order_id"].tolist(), strict=True))


def _applied(answers: np.ndarray[Any, Any]) -> set[tuple[int, int, int]]:
    """Names of the commands that changed terms."""
    return set(_names(answers[np.isin(answers["command_kind"], _TERMS_COMMANDS)]))


def _names(events: np.ndarray[Any, Any]) -> Iterator[tuple[int, int, int]]:
    """Source, incarnation and number of the commands that caused some events."""
    return zip(*(events[name].tolist() for name in ("source", "incarnation", "number")), strict=True)


def _name(command: bytes) -> tuple[int, int, int]:
    """Source, incarnation and number of a command."""
    head = decode_header(command)
    return head.source, head.incarnation, head.number


def _revision(command: bytes, signature: bytes, order_id: int, journal_row: int) -> tuple[Any, ...]:
    order = decode(command)
    assert isinstance(order, OrderPlace)
    return revision_row(order, signature, order_id, journal_row)


def _terms(command: bytes) -> tuple[Any, ...]:
    terms = decode(command)
    assert isinstance(terms, TrancheList | TermsSet)
    return (
        terms.header.tranche, terms.terms_id, terms.tick_value_e9, terms.factor_e9, terms.accrued_e9_per_lot,
        terms.value_date,
    )  # fmt: skip
