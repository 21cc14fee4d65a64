"""How an address stands in a tranche by the chain's events: what the engine should know of it. Pure.

Credits count when they are final, what is taken away at first sight (DESIGN D13): so the standing is the
lesser of the one by final events alone and the one by all events there are. When a block leaves the chain,
its events are no longer among them and the difference is told again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from settlement.chain_events import EventName

ENDLESS_S = (1 << 40) - 1
"""The registry's 'no end' (the largest uint40)."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of the address in the tranche, as stored; see ``AccountEvent``. ``final``: its block is."""

    name: EventName
    amount: int
    until_s: int
    final: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """``amount``: lots locked for the venue and not asked back, or cash deposited, minor units.

    It counts what moved outside of our batches only, and is negative for a holder who takes out what a batch
    brought. ``eligible`` until ``until_s``, unix seconds, 0 for no end.
    """

    amount: int = 0
    eligible: bool = False
    until_s: int = 0


def standing(events: Iterable[StoredEvent], final_time_s: int) -> Standing:
    """The standing by an address's events, in the chain's order, at the newest final block's time."""
    every = list(events)
    by_final = _standing([event for event in every if event.final], final_time_s)
    by_all = _standing(every, final_time_s)
    return Standing(
        amount=min(by_final.amount, by_all.amount),
        eligible=by_final.eligible and by_all.eligible,
        until_s=_sooner(by_final.until_s, by_all.until_s),
    )


def _standing(events: list[StoredEvent], now_s: int) -> Standing:
    return Standing(
        _deposited(events) + _locked(events) - _asked_back(events, now_s),
        _registered(events) and not _frozen(events),
        _verified_until(events),
    )


def _deposited(events: list[StoredEvent]) -> int:
    return sum(event.amount for event in events if event.name == EventName.DEPOSITED)


def _locked(events: list[StoredEvent]) -> int:
    """Lots locked by their holder and still locked, as far as deliveries of ours do not change that."""
    gone = (EventName.UNLOCKED, EventName.LOCK_BROKEN, EventName.DELIVERED_UNLOCKED)
    total = sum(event.amount for event in events if event.name == EventName.LOCKED)
    return total - sum(event.amount for event in events if event.name in gone)


def _asked_back(events: list[StoredEvent], now_s: int) -> int:
    """Lots of the last unlock asked for, unless it was executed or cancelled, or has lapsed."""
    asked, lapses_s = 0, 0
    for event in events:
        if event.name == EventName.UNLOCK_REQUESTED:
            asked, lapses_s = event.amount, event.until_s
        elif event.name in (EventName.UNLOCKED, EventName.UNLOCK_CANCELLED):
            asked = 0
    return asked if lapses_s >= now_s else 0


def _registered(events: list[StoredEvent]) -> bool:
    registered = False
    for event in events:
        if event.name in (EventName.IDENTITY_REGISTERED, EventName.IDENTITY_REMOVED):
            registered = event.name == EventName.IDENTITY_REGISTERED
    return registered


def _frozen(events: list[StoredEvent]) -> bool:
    frozen = False
    for event in events:
        if event.name == EventName.ADDRESS_FROZEN:
            frozen = bool(event.amount)
    return frozen


def _verified_until(events: list[StoredEvent]) -> int:
    """Unix seconds, 0 for no end; a new registration has none."""
    until_s = 0
    for event in events:
        if event.name == EventName.IDENTITY_REGISTERED:
            until_s = 0
        elif event.name == EventName.VALIDITY_UPDATED:
            until_s = 0 if event.until_s >= ENDLESS_S else event.until_s
    return until_s


def _sooner(one_s: int, other_s: int) -> int:
    """The earlier of two ends, of which 0 is none."""
    return min(one_s or ENDLESS_S, other_s or ENDLESS_S) % ENDLESS_S
