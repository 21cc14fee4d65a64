"""How an address stands in a tranche by the chain's events: what the engine should know of it. Pure.

Credits count when they are final, what is taken away at first sight (DESIGN D13): so the standing is the
lesser of the one by final events alone and the one by all events there are. When a block leaves the chain,
its events are no longer among them and the difference is told again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.eligibility import BLOCKED_COUNTRIES
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
    transaction_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Standing:
    """``amount``: lots that the contract would deliver from the lock and that are not asked back, or cash
    deposited, minor units.

    It counts what moved outside of our batches only, and is negative for a holder who takes out what a batch
    brought. ``arrived``: lots that our batches brought unlocked, taken off ``amount`` already. ``eligible``
    until ``until_s``, unix seconds, 0 for no end; ``country`` as ISO 3166-1 numbers it, 0 for unknown.
    """

    amount: int = 0
    eligible: bool = False
    until_s: int = 0
    country: int = 0
    arrived: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """Lots that a transaction of ours brought unlocked."""

    lots: int
    transaction_hash: bytes


def standing(events: Iterable[StoredEvent], final_time_s: int) -> Standing:
    """The standing by an address's events, in the chain's order, at the newest final block's time."""
    every = list(events)
    final = [event for event in every if event.final]
    arrived = _sum(every, EventName.DELIVERED_UNLOCKED)
    return Standing(
        amount=min(_amount(final, final_time_s), _amount(every, final_time_s)) - arrived,
        eligible=all(_registered(known) and not _frozen(known) for known in (final, every)),
        until_s=_sooner(_verified_until(final), _verified_until(every)),
        country=_stricter(_country(final), _country(every)),
        arrived=arrived,
    )


def arrivals_after(events: Iterable[StoredEvent], told_lots: int) -> list[Arrival]:
    """What arrived unlocked beyond the first ``told_lots``, in the chain's order."""
    arrivals, sum_lots = [], 0
    for event in events:
        if event.name == EventName.DELIVERED_UNLOCKED:
            sum_lots += event.amount
            lots = min(event.amount, sum_lots - told_lots)
            if lots > 0:
                arrivals.append(Arrival(lots, event.transaction_hash))
    return arrivals


def _amount(events: Sequence[StoredEvent], now_s: int) -> int:
    """Cash deposited, or lots locked less those that cannot be delivered, as far as our batches do not change
    that.

    A freeze takes lots that are not locked first, and lots asked back are not locked for long: so the greater
    of both is what is out of reach.
    """
    unreachable = max(_asked_back(events, now_s), _sum_frozen(events) - _sum_free(events), 0)
    return _sum(events, EventName.DEPOSITED) + _sum_locked(events) - unreachable


def _sum(events: Iterable[StoredEvent], *names: EventName) -> int:
    return sum(event.amount for event in events if event.name in names)


def _sum_locked(events: Sequence[StoredEvent]) -> int:
    """Lots locked by their holder and still locked."""
    return _sum(events, EventName.LOCKED) - _sum(events, EventName.UNLOCKED, EventName.LOCK_BROKEN)


def _sum_free(events: Sequence[StoredEvent]) -> int:
    """Lots of the holder's that are not locked."""
    came = _sum(events, EventName.TRANSFERRED_IN, EventName.DELIVERED_UNLOCKED)
    return max(came - _sum(events, EventName.TRANSFERRED_OUT) - _sum_locked(events), 0)


def _sum_frozen(events: Sequence[StoredEvent]) -> int:
    return _sum(events, EventName.TOKENS_FROZEN) - _sum(events, EventName.TOKENS_UNFROZEN)


def _asked_back(events: Iterable[StoredEvent], now_s: int) -> int:
    """Lots of the last unlock asked for, unless it was executed or cancelled, or has lapsed."""
    asked, lapses_s = 0, 0
    for event in events:
        if event.name == EventName.UNLOCK_REQUESTED:
            asked, lapses_s = event.amount, event.until_s
        elif event.name in (EventName.UNLOCKED, EventName.UNLOCK_CANCELLED):
            asked = 0
    return asked if lapses_s >= now_s else 0


def _registered(events: Iterable[StoredEvent]) -> bool:
    registered = False
    for event in events:
        if event.name in (EventName.IDENTITY_REGISTERED, EventName.IDENTITY_REMOVED):
            registered = event.name == EventName.IDENTITY_REGISTERED
    return registered


def _frozen(events: Iterable[StoredEvent]) -> bool:
    frozen = False
    for event in events:
        if event.name == EventName.ADDRESS_FROZEN:
            frozen = bool(event.amount)
    return frozen


def _country(events: Iterable[StoredEvent]) -> int:
    country = 0
    for event in events:
        if event.name in (EventName.IDENTITY_REGISTERED, EventName.COUNTRY_UPDATED):
            country = event.amount
    return country


def _stricter(final: int, newest: int) -> int:
    """The country by final events, unless by the newest its persons are blocked."""
    return newest if newest in BLOCKED_COUNTRIES else final


def _verified_until(events: Iterable[StoredEvent]) -> int:
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
