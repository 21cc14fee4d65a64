"""Which events of the venue's contracts concern an account, and what they say of it. Pure.

Cash comes from the vault (tranche 0); a tranche's token tells of locks, freezes and transfers (what is free
takes a freeze before what is locked), its registry of eligibility. Tokens that a batch of ours delivers are
not told of here, because the engine has them from SETTLEMENT_FINAL; only that they arrived *unlocked* is, so
that they are not sold before their holder locks them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from settlement.chain import Log
from settlement.contract_abi import ContractName, contract_abi, decode_event


class EventName(StrEnum):
    """Names under which the events are stored; those of the contracts, but for DELIVERED_UNLOCKED and for a
    transfer, which is one event for each of its two sides."""

    DEPOSITED = "Deposited"
    WITHDRAWN = "Withdrawn"
    LOCKED = "Locked"
    UNLOCK_REQUESTED = "UnlockRequested"
    UNLOCK_CANCELLED = "UnlockCancelled"
    UNLOCKED = "Unlocked"
    LOCK_BROKEN = "LockBroken"
    DELIVERED_UNLOCKED = "DeliveredUnlocked"
    TRANSFERRED_IN = "TransferredIn"
    TRANSFERRED_OUT = "TransferredOut"
    TOKENS_FROZEN = "TokensFrozen"
    TOKENS_UNFROZEN = "TokensUnfrozen"
    ADDRESS_FROZEN = "AddressFrozen"
    IDENTITY_REGISTERED = "IdentityRegistered"
    IDENTITY_REMOVED = "IdentityRemoved"
    COUNTRY_UPDATED = "CountryUpdated"
    VALIDITY_UPDATED = "ValidityUpdated"


@dataclass(frozen=True, slots=True)
class WatchedContract:
    """A contract that is watched: its 20-byte address, its kind, its tranche (0: the vault)."""

    address: bytes
    kind: ContractName
    tranche: int


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """What one event says of one address. ``amount``: minor units, lots, 1 or 0 for an address frozen or not,
    a country (ISO 3166-1 numeric; the event of a registration lacks it, the registry has it).

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


def _bound(name: EventName) -> _Reader:
    return lambda arguments: AccountEvent(name, arguments["userAddress"], arguments["amount"])


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
    "TokensFrozen": _bound(EventName.TOKENS_FROZEN),
    "TokensUnfrozen": _bound(EventName.TOKENS_UNFROZEN),
    "AddressFrozen": lambda each: AccountEvent(
        EventName.ADDRESS_FROZEN, each["userAddress"], int(each["isFrozen"])
    ),
}
_REGISTRY: Final[Mapping[str, _Reader]] = {
    "IdentityRegistered": _investor(EventName.IDENTITY_REGISTERED),
    "IdentityRemoved": _investor(EventName.IDENTITY_REMOVED),
    "CountryUpdated": lambda each: AccountEvent(
        EventName.COUNTRY_UPDATED, each["investorAddress"], each["country"]
    ),
    "ValidityUpdated": lambda each: AccountEvent(
        EventName.VALIDITY_UPDATED, each["investorAddress"], until_s=each["validUntil"]
    ),
}


def account_events(contract: WatchedContract, log: Log, cash_token: bytes) -> list[AccountEvent]:
    """What a log of a watched contract says of accounts; nothing where it does not matter here."""
    event = decode_event(contract_abi(contract.kind), log.topics, log.data)
    if event is None:
        return []
    if contract.kind == ContractName.VAULT:
        return _of_vault(event.name, event.arguments, cash_token)
    if event.name == "Transfer":
        return _of_transfer(event.arguments)
    if event.name == "Delivered":
        return _of_delivery(event.arguments)
    readers = _TOKEN if contract.kind == ContractName.TRANCHE_TOKEN else _REGISTRY
    reader = readers.get(event.name)
    return [reader(event.arguments)] if reader else []


def without_deliveries(logs: Sequence[Log]) -> list[Log]:
    """Logs, in the chain's order, less the transfers that our batches make: DELIVERED says the same right
    after."""
    token = contract_abi(ContractName.TRANCHE_TOKEN)
    transfer, delivered = token.event("Transfer").topic, token.event("Delivered").topic
    deliveries = {
        (log.block_hash, log.log_index, log.address)
        for log in logs
        if log.topics and log.topics[0] == delivered
    }
    return [
        log
        for log in logs
        if log.topics[:1] != (transfer,) or (log.block_hash, log.log_index + 1, log.address) not in deliveries
    ]


def _of_vault(name: str, arguments: _Arguments, cash_token: bytes) -> list[AccountEvent]:
    if name not in (EventName.DEPOSITED, EventName.WITHDRAWN) or arguments["cashToken"] != cash_token:
        return []
    return [AccountEvent(EventName(name), arguments["account"], arguments["amount"])]


def _of_transfer(arguments: _Arguments) -> list[AccountEvent]:
    """Both sides of a transfer; minting and burning have one, a transfer to oneself says nothing."""
    sender, receiver, lots = arguments["from"], arguments["to"], arguments["value"]
    if sender == receiver:
        return []
    sides = ((EventName.TRANSFERRED_OUT, sender), (EventName.TRANSFERRED_IN, receiver))
    return [AccountEvent(name, address, lots) for name, address in sides if any(address)]


def _of_delivery(arguments: _Arguments) -> list[AccountEvent]:
    if arguments["locked"]:
        return []
    return [AccountEvent(EventName.DELIVERED_UNLOCKED, arguments["to"], arguments["lots"])]
