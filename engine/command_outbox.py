"""Commands that must survive the process that decided them: written in the transaction of their cause, sent
later.

A source such as ``administration`` or ``keeper`` calls :func:`enqueue` inside its own transaction, so that
what it decided and the command that carries the decision to the shard exist together or not at all. Numbers
are dense from 1 per (source, shard) and the source's incarnation is always 1, so that whoever sends them,
wherever and however often, sends what lies above the number the shard last saw, and the shard applies each
command once (DESIGN D5). ``engine/outbox_sender.py`` does the sending.

Rows stay in the table after they were sent: they say who had what done, and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from ext.records import HEADER_STRUCT, UNIT_BYTES, RecordError, Sourced, decode_header, side_digest

INCARNATION: Final = 1
CHANNEL: Final = "engine_outbox"
"""Notified at commit, with the source's id as payload."""
_LOCK_SPACE: Final = 0x0B0C_0000
_SOURCES_MAX: Final = 0xFFFF


async def outbox_source(connection: asyncpg.Connection, name: str) -> int:
    """Return the id of the source called ``name``, made on first use, with the incarnation that outbox
    sources keep for ever.
    """
    await connection.execute(
        "insert into engine.source (name, incarnation) values ($1, $2) on conflict (name) do nothing",
        name,
        INCARNATION,
    )
    source: int = await connection.fetchval("select source from engine.source where name = $1", name)
    return source


async def enqueue(
    connection: asyncpg.Connection,
    source: int,
    shard: int,
    commands: Sequence[Sourced],
    *,
    cause: str,
    actor: str,
) -> range:
    """Write commands of ``source`` to ``shard`` in the caller's transaction and return their numbers, in
    order.

    ``record`` of each command is a whole encoded command; its source, incarnation, number and side digest are
    set here, whatever they were. ``cause`` says why and ``actor`` on whose account, for the audit. Writers of
    one (source, shard) wait for each other until commit, so that numbers become visible in order and without
    a gap; a transaction that writes to several shards takes them in ascending order, else two of them may
    deadlock. The transaction must be READ COMMITTED (the default).

    Raises:
        RecordError: A record is not one whole record.
        RuntimeError: The connection is in no transaction.
    """
    if not connection.is_in_transaction():
        raise RuntimeError("commands are enqueued inside the transaction of their cause")
    last = await _last_number_locked(connection, source, shard)
    numbers = range(last + 1, last + 1 + len(commands))
    records = [_numbered(command, source, number) for command, number in zip(commands, numbers, strict=True)]
    await connection.execute(
        "insert into engine.command_outbox (source, shard, number, record, side, cause, actor)"
        " select $1, $2, n, r, s, $6, $7 from unnest($3::bigint[], $4::bytea[], $5::bytea[]) as u(n, r, s)",
        source, shard, list(numbers), records, [command.side for command in commands], cause, actor,
    )  # fmt: skip
    await connection.execute("select pg_notify($1, $2)", CHANNEL, str(source))
    return numbers


async def commands_above(
    connection: asyncpg.Connection, source: int, shard: int, number: int, limit: int
) -> list[Sourced]:
    """Return up to ``limit`` commands of ``source`` for ``shard`` numbered above ``number``, in order."""
    rows = await connection.fetch(
        "select record, side from engine.command_outbox where source = $1 and shard = $2 and number > $3"
        " order by number limit $4",
        source, shard, number, limit,
    )  # fmt: skip
    return [Sourced(row["record"], row["side"]) for row in rows]


async def _last_number_locked(connection: asyncpg.Connection, source: int, shard: int) -> int:
    """Last number of (source, shard), which nobody else can raise until this transaction ends."""
    assert 0 < source <= _SOURCES_MAX
    await connection.execute("select pg_advisory_xact_lock($1, $2)", _LOCK_SPACE | source, shard)
    last: int = await connection.fetchval(
        "select coalesce(max(number), 0) from engine.command_outbox where source = $1 and shard = $2",
        source,
        shard,
    )
    return last


def _numbered(command: Sourced, source: int, number: int) -> bytes:
    """The record with its place in the source's sequence and its tie to its side data."""
    head = decode_header(command.record)
    if head.units * UNIT_BYTES != len(command.record):
        raise RecordError(f"{len(command.record)} bytes are not one record of {head.units} units")
    stamped = head._replace(
        source=source, incarnation=INCARNATION, number=number, side_digest=side_digest(command.side)
    )
    return HEADER_STRUCT.pack(*stamped) + command.record[UNIT_BYTES:]
