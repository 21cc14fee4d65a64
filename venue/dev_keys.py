"""Private keys: those of the configuration, and development keys where it names none.

A development key is the hash of its public name: everybody knows it. They are good on a development chain
only, where nothing has a worth, and refused elsewhere.
"""

from __future__ import annotations

from typing import Final

from engine.signed_order import keccak256
from venue.configuration import Configuration
from venue.problems import ProblemNumber, VenueError

DEVELOPMENT_CHAIN_IDS: Final = frozenset({31337, 1337})
ROLES: Final = ("administrator", "issuer", "operator", "attestor")


def development_key(name: str) -> bytes:
    """Return the development key (32 bytes) of a name, the same on every machine."""
    return keccak256(b"ABST development key: " + name.encode())


def key_of(configuration: Configuration, role: str) -> bytes:
    """Return the private key (32 bytes) of one of ``ROLES``.

    Raises VenueError 901 where none is configured and the chain is no development chain.
    """
    configured: str = getattr(configuration.keys, role)
    if configured:
        return bytes.fromhex(configured.removeprefix("0x"))
    if configuration.chain.chain_id not in DEVELOPMENT_CHAIN_IDS:
        raise VenueError(
            ProblemNumber.CONFIGURATION_INVALID,
            f"keys.{role} is not set, and chain {configuration.chain.chain_id} is no development chain",
            f"Set it in the environment: ABST_KEYS__{role.upper()}.",
        )
    return development_key(role)
