"""Following transactions on the chain: sent, included, confirmed, final, or back again by a reorganisation.

What is true is read from the chain anew each time: a receipt counts while its block is the canonical one. A
batch is decided, settled or reverted, only when its block is final; until then it can step back and its
identical bytes are handed in again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import asyncpg
import structlog

from engine.database import Database
from settlement.batch import BatchEvent, BatchStatus
from settlement.batch_submission import BatchSubmission
from settlement.chain import Block, Chain, Receipt
from settlement.errors import ChainRefusedError
from settlement.fees import FeePolicy, replacement_fees
from settlement.finality import FinalityRule, final_block, is_confirmed
from settlement.outcomes import tell_final
from settlement.postgres_store import Inclusion, fills_of_batch, move_whole_batch, set_inclusion
from settlement.signer import Signer
from settlement.transactions import (
    Attempt,
    OpenNonce,
    give_up_attempt,
    last_inclusion,
    mark_sent,
    open_nonces,
    reopen_attempt,
    settle_nonce,
    store_replacement,
)
from settlement.watch_position import Position, write_position

_log = structlog.get_logger()

READER: Final = "batches"
"""Name of this reader of the chain: every receipt in blocks up to its position is in the tables."""
FOREIGN_AFTER_HEADS: Final = 3
"""In how many heads a used nonce must be without a receipt of ours before it counts as somebody else's."""


@dataclass(frozen=True, slots=True)
class ChainView:
    """The chain at one moment: its newest block, and the number of the newest final one (-1: none)."""

    head: Block
    final: int


