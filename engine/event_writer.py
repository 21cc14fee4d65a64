"""Writing a shard's events: numbers, streams, and the order of what one command causes.

Events of one cause come in this order: what the handlers write as it happens (the answer first), then for
each tranche the changed levels of its book and its auction indicative, then a balance for each touched
account and asset. A price or a balance that changed more than once shows where it ended.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.ledger import Purse
from engine.reasons import Reason
from ext.records import (
    LAYOUTS,
    NO_SIDE_DATA,
    RECORD_VERSION,
    UNITS,
    ExecType,
    Header,
    Kind,
    Liquidity,
    Phase,
    struct_format,
)

if TYPE_CHECKING:
    from engine.holding import Holding
    from engine.order_state import OrderState
    from engine.refusal import Refusal
    from engine.tranche_state import TrancheState, UnsettledFill

NO_CLIENT_ID: Final = bytes(36)
_INT64_MAX: Final = 2**63 - 1
_PACKERS: Final[dict[int, tuple[Callable[..., bytes], int]]] = {
    int(kind): (struct.Struct(struct_format(Header) + struct_format(layout)[1:]).pack, UNITS[kind])
    for kind, layout in LAYOUTS.items()
}
_EXECUTION_REPORT: Final = int(Kind.EXECUTION_REPORT)
_TRADE: Final = int(Kind.TRADE)
_BOOK_LEVEL: Final = int(Kind.BOOK_LEVEL)
_BALANCE: Final = int(Kind.BALANCE)


class LastFill(NamedTuple):
    """The fill that an execution report tells of; all zero where it tells of none."""

    fill_id: int = 0
    fill_number: int = 0
    lots: int = 0
    price_ticks: int = 0
    amount_minor: int = 0
    liquidity: int = int(Liquidity.NONE)


NO_FILL: Final = LastFill()


class EventWriter:
    """Numbers and packs the events of one command after another; :meth:`take` hands them over."""

    __slots__ = ("_cause", "_indicative", "_levels", "_out", "_touched", "last_event")

    def __init__(self, last_event: int = 0) -> None:
        self.last_event = last_event
        self._out: list[bytes] = []
        self._cause = (0, 0, 0, 0, 0)
        self._touched: dict[Purse | Holding, None] = {}
        self._levels: dict[TrancheState, dict[tuple[int, int], tuple[int, int]]] = {}
        self._indicative: dict[TrancheState, tuple[int, int, int]] = {}

    def begin(self, kind: int, source: int, incarnation: int, number: int, time_ns: int) -> None:
        """Begin the events of a command; kind and source 0 are a timer's."""
        self._cause = (kind, source, incarnation, number, time_ns)

    def take(self) -> bytes:
        """Return the bytes of the events since the last time."""
        events = b"".join(self._out)
        self._out.clear()
        return events

    def _emit(self, kind: int, account: int, tranche: int, *body: Any) -> None:
        pack, units = _PACKERS[kind]
        self.last_event += 1
        _, source, incarnation, number, time_ns = self._cause
        self._out.append(
            pack(
                kind,
                RECORD_VERSION,
                units,
                source,
                incarnation,
                0,
                number,
                self.last_event,
                time_ns,
                account,
                tranche,
                NO_SIDE_DATA,
                *body,
            )
        )

    # -- private events

    def report(
        self,
        order: OrderState,
        exec_type: ExecType,
        client_order_id: bytes,
        reason: int = Reason.NONE,
        fill: LastFill = NO_FILL,
    ) -> None:
        """Report what happened to an order and how it stands; ``client_order_id`` is what is answered."""
        holding = order.holding
        self._emit(
            _EXECUTION_REPORT,
            holding.account.account,
            holding.tranche.instrument.tranche,
            client_order_id,
            order.client_ids[0],
            order.order_id,
            fill[0],
            fill[1],
            holding.next_stream_sequence(),
            order.price_ticks,
            order.quantity_lots,
            order.leaves_lots,
            order.cum_lots,
            fill[2],
            fill[3],
            fill[4],
            order.revision,
            order.terms_id,
            reason,
            exec_type,
            order.status,
            order.side,
            order.time_in_force,
            fill[5],
            holding.tranche.instrument.mode,
            order.flags,
            0,
            order.nonce,
        )

    def refused(
        self, head: Header, refusal: Refusal, client_order_id: bytes, holding: Holding | None
    ) -> None:
        """Refuse a command; in the private stream of ``holding`` where it is a participant's."""
        stream_sequence = holding.next_stream_sequence() if holding else 0
        reason, limit, actual = refusal
        self._emit(
            Kind.REFUSED,
            head.account,
            head.tranche,
            client_order_id,
            reason,
            head.kind,
            stream_sequence,
            _clamped(limit),
            _clamped(actual),
        )

    def settlement_updated(
        self,
        holding: Holding,
        number: int,
        fill: UnsettledFill,
        side: int,
        *,
        batch: int,
        reason: int,
        failed: int,
    ) -> None:
        """Tell one party that settlement decided a fill."""
        self._emit(
            Kind.SETTLEMENT_UPDATED,
            holding.account.account,
            holding.tranche.instrument.tranche,
            number,
            fill.fill_id,
            holding.next_stream_sequence(),
            fill.quantity_lots,
            fill.amount_minor,
            batch,
            reason,
            failed,
            side,
            0,
            0,
        )

    # -- administrative events

    def applied(self, head: Header, reference: int = 0) -> None:
        """Say that an administrative command took effect."""
        self._emit(Kind.APPLIED, head.account, head.tranche, head.kind, 0, 0, reference, 0, 0, 0, 0, 0, 0)

    def cash(self, kind: Kind, purse: Purse, transfer: int, amount_minor: int) -> None:
        """Tell the keeper of cash returned or wanted."""
        self._emit(kind, purse.account.account, 0, purse.currency, 0, transfer, amount_minor, 0, 0, 0, 0, 0)

    # -- public events

    def trade(self, tranche: TrancheState, *body: int) -> None:
        """Write a TRADE; ``body`` are its fields."""
        self._emit(_TRADE, 0, tranche.instrument.tranche, *body)

    def phase_changed(self, tranche: TrancheState, previous: int, uncrossed: tuple[int, int, int]) -> None:
        """Say that a tranche entered its phase; ``uncrossed`` is price, volume and surplus of the uncross
        before."""
        sequence = tranche.next_book_sequence()
        self._emit(
            Kind.PHASE_CHANGED,
            0,
            tranche.instrument.tranche,
            sequence,
            *uncrossed,
            tranche.phase,
            previous,
            0,
            0,
            0,
            0,
            0,
        )

    def level(self, tranche: TrancheState, side: int, price_ticks: int, lots: int, orders: int) -> None:
        """Note what rests at a price now."""
        levels = self._levels.get(tranche)
        if levels is None:
            levels = self._levels[tranche] = {}
        levels[side, price_ticks] = (lots, orders)

    def indicative(self, tranche: TrancheState, price_ticks: int, lots: int, surplus_lots: int) -> None:
        """Note where a call would uncross now."""
        self._indicative[tranche] = (price_ticks, lots, surplus_lots)

    def touch(self, funds: Purse | Holding) -> None:
        """Note that a balance changed."""
        self._touched[funds] = None

    def finish(self) -> None:
        """Write what the command changed in books and balances."""
        if self._levels:
            for tranche, levels in self._levels.items():
                self._write_levels(tranche, levels)
            self._levels.clear()
        if self._indicative:
            self._write_indicatives()
        for funds in self._touched:
            self._write_balance(funds)
        self._touched.clear()

    def _write_levels(self, tranche: TrancheState, levels: dict[tuple[int, int], tuple[int, int]]) -> None:
        left = len(levels)
        for (side, price_ticks), (lots, orders) in levels.items():
            left -= 1
            self._emit(
                _BOOK_LEVEL,
                0,
                tranche.instrument.tranche,
                tranche.next_book_sequence(),
                price_ticks,
                lots,
                orders,
                side,
                not left,
                0,
                0,
                0,
                0,
                0,
            )

    def _write_indicatives(self) -> None:
        for tranche, outcome in self._indicative.items():
            if tranche.phase == Phase.CALL:
                sequence = tranche.next_book_sequence()
                self._emit(
                    Kind.AUCTION_INDICATIVE, 0, tranche.instrument.tranche, sequence, *outcome, 0, 0, 0, 0
                )
        self._indicative.clear()

    def _write_balance(self, funds: Purse | Holding) -> None:
        account = funds.account
        if type(funds) is Purse:
            account.stream_sequence += 1
            place = (0, funds.currency, self._cause[0], account.stream_sequence)
            elsewhere = funds.elsewhere_minor
        else:
            sequence = funds.next_stream_sequence()  # type: ignore[union-attr]
            place = (funds.tranche.instrument.tranche, 0, self._cause[0], sequence)  # type: ignore[union-attr]
            elsewhere = funds.owed  # type: ignore[union-attr]
        self._emit(
            _BALANCE,
            account.account,
            *place,
            funds.free,
            funds.earmarked,
            funds.in_settlement,
            elsewhere,
            0,
            0,
        )


def _clamped(value: int) -> int:
    return min(value, _INT64_MAX)
