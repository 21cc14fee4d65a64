"""The administrator's part of the client SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.client_connection import VenueConnection


class VenueAdministration:
    """``admin.*`` of a client whose participant has the role administrator; others get reason 709.

    Opening, setting and listing may be repeated and give the same; they are resent after a lost
    connection. A change of phase is not: it ends with ConnectionLost where its answer was lost.
    """

    def __init__(self, connection: VenueConnection) -> None:
        self._connection = connection

    async def open_account(self, address: bytes, owner: int | None = None) -> int:
        """Open an account for a 20-byte address, of a beneficial owner (its own where None); return its
        id.
        """
        params: dict[str, Any] = {"address": "0x" + address.hex()}
        if owner is not None:
            params["owner"] = owner
        result = await self._connection.submit("admin.account.open", params, dict)
        account: int = result["account"]
        return account

    async def set_participant(
        self, login: str, credential: bytes, accounts: Sequence[int], role: str = "participant"
    ) -> None:
        """Let ``login`` log on with the key of the 20-byte address ``credential`` and act for
        ``accounts``.
        """
        params = {
            "login": login,
            "credential": "0x" + credential.hex(),
            "accounts": list(accounts),
            "role": role,
        }
        await self._connection.submit("admin.participant.set", params, dict)

    async def list_tranche(self, document: dict[str, Any]) -> tuple[int, int]:
        """List a tranche by its admission document; return its id and its shard."""
        result = await self._connection.submit("admin.tranche.list", {"document": document}, dict)
        return result["tranche"], result["shard"]

    async def set_phase(self, symbol: str, phase: str) -> dict[str, Any]:
        """Change a tranche's phase; return ``phase``, and after an uncross ``price`` and ``volume``."""
        params = {"symbol": symbol, "phase": phase}
        return await self._connection.submit("admin.phase.set", params, dict, repeatable=False)

    async def status(self) -> dict[str, Any]:
        """Return how the venue stands: shards, batches, oldest unsettled fill, fails, breaks."""
        return await self._connection.submit("admin.status", {}, dict)