class BatchFollowing:
    """Hands stored transactions in and takes their batches through what the chain says of them."""

    def __init__(
        self,
        database: Database,
        chain: Chain,
        signer: Signer,
        submission: BatchSubmission,
        finality: FinalityRule,
        fees: FeePolicy,
    ) -> None:
        self._database = database
        self._chain = chain
        self._signer = signer
        self._submission = submission
        self._finality = finality
        self._fees = fees
        self._seen_head = b""
        self._missed_heads = Counter[int]()
        self._priced_again = (-1, -1)

    async def send_signed(self) -> int:
        """Hand in, by ascending nonce, what was signed and not known to be sent; returns how many.

        Of a nonce the newest attempt counts. Stops at the first nonce that no node took: it is tried again
        later, at a higher price where that may help, its successors after it.
        """
        sent = 0
        async with self._database.connection() as connection:
            nonces = await open_nonces(connection, self._signer.address)
        pending = [nonce for nonce in nonces if nonce.newest.state == "signed"]
        if not pending:
            return 0
        head = await self._chain.head()
        for nonce in pending:
            if await self._hand_in(nonce, nonce.newest, head.number):
                sent += 1
            elif all(attempt.state == "signed" for attempt in nonce.attempts):
                await self._price_again(nonce, head)
                break
        return sent

    async def _price_again(self, nonce: OpenNonce, head: Block) -> None:
        """Offer more, once in a head, where a refused transaction pays too little to be in any block."""
        place = (nonce.nonce, head.number)
        too_low = nonce.newest.fees.max_fee < head.base_fee
        if too_low and place != self._priced_again and await self._is_next(nonce):
            self._priced_again = place
            await self._offer_more(nonce, head)

    async def follow(self) -> int:
        """Look at every open transaction once in a new head; returns how many batches took a step.

        The head is read before the receipts and again after them, and the lower of both decides what is
        final: so no receipt is missed below the position that is written, and none counts for more than it
        is.
        """
        before = await self._view()
        if before.head.hash == self._seen_head:
            return 0
        async with self._database.connection() as connection:
            nonces = await open_nonces(connection, self._signer.address)
        receipts = await self._canonical_receipts(nonces)
        foreign_below = await self._nonces_used_for_good(nonces, receipts, before)
        if foreign_below:
            receipts = await self._canonical_receipts(nonces)
        after = await self._view()
        view = ChainView(after.head, min(before.final, after.final))
        steps = 0
        for nonce in nonces:
            steps += await self._follow_one(nonce, receipts.get(nonce.nonce), view, foreign_below)
        await self._write_position(view)
        self._seen_head = before.head.hash
        return steps

    async def _view(self) -> ChainView:
        head = await self._chain.head()
        finalized = await self._chain.finalized() if self._finality.asks_the_chain else None
        return ChainView(
            head, final_block(self._finality, head.number, finalized.number if finalized else None)
        )

    async def _nonces_used_for_good(
        self, nonces: list[OpenNonce], receipts: dict[int, Receipt], view: ChainView
    ) -> int:
        """Every nonce below this is used in a final block; 0 while that decides about none without a receipt.

        The receipts must be read again after it: one of ours may have come in between.
        """
        missing = [nonce.nonce for nonce in nonces if nonce.nonce not in receipts]
        if not missing or await self._chain.transaction_count(self._signer.address) <= min(missing):
            return 0
        return await self._chain.transaction_count(self._signer.address, max(view.final, 0))

    async def _canonical_receipts(self, nonces: list[OpenNonce]) -> dict[int, Receipt]:
        """By nonce, the receipt of whichever attempt is in a canonical block."""
        owner = {attempt.hash: nonce.nonce for nonce in nonces for attempt in nonce.attempts}
        found = [receipt for receipt in await self._chain.receipts(list(owner)) if receipt is not None]
        numbers = sorted({receipt.block_number for receipt in found})
        blocks = dict(zip(numbers, await self._chain.blocks(numbers), strict=True))
        canonical: dict[int, Receipt] = {}
        for receipt in found:
            block = blocks[receipt.block_number]
            if block is not None and block.hash == receipt.block_hash:
                canonical[owner[receipt.transaction_hash]] = receipt
        return canonical

    async def _follow_one(
        self, nonce: OpenNonce, receipt: Receipt | None, view: ChainView, foreign_below: int
    ) -> bool:
        """Take one nonce's batch as far as the chain says; True when it took a step."""
        if receipt is None:
            stepped = await self._step_back(nonce)
            if nonce.nonce >= foreign_below:
                self._missed_heads.pop(nonce.nonce, None)
                await self._again(nonce, view, at_once=stepped)
            elif self._is_foreign(nonce):
                await self._supersede(nonce)
            return stepped
        self._missed_heads.pop(nonce.nonce, None)
        if receipt.succeeded:
            return await self._step_forward(nonce, receipt, view)
        if receipt.block_number <= view.final:
            await self._revert(nonce, receipt)
            return True
        return await self._step_back(nonce)

    async def _step_forward(self, nonce: OpenNonce, receipt: Receipt, view: ChainView) -> bool:
        """The batch is in a block: included, confirmed, final, as far as it goes, in one transaction."""
        inclusion = Inclusion(
            receipt.transaction_hash, receipt.block_number, receipt.block_hash, receipt.gas_used
        )
        async with self._database.transaction() as connection:
            row = await _locked_batch(connection, nonce.batch)
            status = before = BatchStatus(row["status"])
            on_chain = status in (BatchStatus.INCLUDED, BatchStatus.CONFIRMED)
            if on_chain and row["block_hash"] != receipt.block_hash:
                await move_whole_batch(connection, nonce.batch, BatchEvent.REORGANISE, reason=_REORGANISED)
                status = BatchStatus.SUBMITTED
            if status == BatchStatus.SUBMITTED:
                await move_whole_batch(connection, nonce.batch, BatchEvent.INCLUDE)
                await set_inclusion(connection, nonce.batch, inclusion)
                status = BatchStatus.INCLUDED
            final = receipt.block_number <= view.final
            if status == BatchStatus.INCLUDED and (
                final or is_confirmed(receipt.block_number, view.head.number)
            ):
                await move_whole_batch(connection, nonce.batch, BatchEvent.CONFIRM)
                status = BatchStatus.CONFIRMED
            if status == BatchStatus.CONFIRMED and final:
                await self._finalise(connection, nonce, receipt.transaction_hash)
                status = BatchStatus.FINAL
        return status != before

    async def _finalise(self, connection: asyncpg.Connection, nonce: OpenNonce, mined_hash: bytes) -> None:
        """The batch can change no more: say so, and tell the engine, in one transaction."""
        numbers = await move_whole_batch(connection, nonce.batch, BatchEvent.FINALISE)
        tranche, _ = await fills_of_batch(connection, nonce.batch)
        await tell_final(connection, tranche, numbers, nonce.batch)
        await settle_nonce(connection, nonce, mined_hash)

    async def _step_back(self, nonce: OpenNonce) -> bool:
        """The batch is in no block (any more): back to submitted if it was further; True if it was."""
        async with self._database.transaction() as connection:
            row = await _locked_batch(connection, nonce.batch)
            if row["status"] not in (BatchStatus.INCLUDED, BatchStatus.CONFIRMED):
                return False
            _log.warning("reorganisation", batch=nonce.batch, block=row["block_number"])
            await move_whole_batch(connection, nonce.batch, BatchEvent.REORGANISE, reason=_REORGANISED)
            await set_inclusion(connection, nonce.batch, None)
        return True

    async def _revert(self, nonce: OpenNonce, receipt: Receipt) -> None:
        """The batch reverted in a final block: take it apart, unless an earlier transaction settled it."""
        await self._step_back(nonce)
        mined_hash = await self._submission.mined_after_all(nonce.batch)
        if mined_hash is not None:
            async with self._database.transaction() as connection:
                await settle_nonce(connection, nonce, receipt.transaction_hash)
                await reopen_attempt(connection, nonce.batch, mined_hash)
            return
        ready, verdict, reason = await self._submission.examine_reverted(nonce.batch)
        async with self._database.transaction() as connection:
            await settle_nonce(connection, nonce, receipt.transaction_hash)
            if ready is not None:
                await self._submission.take_apart_in(connection, ready.row, ready.facts, verdict, reason)

    def _is_foreign(self, nonce: OpenNonce) -> bool:
        """Whether none of ours was seen under a used nonce in so many heads that no node lags so far."""
        self._missed_heads[nonce.nonce] += 1
        return self._missed_heads[nonce.nonce] >= FOREIGN_AFTER_HEADS

    async def _supersede(self, nonce: OpenNonce) -> None:
        """Someone else's transaction used the nonce: the batch needs another."""
        _log.error("nonce used by a transaction that is not ours", nonce=nonce.nonce, batch=nonce.batch)
        self._missed_heads.pop(nonce.nonce, None)
        async with self._database.transaction() as connection:
            await settle_nonce(connection, nonce, None)

    async def _again(self, nonce: OpenNonce, view: ChainView, *, at_once: bool) -> None:
        """Hand a transaction that is in no block in again, or replace it when it is stuck."""
        newest = nonce.newest
        if newest.state == "signed":
            return
        head = view.head.number
        long_sent = head - (newest.sent_at_block or 0) >= self._fees.stuck_after_blocks
        if not at_once and long_sent and await self._replace(nonce, view.head):
            return
        if at_once or head - (newest.handed_in_at_block or 0) >= self._fees.resend_after_blocks:
            await self._hand_in(nonce, newest, head)

    async def _is_stuck(self, nonce: OpenNonce, head: int) -> bool:
        """Whether a transaction is the next in line and has been so for long."""
        async with self._database.connection() as connection:
            since = max(nonce.newest.sent_at_block or 0, await last_inclusion(connection))
        if head - since < self._fees.stuck_after_blocks:
            return False
        return await self._is_next(nonce)

    async def _is_next(self, nonce: OpenNonce) -> bool:
        """Whether a nonce is the next that the chain takes."""
        return await self._chain.transaction_count(self._signer.address) == nonce.nonce

    async def _replace(self, nonce: OpenNonce, head: Block) -> bool:
        """Offer more for a transaction that is stuck, if the cap allows; True when that was stored."""
        return await self._is_stuck(nonce, head.number) and await self._offer_more(nonce, head)

    async def _offer_more(self, nonce: OpenNonce, head: Block) -> bool:
        """Store another attempt at higher fees, if the cap allows; True when it did."""
        now = await self._submission.fees_now()
        fees = replacement_fees(self._fees, nonce.newest.fees, now, head.base_fee)
        call = await self._submission.call_of(nonce.batch, nonce.newest.gas_limit) if fees else None
        if fees is None or call is None:
            return False
        _log.warning("transaction replaced", nonce=nonce.nonce, batch=nonce.batch, max_fee=fees.max_fee)
        async with self._database.transaction() as connection:
            await store_replacement(connection, self._signer, nonce, call, fees)
        return True

    async def _hand_in(self, nonce: OpenNonce, attempt: Attempt, head: int) -> bool:
        """Give a node the stored bytes of an attempt; False when it refuses them."""
        try:
            await self._chain.send_raw(attempt.raw)
        except ChainRefusedError as refusal:
            _log.warning("transaction refused", nonce=nonce.nonce, batch=nonce.batch, reason=str(refusal))
            if attempt.attempt > 1 and attempt.state == "signed":
                async with self._database.transaction() as connection:
                    await give_up_attempt(connection, attempt)
            return False
        async with self._database.transaction() as connection:
            await mark_sent(connection, nonce, attempt, head)
        return True

    async def _write_position(self, view: ChainView) -> None:
        """Note that all receipts up to the newest final block are in the tables."""
        if view.final < 0:
            return
        block = (await self._chain.blocks([view.final]))[0]
        if block is not None:
            async with self._database.transaction() as connection:
                await write_position(connection, READER, Position(block.number, block.hash, block.timestamp))


_REORGANISED: Final = "its block left the chain"


async def _locked_batch(connection: asyncpg.Connection, batch: int) -> asyncpg.Record:
    return await connection.fetchrow(
        "select status, block_number, block_hash from settlement.batch where batch = $1 for update", batch
    )
