"""How far a reader of the chain has come; written in the transaction of what it made of the blocks."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg


@dataclass(frozen=True, slots=True)
class Position:
    """The last block a reader has taken in: its number, hash and time (unix seconds)."""

    block_number: int
    block_hash: bytes
    block_time: int


async def read_position(connection: asyncpg.Connection, reader: str) -> Position | None:
    """The position of a reader; None before its first block."""
    row = await connection.fetchrow(
        "select block_number, block_hash, block_time from settlement.watch_position where reader = $1", reader
    )
    return None if row is None else Position(**row)


async def read_positions(connection: asyncpg.Connection) -> dict[str, Position]:
    """The positions of all readers."""
    rows = await connection.fetch(
        "select reader, block_number, block_hash, block_time from settlement.watch_position"
    )
    return {
        row["reader"]: Position(row["block_number"], row["block_hash"], row["block_time"]) for row in rows
    }


async def write_position(connection: asyncpg.Connection, reader: str, position: Position) -> None:
    """Move a reader to a position; it never moves back."""
    await connection.execute(
        "insert into settlement.watch_position as p (reader, block_number, block_hash, block_time)"
        " values ($1, $2, $3, $4) on conflict (reader) do update set block_number = excluded.block_number,"
        " block_hash = excluded.block_hash, block_time = excluded.block_time"
        " where p.block_number < excluded.block_number",
        reader, position.block_number, position.block_hash, position.block_time,
    )  # fmt: skip
