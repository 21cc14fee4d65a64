"""The shard core: a deterministic state machine over many tranches (DESIGN D3).

Pure: commands in, events out. No clock (time is stamped on the commands), no I/O, no randomness; the same
bytes in give the same bytes out on any machine.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from engine import funds_commands, market_commands, order_entry, shard_check, shard_snapshot
from engine.event_writer import NO_CLIENT_ID
from engine.order_endings import fire_deadlines, next_deadline_ns
from engine.reasons import Reason
from engine.refusal import Refusal
from engine.shard_state import SHARD_MAX, ShardState
from engine.source_numbers import SourceNumbers, Verdict
from engine.tranche_state import BookFactory
from ext.order_book import OrderBook
from ext.records import (
    HEADER_STRUCT,
    LAYOUTS,
    RECORD_VERSION,
    UNITS,
    Header,
    Kind,
    Side,
    split,
    struct_format,
)

_HEADER_FIELDS: Final = len(Header._fields)
_PARTICIPANT_KINDS: Final = frozenset(
    {int(Kind.ORDER_PLACE), int(Kind.ORDER_CANCEL), int(Kind.ORDER_REPLACE)}
)
_Handler = Callable[[ShardState, Any], Refusal | None]
_HANDLERS: Final[dict[Kind, _Handler]] = {
    Kind.ORDER_PLACE: order_entry.place,
    Kind.ORDER_CANCEL: order_entry.cancel,
    Kind.ORDER_REPLACE: order_entry.replace,
    Kind.SESSION_OPEN: market_commands.open_session,
    Kind.TRANCHE_LIST: market_commands.list_tranche,
    Kind.TERMS_SET: market_commands.set_terms,
    Kind.PHASE_SET: market_commands.set_phase,
    Kind.ACCOUNT_OPEN: market_commands.open_account,
    Kind.ELIGIBILITY_SET: market_commands.set_eligibility,
    Kind.CLOCK: market_commands.tick,
    Kind.CASH_ALLOT: funds_commands.allot_cash,
    Kind.CASH_RECALL: funds_commands.recall_cash,
    Kind.TOKENS_ADJUST: funds_commands.adjust_tokens,
    Kind.SETTLEMENT_FINAL: funds_commands.finish_fill,
    Kind.SETTLEMENT_FAILED: funds_commands.fail_fill,
}


class _Route(NamedTuple):
    """How a kind of command is read and by what it is handled."""

    units: int
    unpack: Callable[[memoryview], tuple[Any, ...]]
    layout: Callable[..., Any]
    reserved: tuple[int, ...]
    handle: _Handler


def _route(kind: Kind, handle: _Handler) -> _Route:
    layout: Any = LAYOUTS[kind]
    whole = struct.Struct(struct_format(Header) + struct_format(layout)[1:])
    fields = layout._fields[1:]
    reserved = tuple(at for at, name in enumerate(fields, _HEADER_FIELDS) if name.startswith("reserved"))
    return _Route(UNITS[kind], whole.unpack, layout, reserved, handle)


_ROUTES: Final = {int(kind): _route(kind, handle) for kind, handle in _HANDLERS.items()}


class ShardCore:
    """One shard's state machine.

    An exception out of :meth:`apply` other than RecordError is a bug of ours: the state is then undefined,
    and its owner starts again from the journal.
    """

    def __init__(self, shard: int, book: BookFactory = OrderBook) -> None:
        """An empty shard; ``shard`` (0..65535) is in all ids it gives, ``book`` makes its order books."""
        if not 0 <= shard <= SHARD_MAX:
            raise ValueError(f"shard {shard} is outside 0..{SHARD_MAX}")
        self._state = ShardState(shard, book)

    # -- the state machine

    def apply(self, commands: bytes | memoryview) -> bytes:
        """Apply stamped commands in order and return their events.

        Raises:
            RecordError: The bytes are not a run of whole records; nothing was applied.
        """
        for record in list(split(commands)):
            self._apply_one(record)
        return self._state.events.take()

    def _apply_one(self, record: memoryview) -> None:
        state = self._state
        head = Header._make(HEADER_STRUCT.unpack_from(record))
        assert state.sources.verdict(head) is Verdict.ADMIT, "the shell filters by source number"
        assert head.sequence == state.last_command + 1, "commands are stamped densely"
        assert head.time_ns >= state.now_ns, "time does not run backwards"
        state.sources.take(head)
        state.last_command = head.sequence
        state.now_ns = head.time_ns
        fire_deadlines(state)
        state.events.begin(head.kind, head.source, head.incarnation, head.number, head.time_ns)
        refusal = self._handle(head, record)
        if refusal:
            self._refuse(head, refusal, record)
        state.events.finish()

    def _handle(self, head: Header, record: memoryview) -> Refusal | None:
        route = _ROUTES.get(head.kind)
        if route is None:
            return Refusal(Reason.UNKNOWN_COMMAND)
        if head.units != route.units or head.version != RECORD_VERSION:
            return Refusal(Reason.MALFORMED_RECORD)
        values = route.unpack(record)
        if any(values[at] for at in route.reserved):
            return Refusal(Reason.MALFORMED_RECORD)
        command = route.layout(head, *values[_HEADER_FIELDS:])
        return route.handle(self._state, command)

    def _refuse(self, head: Header, refusal: Refusal, record: memoryview) -> None:
        if head.kind not in _PARTICIPANT_KINDS:
            self._state.events.refused(head, refusal, NO_CLIENT_ID, None)
            return
        client_order_id = bytes(record[64:100]).ljust(36, b"\0")
        holding = order_entry.participant(self._state, head)
        self._state.events.refused(head, refusal, client_order_id, holding)
        if refusal.reason is Reason.FUNDS_ELSEWHERE and holding:
            order_entry.want_cash(self._state, holding, refusal)

    def snapshot(self) -> bytes:
        """The whole state as bytes, equal for equal states whatever book holds them."""
        return shard_snapshot.encode(self._state)

    @classmethod
    def restore(cls, snapshot: bytes, book: BookFactory = OrderBook) -> ShardCore:
        """Make a core of :meth:`snapshot`'s bytes.

        Raises:
            SnapshotError: The bytes are no snapshot of a shard, or a damaged one.
        """
        state = shard_snapshot.decode(snapshot, book)
        core = cls(state.shard, book)
        core._state = state
        return core

    def digest(self) -> bytes:
        """32 bytes that are equal for equal states only; closed orders enter by their chained digest."""
        return shard_snapshot.digest(self._state)

    def _check(self) -> None:
        """Walk every invariant; AssertionError at the first that does not hold."""
        shard_check.check(self._state)

    # -- what is known

    @property
    def shard(self) -> int:
        """The shard's number."""
        return self._state.shard

    @property
    def last_command(self) -> int:
        """Sequence of the last command applied, 0 before the first."""
        return self._state.last_command

    @property
    def last_event(self) -> int:
        """Sequence of the last event, 0 before the first."""
        return self._state.events.last_event

    @property
    def last_time_ns(self) -> int:
        """Time of the last command."""
        return self._state.now_ns

    def next_deadline_ns(self) -> int:
        """When the next timer is due, 0 for none: a clock command then lets it fire."""
        return next_deadline_ns(self._state)

    @property
    def sources(self) -> SourceNumbers:
        """Which commands of which source were taken; ask it for verdicts, never change it."""
        return self._state.sources

    def source_number(self, source: int, incarnation: int) -> int | None:
        """The last number taken of a source's incarnation; 0 for a new one, None for one that is over."""
        return self._state.sources.last_number(source, incarnation)

    def tranches(self) -> list[int]:
        """The tranches listed here, ascending."""
        return sorted(self._state.tranches)

    def phase(self, tranche: int) -> int:
        """The phase of a listed tranche; KeyError when it is not listed here."""
        return self._state.tranches[tranche].phase

    def book(self, tranche: int) -> tuple[int, int, list[tuple[int, int, int, int]]]:
        """(book sequence, phase, levels as in :meth:`book_levels`) after the last command; (0, 0, []) for a
        tranche that is not listed here.
        """
        state = self._state.tranches.get(tranche)
        return (state.book_sequence, state.phase, self.book_levels(tranche)) if state else (0, 0, [])

    def book_levels(self, tranche: int) -> list[tuple[int, int, int, int]]:
        """(side, price_ticks, lots, orders) of each price, buys then sells, best first; KeyError when not
        listed."""
        book = self._state.tranches[tranche].book
        return [(int(side), *level) for side in Side for level in book.levels(side)]
