"""What a venue settles in: the facts that every tranche of it must share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SettlementFacts:
    """The chain the venue settles on, and its one cash token there (20-byte address)."""

    chain_id: int
    cash: bytes
