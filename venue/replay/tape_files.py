"""A tape's files as a flow of one market."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from venue.replay.flow import Flow, Market, PriceUnit, one_market
from venue.replay.tape import read_auction, read_fills, read_orders


def tape_flow(orders: Path, fills: Path | None, auction: Path | None, unit: PriceUnit) -> tuple[Flow, str]:
    """Read a tape and what must come of it; return its flow, and a digest of the files to recognise it by.

    Raises VenueError 902 for a missing file, 903 for a malformed one or an order that the book's rules
    refuse.
    """
    market = Market(
        "TAPE",
        read_orders(orders),
        unit,
        read_fills(fills) if fills else None,
        read_auction(auction) if auction else None,
    )
    digest = sha256()
    for path in (orders, fills, auction):
        digest.update(path.read_bytes() if path else b"none")
    return one_market(market), f"tape {digest.hexdigest()[:32]} {unit.tick}/{unit.per_point}"
