"""The end of fills that were held and that nobody released: they fail when they can settle no more.

A fill older than the settlement window never settles (DESIGN D8), so once a final block is that late a held
one fails, and both its legs go free.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

import asyncpg
import structlog

from engine.database import Database
from engine.reasons import Reason
from settlement.batch_following import READER
from settlement.chain import Call, Chain
from settlement.contract_abi import ContractName, contract_abi
from settlement.instruction import InstructionEvent
from settlement.outcomes import tell_failed
from settlement.postgres_store import move_instructions
from settlement.watch_position import read_position

_log = structlog.get_logger()

_NANOSECONDS_PER_SECOND: Final = 1_000_000_000


async def fail_held_fills(database: Database, chain: Chain, dvp: bytes) -> int:
    """Fail every held fill whose settlement window has passed; returns how many.

    One that the contract says it settled all the same stays held, for an operator to look at.
    """
    async with database.connection() as connection:
        position = await read_position(connection, READER)
        held = await connection.fetch(_HELD) if position else []
    if position is None or not held:
        return 0
    oldest_ns = (position.block_time - await _settlement_window_s(chain, dvp)) * _NANOSECONDS_PER_SECOND
    late = await _unsettled(chain, dvp, [row for row in held if row["matched_at_ns"] < oldest_ns])
    for (tranche, batch, reason), rows in groupby(
        late, key=lambda row: (row["tranche"], row["batch"], row["reason"])
    ):
        async with database.transaction() as connection:
            await _fail(connection, tranche, batch, reason, [row["fill_number"] for row in rows])
    return len(late)


async def _settlement_window_s(chain: Chain, dvp: bytes) -> int:
    abi = contract_abi(ContractName.DVP)
    answers = await chain.calls([Call(dvp, abi.call("settlementWindow"))])
    return int(abi.result("settlementWindow", answers[0]))


async def _unsettled(chain: Chain, dvp: bytes, rows: Sequence[Any]) -> list[Any]:
    """Those that the contract has not settled."""
    abi = contract_abi(ContractName.DVP)
    asked = [
        Call(dvp, abi.call("isSettled", bytes.fromhex(row["token"].removeprefix("0x")), row["fill_number"]))
        for row in rows
    ]
    settled = [abi.result("isSettled", answer) for answer in (await chain.calls(asked) if asked else [])]
    for row, yes in zip(rows, settled, strict=True):
        if yes:
            _log.error("held fill is settled on chain", tranche=row["tranche"], fill=row["fill_number"])
    return [row for row, yes in zip(rows, settled, strict=True) if not yes]


async def _fail(
    connection: asyncpg.Connection, tranche: int, batch: int, reason: str, fill_numbers: list[int]
) -> None:
    verdict = Reason.SETTLEMENT_WINDOW_PASSED
    _log.error("held fills failed", tranche=tranche, fills=fill_numbers, reason=reason)
    words = f"{verdict.value} {verdict.name}: held: {reason}"
    await move_instructions(connection, tranche, fill_numbers, InstructionEvent.FAIL, reason=words)
    await tell_failed(connection, tranche, fill_numbers, batch, verdict)


_HELD: Final = """
select i.tranche, i.fill_number, coalesce(i.batch, 0) as batch, i.reason, i.matched_at_ns,
    t.document ->> 'token' as token
from settlement.instruction i join engine.tranche t using (tranche)
where i.status = 'held'
order by i.tranche, batch, i.reason, i.fill_number
"""
