"""Who may speak to a shard: each source has a secret, and so has whoever only reads (source 0).

PostgreSQL makes a source's secret with its row, so only those who may read ``engine.source`` know it. A shard
believes nobody without it: else whoever reaches its port could command it as ``administration``.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final, Protocol

from engine.database import Database

SECRET_BYTES: Final = 32
SECRET_OF: Final = "select secret from engine.source where source = $1"


class Secrets(Protocol):
    """Where a shard looks secrets up."""

    async def secret_of(self, source: int) -> bytes | None:
        """Return a source's secret, None where there is no such source."""


class PostgresSecrets:
    """The secrets in ``engine.source``, read anew each time, so that one that was replaced counts at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def secret_of(self, source: int) -> bytes | None:
        """Return a source's secret; raises what the connection raises when PostgreSQL is away."""
        secret: bytes | None = await self._database.pool.fetchval(SECRET_OF, source)
        return secret


async def proves(secrets: Secrets, source: int, secret: bytes) -> bool:
    """Whether ``secret`` is the source's, compared in constant time."""
    known = await secrets.secret_of(source)
    return known is not None and compare_digest(known, secret)
