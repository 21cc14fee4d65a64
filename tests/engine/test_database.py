"""Schemas are applied once; another version is refused. Sources get a new incarnation each life."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from engine.database import Database, SchemaMismatchError, apply_engine_schema, schema_version
from engine.source_secrets import SECRET_BYTES, PostgresSecrets
from engine.sources import new_incarnation


async def test_processes_that_start_at_once_apply_the_schema_once(database: str) -> None:
    await asyncio.gather(*(apply_engine_schema(database) for _ in range(4)))
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("select count(*) from public.abst_schema") == 1
    assert await connection.fetchval("select count(*) from engine.journal") == 0
    await connection.close()


async def test_another_version_is_refused_and_changes_nothing(database: str, tmp_path: Path) -> None:
    opened = await Database.open(database)
    path = tmp_path / "schema.sql"
    path.write_text("create schema thing; create table thing.one (a integer);")
    await opened.apply_schema("thing", path)
    path.write_text("create table thing.two (a integer);")
    with pytest.raises(SchemaMismatchError, match=r"schema 'thing'.*use the release that made it"):
        await opened.apply_schema("thing", path)
    assert await opened.pool.fetchval("select to_regclass('thing.two')") is None
    await opened.close()


def test_comments_and_spacing_are_no_new_version() -> None:
    assert schema_version("create table a ();  -- why\n") == schema_version("create  table a ();")
    assert schema_version("create table a ();") != schema_version("create table b ();")


async def test_every_life_of_a_source_has_a_higher_incarnation(database: str) -> None:
    await apply_engine_schema(database)
    opened = await Database.open(database)
    first = await new_incarnation(opened.pool, "gateway-a")
    other = await new_incarnation(opened.pool, "gateway-b")
    second = await new_incarnation(opened.pool, "gateway-a")
    assert (first.source, first.incarnation + 1) == second
    assert other.source != first.source
    await opened.close()


async def test_every_source_and_the_readers_have_a_secret_of_their_own(database: str) -> None:
    await apply_engine_schema(database)
    opened = await Database.open(database)
    secrets = PostgresSecrets(opened)
    ids = [0, *[(await new_incarnation(opened.pool, name)).source for name in ("gateway-a", "gateway-b")]]
    found = [await secrets.secret_of(source) for source in ids]
    assert ids == [0, 1, 2]
    assert len({secret for secret in found if secret and len(secret) == SECRET_BYTES}) == 3
    await new_incarnation(opened.pool, "gateway-a")
    assert await secrets.secret_of(1) == found[1]
    assert await secrets.secret_of(3) is None
    await opened.close()
