"""Sources of commands and the incarnations under which they number them (DESIGN D5)."""

from __future__ import annotations

from typing import Any, NamedTuple


class SourceIncarnation(NamedTuple):
    """Who sends: the id of a source, and which of its lives this is."""

    source: int
    incarnation: int


async def new_incarnation(connection: Any, name: str) -> SourceIncarnation:
    """Begin a new life of the source called ``name`` (made on first use); it numbers from 1 in every shard.

    Once a shard has seen a command of it, the source's older lives are refused there.
    """
    row = await connection.fetchrow(
        "insert into engine.source (name, incarnation) values ($1, 1)"
        " on conflict (name) do update set incarnation = source.incarnation + 1"
        " returning source, incarnation",
        name,
    )
    return SourceIncarnation(row["source"], row["incarnation"])
