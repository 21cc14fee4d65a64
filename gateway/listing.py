"""Listed tranches as the gateway speaks of them: tick grid, token address, and the row of
``instruments.list``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.directory import Directory, Tranche
from engine.money import Terms
from engine.reasons import Reason
from gateway.decimals import TickGrid
from gateway.errors import CommandRefused

CASH_PREFIX = "@"


@dataclass(frozen=True, slots=True)
class Listing:
    """A tranche with what the edge needs of its admission document. ``token`` is its contract, 20 bytes.

    ``terms`` are None until the shard has applied the listing.
    """

    tranche: int
    symbol: str
    shard: int
    grid: TickGrid
    token: bytes
    terms: Terms | None
    source: Tranche

    @classmethod
    def of(cls, tranche: Tranche) -> Listing:
        """Read a tranche of the directory."""
        document = tranche.document
        return cls(
            tranche=tranche.tranche,
            symbol=tranche.symbol,
            shard=tranche.shard,
            grid=TickGrid.of(str(document["tick_size"])),
            token=bytes.fromhex(document["token"][2:]),
            terms=tranche.latest_terms,
            source=tranche,
        )

    def row(self, phase: str | None) -> dict[str, Any]:
        """Return the tranche as ``instruments.list`` shows it; ``phase`` is None while it is not known."""
        document = self.source.document
        return {
            "symbol": self.symbol,
            "tranche": self.tranche,
            "shard": self.shard,
            "tick_size": self.grid.text(1),
            "lot": "1",
            "token": "0x" + self.token.hex(),
            "phase": phase,
            "mode": document.get("mode", "locked"),
            "terms": None if self.terms is None else _terms(self.terms),
            "maker_fee_e6": int(document.get("maker_fee_e6", 0)),
            "taker_fee_e6": int(document.get("taker_fee_e6", 0)),
            "document": dict(document),
        }


def _terms(terms: Terms) -> dict[str, Any]:
    return {
        "terms": terms.terms_id,
        "tick_value_e9": str(terms.tick_value_e9),
        "factor_e9": str(terms.factor_e9),
        "accrued_e9_per_lot": str(terms.accrued_e9_per_lot),
        "value_date": terms.value_date,
    }


class Listings:
    """Listings over a directory that is refreshed behind them."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._known: dict[int, Listing] = {}

    def get(self, tranche: int) -> Listing | None:
        """Return the listing of a tranche by its number, if the directory has it."""
        known, current = self._known.get(tranche), self._directory.tranche(tranche)
        if current is None:
            return None
        if known is None or known.source is not current:
            known = self._known[tranche] = Listing.of(current)
        return known

    def of_symbol(self, symbol: str) -> Listing:
        """Return the listing of a symbol.

        Raises:
            CommandRefused: There is none (501).
        """
        tranche = self._directory.tranche_of(symbol)
        listing = None if tranche is None else self.get(tranche.tranche)
        if listing is None or listing.terms is None:
            raise CommandRefused(f"no tranche is listed as {symbol}", Reason.UNKNOWN_TRANCHE)
        return listing

    def all(self) -> list[Listing]:
        """Return all tranches that their shards have listed, by number."""
        found = (self.get(tranche) for tranche in sorted(self._directory.tranches))
        return [listing for listing in found if listing is not None and listing.terms is not None]
