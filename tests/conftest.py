"""Fixtures of a real PostgreSQL, started once for the whole run."""

import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from venue.postgres_embedded import PostgresEmbedded

FAST = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "4GB"}
"""The machine does not crash between two tests, and a checkpoint at every dropped database is slow."""
_databases = count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresEmbedded]:
    """A running embedded server of this test run."""
    directory = Path(tempfile.mkdtemp(prefix="abst-pg-"))
    server = PostgresEmbedded(directory, settings=FAST)
    try:
        server.start()
        server.ensure_database("abst")
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres(postgres_server: PostgresEmbedded) -> str:
    """DSN of a database on the server that all tests share; use ``database`` for one of your own."""
    return postgres_server.dsn("abst")


@pytest.fixture
def database(postgres_server: PostgresEmbedded) -> Iterator[str]:
    """DSN of a fresh, empty database; dropped after the test, whoever is still connected."""
    name = f"test_{next(_databases)}"
    postgres_server.execute(f"create database {name}")
    yield postgres_server.dsn(name)
    postgres_server.execute(f"drop database {name} with (force)")
