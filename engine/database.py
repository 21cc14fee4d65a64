"""The meeting place: connections to PostgreSQL by DSN, and the schemas they find there.

A schema is applied once, in one transaction, and its version (a digest of its statements) is kept in
``public.abst_schema``. A program that needs another version of a schema than the database has refuses to go
on: :class:`SchemaMismatchError`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import asyncpg

ENGINE_SCHEMA: Final = Path(__file__).with_name("schema.sql")
_SCHEMA_LOCK: Final = 0x6162_7374
_DURABLE = {"synchronous_commit": "on", "timezone": "UTC"}


class SchemaMismatchError(RuntimeError):
    """The database holds another version of a schema than this program needs."""


class Database:
    """A pool of connections to one database; safe to share within one event loop."""

    def __init__(self, dsn: str, pool: Any) -> None:
        self.dsn = dsn
        self.pool = pool

    @classmethod
    async def open(cls, dsn: str, *, name: str = "abst", size_max: int = 4) -> Database:
        """Connect; ``name`` is what PostgreSQL shows as application.

        Raises:
            OSError, asyncpg.PostgresError: The server is not there or refuses.
        """
        settings = _DURABLE | {"application_name": name}
        pool = await asyncpg.create_pool(dsn, min_size=1, max_size=size_max, server_settings=settings)
        return cls(dsn, pool)

    async def close(self) -> None:
        """Close all connections; those still borrowed are cut."""
        self.pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Borrow a connection."""
        async with self.pool.acquire() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """Borrow a connection in a READ COMMITTED transaction, which ends with the block."""
        async with self.pool.acquire() as connection, connection.transaction():
            yield connection

    async def apply_schema(self, name: str, path: Path) -> None:
        """Apply the schema ``name`` in ``path`` unless it is there already; see :func:`apply_schema`."""
        async with self.connection() as connection:
            await apply_schema(connection, name, path)


async def connect(dsn: str, *, name: str = "abst", timeout_seconds: float = 10.0) -> Any:
    """Open a connection of one's own (to write under a lease, to LISTEN); its commits are synchronous."""
    return await asyncpg.connect(
        dsn, timeout=timeout_seconds, server_settings=_DURABLE | {"application_name": name}
    )


async def apply_engine_schema(dsn: str) -> None:
    """Apply ``engine/schema.sql`` to the database unless it is there already."""
    connection = await connect(dsn)
    try:
        await apply_schema(connection, "engine", ENGINE_SCHEMA)
    finally:
        await connection.close()


async def apply_schema(connection: Any, name: str, path: Path) -> None:
    """Apply the schema ``name`` in ``path`` unless it is there; processes that do so at once wait for each
    other.

    Raises:
        SchemaMismatchError: Another version is there; nothing was changed.
    """
    text = path.read_text()  # noqa: ASYNC240 - a small file, once
    version = schema_version(text)
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
        await connection.execute(
            "create table if not exists public.abst_schema"
            " (name text primary key, version text not null, applied_at timestamptz not null default now())"
        )
        row = await connection.fetchrow(
            "select version, applied_at from public.abst_schema where name = $1", name
        )
        if row is None:
            await connection.execute(text)
            await connection.execute(
                "insert into public.abst_schema (name, version) values ($1, $2)", name, version
            )
        elif row["version"] != version:
            raise SchemaMismatchError(
                f"the database has version {row['version']} of schema {name!r} of {row['applied_at']:%F %T},"
                f" this program needs {version}: use the release that made it, or an empty database"
            )


def schema_version(text: str) -> str:
    """Return the version of a schema: a digest of its statements, comments and spacing apart."""
    statements = re.sub(r"--[^\n]*", " ", text)
    return sha256(" ".join(statements.split()).encode()).hexdigest()[:12]
