"""Following the fills of a run until each is final, or failed, on chain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.client import VenueClient
from venue.problems import ProblemNumber, VenueError

_POLL_SECONDS = 0.5
_DECIDED = ("final", "failed")


@dataclass(slots=True)
class Settled:
    """How the fills of a run stand; keys are (symbol, fill number).

    ``transactions`` are the hashes of its final batches, ``last_block`` is the newest block of one.
    """

    statuses: dict[tuple[str, int], str] = field(default_factory=dict)
    reasons: dict[tuple[str, int], str] = field(default_factory=dict)
    transactions: set[str] = field(default_factory=set)
    last_block: int = 0

    def count(self, *statuses: str) -> int:
        """Return how many fills stand so."""
        return sum(status in statuses for status in self.statuses.values())

    def take(self, symbol: str, row: dict[str, Any]) -> None:
        """Take one row of ``settlement.status``."""
        key = (symbol, row["fill_number"])
        self.statuses[key] = row["status"]
        if row.get("reason"):
            self.reasons[key] = row["reason"]
        if row["status"] == "final":
            self.transactions.add(row["transaction_hash"])
            self.last_block = max(self.last_block, row["block_number"])


class FinalityFollower:
    """Asks for the settlement of the buyers' fills (every fill has one) until all are decided.

    ``noticed`` hears after every look.
    """

    def __init__(
        self,
        session: VenueClient,
        buyers: Sequence[int],
        symbols: Sequence[str],
        noticed: Callable[[Settled], None] = lambda settled: None,
    ) -> None:
        self.settled = Settled()
        self._session = session
        self._noticed = noticed
        self._decided_below = {(account, symbol): 0 for account in buyers for symbol in symbols}

    async def run(self, fills: int, *, silence_seconds_max: float = 300.0) -> Settled:
        """Return when all of ``fills`` fills are decided.

        Raises VenueError 916 when nothing was decided for ``silence_seconds_max``.
        """
        loop = asyncio.get_running_loop()
        before, moved_at = -1, loop.time()
        while True:
            for account, symbol in self._decided_below:
                await self._look(account, symbol)
            self._noticed(self.settled)
            decided = self.settled.count(*_DECIDED)
            if decided == fills:
                return self.settled
            if decided != before:
                before, moved_at = decided, loop.time()
            elif loop.time() - moved_at > silence_seconds_max:
                raise VenueError(
                    ProblemNumber.WAITED_TOO_LONG,
                    f"{fills - decided} fills are not final, and none became so in {silence_seconds_max:g} s",
                    "`abst status` shows batches, fails and breaks; --resume goes on waiting.",
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _look(self, account: int, symbol: str) -> None:
        """Look at the account's fills from the first that was not decided."""
        below = self._decided_below[account, symbol]
        undecided = False
        for row in await self._session.settlement_statuses(account, symbol, below):
            self.settled.take(symbol, row)
            undecided = undecided or row["status"] not in _DECIDED
            if not undecided:
                self._decided_below[account, symbol] = row["fill_number"]
