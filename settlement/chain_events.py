"""Which events of the venue's contracts concern an account, and what they say of it. Pure.

Cash comes from the vault (tranche 0); a tranche's token tells of locks and freezes, its registry of
eligibility. Tokens that a batch of ours delivers are not told of here, because the engine has them from
SETTLEMENT_FINAL; only that they arrived *unlocked* is, so that they are not sold before their holder locks
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from settlement.chain import Log
from settlement.contract_abi import ContractName, contract_abi, decode_event


class EventName(StrEnum):
    """Names under which the events are stored; those of the contracts, but for DELIVERED_UNLOCKED."""

    DEPOSITED = "Deposited"
    WITHDRAWN = "Withdrawn"
    LOCKED = "Locked"
    UNLOCK_REQUESTED = "UnlockRequested"
    UNLOCK_CANCELLED = "UnlockCancelled"
    UNLOCKED = "Unlocked"
    LOCK_BROKEN = "LockBroken"
    DELIVERED_UNLOCKED = "DeliveredUnlocked"
    ADDRESS_FROZEN = "AddressFrozen"
    IDENTITY_REGISTERED = "IdentityRegistered"
    IDENTITY_REMOVED = "IdentityRemoved"
    VALIDITY_UPDATED = "ValidityUpdated"


@dataclass(frozen=True, slots=True)
class WatchedContract:
    """A contract that is watched: its 20-byte address, its kind, its tranche (0: the vault)."""

    address: bytes
    kind: ContractName
    tranche: int


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """What one event says of one address. ``amount``: minor units, lots, or 1 and 0 for a freeze.

    ``until_s``: unix seconds at which a request lapses or a verification ends, else 0.
    """

    name: EventName
    address: bytes
    amount: int = 0
    until_s: int = 0


_Arguments = Mapping[str, Any]
_Reader = Callable[[_Arguments], AccountEvent]


def _lots(name: EventName) -> _Reader:
    return lambda arguments: AccountEvent(name, arguments["holder"], arguments["lots"])


def _investor(name: EventName) -> _Reader:
    return lambda arguments: AccountEvent(name, arguments["investorAddress"])


_TOKEN: Final[Mapping[str, _Reader]] = {
    "Locked": _lots(EventName.LOCKED),
    "UnlockRequested": lambda each: AccountEvent(
        EventName.UNLOCK_REQUESTED, each["holder"], each["lots"], each["lapsesAt"]
    ),
    "UnlockCancelled": _lots(EventName.UNLOCK_CANCELLED),
    "Unlocked": _lots(EventName.UNLOCKED),
    "LockBroken": _lots(EventName.LOCK_BROKEN),
    "AddressFrozen": lambda each: AccountEvent(
        EventName.ADDRESS_FROZEN, each["userAddress"], int(each["isFrozen"])
    ),
}
_REGISTRY: Final[Mapping[str, _Reader]] = {
    "IdentityRegistered": _investor(EventName.IDENTITY_REGISTERED),
    "IdentityRemoved": _investor(EventName.IDENTITY_REMOVED),
    "ValidityUpdated": lambda each: AccountEvent(
        EventName.VALIDITY_UPDATED, each["investorAddress"], until_s=each["validUntil"]
    ),
}


def account_event(contract: WatchedContract, log: Log, cash_token: bytes) -> AccountEvent | None:
    """What a log of a watched contract says of an account; None where it says nothing that matters here."""
    event = decode_event(contract_abi(contract.kind), log.topics, log.data)
    if event is None:
        return None
    arguments = event.arguments
    if contract.kind == ContractName.VAULT:
        if (
            event.name not in (EventName.DEPOSITED, EventName.WITHDRAWN)
            or arguments["cashToken"] != cash_token
        ):
            return None
        return AccountEvent(EventName(event.name), arguments["account"], arguments["amount"])
    if event.name == "Delivered":
        delivered = AccountEvent(EventName.DELIVERED_UNLOCKED, arguments["to"], arguments["lots"])
        return None if arguments["locked"] else delivered
    readers = _TOKEN if contract.kind == ContractName.TRANCHE_TOKEN else _REGISTRY
    reader = readers.get(event.name)
    return reader(arguments) if reader else None
