"""Telling the engine how a fill ended: the commands SETTLEMENT_FINAL and SETTLEMENT_FAILED of source
``settlement``.

They are written in the transaction that makes the instruction final or failed, so that chain, tables and
engine cannot disagree about an end for longer than the outbox's sender takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from engine.command import settlement_failed, settlement_final
from engine.command_outbox import enqueue, outbox_source
from engine.reasons import Reason
from ext.records import Sourced, encode

SOURCE_NAME: Final = "settlement"


async def tell_final(
    connection: asyncpg.Connection, tranche: int, fill_numbers: Sequence[int], batch: int
) -> None:
    """Tell the tranche's shard that fills are final on chain, in the caller's transaction."""
    commands = [Sourced(encode(settlement_final(tranche, number, batch=batch))) for number in fill_numbers]
    await _tell(connection, tranche, commands, f"batch {batch} final")


async def tell_failed(
    connection: asyncpg.Connection,
    tranche: int,
    fill_numbers: Sequence[int],
    batch: int,
    reason: Reason,
    actor: str = SOURCE_NAME,
) -> None:
    """Tell the tranche's shard that fills will never settle, as above: both legs go free."""
    commands = [
        Sourced(encode(settlement_failed(tranche, number, batch=batch, reason=reason)))
        for number in fill_numbers
    ]
    await _tell(connection, tranche, commands, f"batch {batch} failed: {reason.name}", actor)


async def _tell(
    connection: asyncpg.Connection,
    tranche: int,
    commands: list[Sourced],
    cause: str,
    actor: str = SOURCE_NAME,
) -> None:
    shard: int = await connection.fetchval("select shard from engine.tranche where tranche = $1", tranche)
    source = await outbox_source(connection, SOURCE_NAME)
    await enqueue(connection, source, shard, commands, cause=cause, actor=actor)
