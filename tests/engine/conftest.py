"""A connection to a fresh database with the engine's tables, for the engine's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

import engine

_SCHEMA = Path(engine.__file__).parent / "schema.sql"


@pytest.fixture
async def engine_database(database: str) -> str:
    """DSN of a fresh database with the engine's tables in it."""
    connection = await asyncpg.connect(database)
    await connection.execute(_SCHEMA.read_text())
    await connection.close()
    return database


@pytest.fixture
async def connection(engine_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to ``engine_database``."""
    connection = await asyncpg.connect(engine_database)
    yield connection
    connection.terminate()
