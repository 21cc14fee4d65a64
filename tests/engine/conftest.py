"""A connection to a fresh database with the engine's tables, for the engine's tests."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from engine.database import apply_engine_schema


@pytest.fixture
async def engine_database(database: str) -> str:
    """DSN of a fresh database with the engine's tables in it."""
    await apply_engine_schema(database)
    return database


@pytest.fixture
async def connection(engine_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to ``engine_database``."""
    connection = await asyncpg.connect(engine_database)
    yield connection
    connection.terminate()
