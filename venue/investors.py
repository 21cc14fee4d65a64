"""The investors that replays and demonstrations trade for: development keys, one account each, one broker
for all.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.signed_order import address_of
from venue.dev_keys import development_key

BROKER_LOGIN = "replay-broker"
ADMINISTRATOR_LOGIN = "administrator"


class Investor(NamedTuple):
    """One investor: what signs for him (32 bytes) and his on-chain address (20 bytes)."""

    name: str
    key: bytes
    address: bytes


def investors(count: int) -> list[Investor]:
    """Return the first ``count`` development investors, the same on every machine."""
    names = [f"investor {number:02}" for number in range(1, count + 1)]
    keys = [development_key(name) for name in names]
    return [Investor(name, key, address_of(key)) for name, key in zip(names, keys, strict=True)]


def broker_key() -> bytes:
    """Return the key that the broker logs on with; it signs no order."""
    return development_key(BROKER_LOGIN)
