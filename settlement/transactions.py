"""The journal of transactions: a nonce and the signed bytes are stored before anything is sent.

After a crash the stored bytes are sent again, identical, so a nonce is never used for two different batches
and a batch is never sent under two nonces while the first can still be mined. A replacement has the same
nonce and call with higher fees; whichever attempt is mined, the batch settles once.

All functions take the connection of the caller's transaction, except where they say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import asyncpg

from settlement.batch import BatchEvent, BatchStatus
from settlement.fees import Fees
from settlement.postgres_store import move_whole_batch, set_transaction
from settlement.signer import Signer


@dataclass(frozen=True, slots=True)
class Attempt:
    """A signed transaction under a nonce.

    ``sent_at_block``: the head when a node first took it, ``handed_in_at_block``: when it was last handed in.
    """

    attempt: int
    hash: bytes
    raw: bytes
    fees: Fees
    gas_limit: int
    state: str
    sent_at_block: int | None
    handed_in_at_block: int | None


@dataclass(frozen=True, slots=True)
class OpenNonce:
    """A nonce whose outcome is not final, the batch it is for, and its attempts in order."""

    nonce: int
    batch: int
    attempts: list[Attempt]

    @property
    def newest(self) -> Attempt:
        """The attempt with the highest fees."""
        return self.attempts[-1]


@dataclass(frozen=True, slots=True)
class ContractCall:
    """What a transaction does: a call of a contract (20 bytes) under a gas limit."""

    to: bytes
    data: bytes
    gas_limit: int


async def sign_and_store(
    connection: asyncpg.Connection,
    signer: Signer,
    batch: int,
    call: ContractCall,
    fees: Fees,
    next_nonce_on_chain: int,
) -> int:
    """Allocate the next nonce, sign the batch's call with it, store both, and return the nonce.

    The nonce is the one after the last stored, or the chain's own where someone used the key besides.
    """
    await connection.execute("lock table settlement.chain_transaction in share row exclusive mode")
    stored: int | None = await connection.fetchval(
        "select max(nonce) from settlement.chain_transaction where sender = $1", signer.address
    )
    nonce = next_nonce_on_chain if stored is None else max(stored + 1, next_nonce_on_chain)
    await _store_attempt(connection, signer, nonce, 1, batch, call, fees)
    return nonce


async def store_replacement(
    connection: asyncpg.Connection, signer: Signer, replaced: OpenNonce, call: ContractCall, fees: Fees
) -> None:
    """Sign and store another attempt of an open nonce, for the same batch and call, at higher fees."""
    attempt: int = await connection.fetchval(
        "select max(attempt) + 1 from settlement.chain_transaction where sender = $1 and nonce = $2",
        signer.address, replaced.nonce,
    )  # fmt: skip
    await _store_attempt(connection, signer, replaced.nonce, attempt, replaced.batch, call, fees)


async def open_nonces(connection: asyncpg.Connection, sender: bytes) -> list[OpenNonce]:
    """Nonces whose outcome is not final yet, ascending."""
    rows = await connection.fetch(
        "select nonce, attempt, batch, hash, raw, gas_limit, max_fee_per_gas::text, state, sent_at_block,"
        " handed_in_at_block, max_priority_fee_per_gas::text from settlement.chain_transaction"
        " where sender = $1 and state in ('signed', 'sent') order by nonce, attempt",
        sender,
    )
    return [_open_nonce(group) for _, group in groupby(rows, key=lambda row: row["nonce"])]


async def mark_sent(connection: asyncpg.Connection, nonce: OpenNonce, attempt: Attempt, head: int) -> None:
    """Note that a node took an attempt; its batch, if this was the first time, is submitted now."""
    await connection.execute(
        "update settlement.chain_transaction set state = 'sent',"
        " sent_at_block = coalesce(sent_at_block, $2), handed_in_at_block = $2 where hash = $1",
        attempt.hash, head,
    )  # fmt: skip
    await _submitted(connection, nonce.batch)
    if attempt.state == "signed":
        await set_transaction(connection, nonce.batch, attempt.hash)


async def give_up_attempt(connection: asyncpg.Connection, attempt: Attempt) -> None:
    """Note that a replacement was never taken by any node; the attempts before it stay open."""
    await connection.execute(
        "update settlement.chain_transaction set state = 'superseded' where hash = $1", attempt.hash
    )


async def superseded_attempts(connection: asyncpg.Connection, batch: int) -> list[bytes]:
    """Hashes of all that was ever signed for a batch and is counted on no more."""
    rows = await connection.fetch(
        "select hash from settlement.chain_transaction where batch = $1 and state = 'superseded'"
        " order by nonce, attempt",
        batch,
    )
    return [row["hash"] for row in rows]


async def reopen_attempt(connection: asyncpg.Connection, batch: int, mined_hash: bytes) -> None:
    """Count again on a superseded attempt of a batch, because it is mined after all."""
    await connection.execute(
        "update settlement.chain_transaction set state = 'sent' where hash = $1", mined_hash
    )
    await _submitted(connection, batch)
    await set_transaction(connection, batch, mined_hash)


async def settle_nonce(connection: asyncpg.Connection, nonce: OpenNonce, mined_hash: bytes | None) -> None:
    """Close a nonce: the attempt mined in a final block is settled, the others superseded (None: all)."""
    for attempt in nonce.attempts:
        await connection.execute(
            "update settlement.chain_transaction set state = $2 where hash = $1",
            attempt.hash, "settled" if attempt.hash == mined_hash else "superseded",
        )  # fmt: skip


async def last_inclusion(connection: asyncpg.Connection) -> int:
    """The newest block that a transaction of ours is in; 0 before the first."""
    block: int | None = await connection.fetchval(
        "select max(block_number) from settlement.batch where status in ('included', 'confirmed', 'final')"
    )
    return block or 0


async def batches_without_transaction(connection: asyncpg.Connection, batches: Sequence[int]) -> set[int]:
    """Those of ``batches`` for which no transaction can be mined any more, or none was signed yet."""
    rows = await connection.fetch(
        "select distinct batch from settlement.chain_transaction"
        " where batch = any($1) and state in ('signed', 'sent', 'settled')",
        list(batches),
    )
    return set(batches) - {row["batch"] for row in rows}


async def _submitted(connection: asyncpg.Connection, batch: int) -> None:
    """Take a batch to submitted, if it was not there before."""
    status = await connection.fetchval(
        "select status from settlement.batch where batch = $1 for update", batch
    )
    if status == BatchStatus.BATCHED:
        await move_whole_batch(connection, batch, BatchEvent.SUBMIT)


async def _store_attempt(
    connection: asyncpg.Connection,
    signer: Signer,
    nonce: int,
    attempt: int,
    batch: int,
    call: ContractCall,
    fees: Fees,
) -> None:
    signed = signer.sign(nonce=nonce, to=call.to, data=call.data, gas_limit=call.gas_limit, fees=fees)
    await connection.execute(
        "insert into settlement.chain_transaction (sender, nonce, attempt, batch, hash, raw, gas_limit,"
        " max_fee_per_gas, max_priority_fee_per_gas) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        signer.address, nonce, attempt, batch, signed.hash, signed.raw, call.gas_limit,
        fees.max_fee, fees.priority_fee,
    )  # fmt: skip


def _open_nonce(rows: Iterable[asyncpg.Record]) -> OpenNonce:
    attempts = list(rows)
    return OpenNonce(
        attempts[0]["nonce"],
        attempts[0]["batch"],
        [
            Attempt(
                attempt=row["attempt"],
                hash=row["hash"],
                raw=row["raw"],
                fees=Fees(int(row["max_fee_per_gas"]), int(row["max_priority_fee_per_gas"])),
                gas_limit=row["gas_limit"],
                state=row["state"],
                sent_at_block=row["sent_at_block"],
                handed_in_at_block=row["handed_in_at_block"],
            )
            for row in attempts
        ],
    )
