"""From a batch that the engine has attested to a signed transaction: compose, simulate, sign; or take it
apart.

A batch goes to the chain only if its call succeeds on the newest state. One that does not is taken apart in
one transaction of the database: fills to blame are isolated and fail, the others are in another batch at
once, before any later fill of their tranche, so that the order of fills is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import structlog

from engine.database import Database
from engine.settlement_batch import BatchError, ComposedBatch, FillFact, compose_batch
from engine.signed_order import SignatureError
from settlement.batch import BatchEvent, BatchStatus
from settlement.batching import TRANSACTION_GAS_CAP, NextBatch
from settlement.chain import Call, Chain
from settlement.compliance_blame import COMPLIANCE_REFUSED, blame_compliance
from settlement.dvp_calldata import (
    MAX_CALLDATA_BYTES,
    Attestation,
    Refusal,
    decode_refusal,
    encode_settle,
)
from settlement.errors import ChainRefusedError
from settlement.fees import Fees, first_fees
from settlement.fill_facts import BatchFacts, batch_facts
from settlement.instruction import InstructionEvent
from settlement.isolation import Blame, blame, describe, halves
from settlement.outcomes import tell_failed
from settlement.postgres_store import (
    BatchRow,
    batch_of_older_version,
    batches_in,
    create_batch,
    fills_of_batch,
    move_batch,
    move_instructions,
    postpone_batch,
)
from settlement.settlement_config import SettlementConfig
from settlement.signer import Signer
from settlement.transactions import (
    ContractCall,
    batches_without_transaction,
    reopen_attempt,
    sign_and_store,
    superseded_attempts,
)

_log = structlog.get_logger()

PAUSE_MAX_S: Final = 60.0
ALREADY_SETTLED: Final = "FillAlreadySettled"
_EXECUTION_REVERTED: Final = 3
_GAS_WORDS: Final = ("out of gas", "outofgas", "gas required exceeds", "intrinsic gas")


@dataclass(frozen=True, slots=True)
class ReadyBatch:
    """A batch with all that its transaction needs."""

    row: BatchRow
    facts: BatchFacts
    composed: ComposedBatch
    data: bytes


class BatchSubmission:
    """Takes attested batches to signed transactions, in the order of each tranche's fills."""

    def __init__(self, database: Database, chain: Chain, signer: Signer, config: SettlementConfig) -> None:
        self._database = database
        self._chain = chain
        self._signer = signer
        self._config = config
        self._dataless_at: dict[int, bytes] = {}
        self._waits_for: dict[int, int] = {}

    async def sign_attested(self) -> int:
        """Sign what can go now, up to the limit in flight; returns how many transactions were stored.

        A batch that must wait holds back the rest of its tranche, except where it only waits for an older
        version of an order: then what does not depend on it goes on.
        """
        signed, blocked, waiting = 0, set[int](), Counter[int]()
        async with self._database.connection() as connection:
            rows, undecided = await self._candidates(connection)
        under_way = len(undecided) - len(rows)
        for row in rows:
            if under_way + signed >= self._config.batches_in_flight:
                break
            if row.tranche in blocked or waiting[row.tranche] >= self._config.batches_in_flight:
                continue
            if not await self._is_due(row):
                blocked.add(row.tranche)
            elif await self._waits_for_older_version(row, undecided):
                waiting[row.tranche] += 1
            elif await self._sign(row):
                signed += 1
            else:
                blocked.add(row.tranche)
        return signed

    async def _is_due(self, row: BatchRow) -> bool:
        """Whether the engine has answered for a batch, and its pause is over."""
        if row.not_before > datetime.now(UTC):
            return False
        async with self._database.connection() as connection:
            answered: bool = await connection.fetchval(
                "select exists (select from engine.attestation where batch = $1"
                " and (signature is not null or refusal is not null))",
                row.batch,
            )
        return answered

    async def _waits_for_older_version(self, row: BatchRow, undecided: set[int]) -> bool:
        """Whether an undecided batch holds an older version of one of a batch's orders."""
        if self._waits_for.get(row.batch) in undecided:
            return True
        async with self._database.connection() as connection:
            found = await batch_of_older_version(connection, row)
        self._waits_for.pop(row.batch, None)
        if found is not None:
            self._waits_for[row.batch] = found
        return found is not None

    async def _candidates(self, connection: asyncpg.Connection) -> tuple[list[BatchRow], set[int]]:
        """Batches without a transaction, earliest fills first, and the numbers of all undecided ones."""
        rows = await batches_in(
            connection,
            (BatchStatus.BATCHED, BatchStatus.SUBMITTED, BatchStatus.INCLUDED, BatchStatus.CONFIRMED),
        )
        bare = await batches_without_transaction(connection, [row.batch for row in rows])
        return [row for row in rows if row.batch in bare], {row.batch for row in rows}

    async def _sign(self, row: BatchRow) -> bool:
        """Sign one batch; False when it, and with it later fills of its tranche, must wait."""
        ready = await self._ready(row)
        if ready is None:
            return False
        gas_limit = min(row.gas_bound, TRANSACTION_GAS_CAP)
        refusal = await self._simulate(ready.data, gas_limit)
        if refusal is None or refusal.error:
            self._dataless_at.pop(row.batch, None)
        if refusal is not None:
            await self._not_now(ready, gas_limit, refusal)
            return False
        call = ContractCall(self._config.deployment.dvp, ready.data, gas_limit)
        fees, next_nonce = await self.fees_now(), await self._chain.transaction_count(self._signer.address)
        async with self._database.transaction() as connection:
            await sign_and_store(connection, self._signer, row.batch, call, fees, next_nonce)
        return True

    async def fees_now(self) -> Fees:
        """Fees of a first attempt at this moment."""
        head, suggested = await self._chain.head(), await self._chain.priority_fee()
        return first_fees(self._config.fees, head.base_fee, suggested)

    async def call_of(self, batch: int, gas_limit: int) -> ContractCall | None:
        """The call of a batch that was signed before, for its replacement; equal to the first one's."""
        async with self._database.connection() as connection:
            found = await batches_in(connection, (BatchStatus.BATCHED, BatchStatus.SUBMITTED))
        row = next((row for row in found if row.batch == batch), None)
        ready = await self._ready(row) if row else None
        return ContractCall(self._config.deployment.dvp, ready.data, gas_limit) if ready else None

    async def _ready(self, row: BatchRow) -> ReadyBatch | None:
        """Compose and encode a batch; None while the engine has not answered, or once it refused."""
        async with self._database.connection() as connection:
            answer = await connection.fetchrow(
                "select shard, journal_row, row_hash, signature, refusal from engine.attestation"
                " where batch = $1",
                row.batch,
            )
            if answer is None or (answer["signature"] is None and answer["refusal"] is None):
                return None
            tranche, numbers = await fills_of_batch(connection, row.batch)
            facts = await batch_facts(connection, tranche, numbers)
        if answer["refusal"] is not None:
            await self._doubt(row, facts, f"not attested: {answer['refusal']}")
            return None
        return await self._encode(row, facts, answer)

    async def _encode(self, row: BatchRow, facts: BatchFacts, answer: Any) -> ReadyBatch | None:
        """The batch's call; None for a batch that cannot be encoded or is too large, which is in doubt."""
        attestation = Attestation(
            answer["shard"], answer["journal_row"], answer["row_hash"], answer["signature"]
        )
        try:
            composed = compose_batch(facts.fills)
            signatures = [facts.signatures[order] for order in composed.orders]
            data = encode_settle(composed, signatures, attestation)
        except (BatchError, SignatureError) as error:
            await self._doubt(row, facts, str(error))
            return None
        ready = ReadyBatch(row, facts, composed, data)
        if len(data) > MAX_CALLDATA_BYTES:
            await self._doubt(row, facts, f"{len(data)} bytes of calldata")
            return None
        return ready

    async def _simulate(self, data: bytes, gas_limit: int) -> Refusal | None:
        """Why the call would revert on the newest state under this gas limit; None when it would not."""
        call = Call(self._config.deployment.dvp, data, self._signer.address, gas_limit)
        try:
            await self._chain.calls([call])
        except ChainRefusedError as error:
            return refusal_of(error)
        return None

    async def _not_now(self, ready: ReadyBatch, gas_limit: int, refusal: Refusal) -> None:
        """A simulation failed: more gas where that may help, else blame, else wait."""
        row, reason = ready.row, describe(refusal)
        if refusal.error == "" and gas_limit < TRANSACTION_GAS_CAP:
            async with self._database.transaction() as connection:
                await postpone_batch(connection, row.batch, 0.0, TRANSACTION_GAS_CAP, "more gas")
            return
        if refusal.error == "" and not await self._said_at_two_heads(row.batch):
            await self._wait(row, reason)
            return
        if refusal.error == ALREADY_SETTLED and await self._adopt(row.batch):
            return
        verdict = await self._verdict(ready, refusal)
        if verdict.split or verdict.isolated:
            await self.take_apart(row, ready.facts, verdict, f"simulation: {reason}")
            return
        await self._wait(row, reason)

    async def _said_at_two_heads(self, batch: int) -> bool:
        """Whether a refusal without data, which a node may have lost, was the answer at another head too."""
        head = (await self._chain.head()).hash
        return self._dataless_at.setdefault(batch, head) != head

    async def _wait(self, row: BatchRow, reason: str) -> None:
        """Leave a batch alone for a while, longer each time."""
        pause_s = min(0.5 * 2.0 ** min(row.attempts, 10), PAUSE_MAX_S)
        _log.warning("batch waits", batch=row.batch, tranche=row.tranche, reason=reason, pause_s=pause_s)
        async with self._database.transaction() as connection:
            await postpone_batch(connection, row.batch, pause_s, row.gas_bound, f"waits: {reason}")

    async def _adopt(self, batch: int) -> bool:
        """Count again on a transaction of the batch that was given up and is mined; whether there is one."""
        mined_hash = await self.mined_after_all(batch)
        if mined_hash is None:
            return False
        async with self._database.transaction() as connection:
            await reopen_attempt(connection, batch, mined_hash)
        return True

    async def mined_after_all(self, batch: int) -> bytes | None:
        """Which of a batch's superseded transactions settled it; nodes that lag had hidden it from us."""
        async with self._database.connection() as connection:
            hashes = await superseded_attempts(connection, batch)
        receipts = await self._chain.receipts(hashes) if hashes else []
        found = next((receipt for receipt in receipts if receipt is not None and receipt.succeeded), None)
        if found is None:
            return None
        _log.warning("mined after all", batch=batch, transaction=found.transaction_hash.hex())
        return found.transaction_hash

    async def _verdict(self, ready: ReadyBatch, refusal: Refusal) -> Blame:
        """Whom to blame for a refusal."""
        found = None
        if refusal.error == COMPLIANCE_REFUSED:
            found = await blame_compliance(self._chain, refusal, ready.facts.fills)
        return found or blame(refusal, ready.composed, ready.facts.fills)

    async def examine_reverted(self, batch: int) -> tuple[ReadyBatch | None, Blame, str]:
        """Why a batch that reverted on chain did: its facts, whom to blame, in words.

        Where the call succeeds by now, or the node does not say why it fails, nobody is to blame, and all its
        fills may be tried again.
        """
        async with self._database.connection() as connection:
            rows = await batches_in(connection, (BatchStatus.SUBMITTED,))
        row = next(row for row in rows if row.batch == batch)
        ready = await self._ready(row)
        if ready is None:
            return None, Blame(), "reverted on chain"
        refusal = await self._simulate(ready.data, TRANSACTION_GAS_CAP)
        if refusal is None:
            return ready, Blame(), "reverted on chain, would succeed now"
        verdict = await self._verdict(ready, refusal) if refusal.error else Blame()
        return ready, verdict, f"on chain: {describe(refusal)}"

    async def take_apart(self, row: BatchRow, facts: BatchFacts, verdict: Blame, reason: str) -> None:
        """End a batch as reverted; its fills fail or are in new batches when the transaction commits."""
        async with self._database.transaction() as connection:
            await self.take_apart_in(connection, row, facts, verdict, reason)

    async def take_apart_in(
        self, connection: asyncpg.Connection, row: BatchRow, facts: BatchFacts, verdict: Blame, reason: str
    ) -> None:
        """As ``take_apart``, in the caller's transaction."""
        numbers = _numbers(facts.fills)
        _log.warning("batch reverted", batch=row.batch, tranche=row.tranche, reason=reason)
        await move_batch(connection, row.batch, BatchEvent.REVERT, reason=reason)
        await move_instructions(connection, row.tranche, numbers, InstructionEvent.REVERT, reason=reason)
        failing = sorted(verdict.isolated)
        rest = [fill for fill in facts.fills if fill.fill_number not in verdict.isolated]
        if failing:
            await self._fail(connection, row, failing, verdict, reason)
        if rest:
            await move_instructions(
                connection, row.tranche, _numbers(rest), InstructionEvent.RETRY, reason=reason
            )
            for part in halves(rest) if verdict.split else [rest]:
                await self._batch_again(connection, row, part)

    async def _fail(
        self, connection: asyncpg.Connection, row: BatchRow, failing: list[int], verdict: Blame, reason: str
    ) -> None:
        await move_instructions(connection, row.tranche, failing, InstructionEvent.ISOLATE, reason=reason)
        words = f"{verdict.reason.value} {verdict.reason.name}: {reason}"
        await move_instructions(connection, row.tranche, failing, InstructionEvent.FAIL, reason=words)
        await tell_failed(connection, row.tranche, failing, row.batch, verdict.reason)

    async def _batch_again(
        self, connection: asyncpg.Connection, row: BatchRow, fills: Sequence[FillFact]
    ) -> None:
        """Another batch for fills whose batch reverted."""
        orders = {side for fill in fills for side in (fill.buy, fill.sell)}
        accounts = {order.account for order in orders}
        bound = self._config.batching.gas.of(len(fills), len(orders), len(accounts))
        following = NextBatch(_numbers(fills), min(bound, TRANSACTION_GAS_CAP), full=False)
        await create_batch(connection, row.tranche, following, reason="again", replaces=row.batch)

    async def _doubt(self, row: BatchRow, facts: BatchFacts, reason: str) -> None:
        """Nothing is signed for a batch whose facts are in doubt.

        It is halved until the fill in doubt stands alone, or with those that a once-order binds it to; they
        are held, and fail when their settlement window has passed.
        """
        if len(halves(facts.fills)) > 1:
            await self.take_apart(row, facts, Blame(split=True), reason)
            return
        _log.error("fills held", batch=row.batch, tranche=row.tranche, reason=reason)
        async with self._database.transaction() as connection:
            _, numbers = await fills_of_batch(connection, row.batch)
            await move_batch(connection, row.batch, BatchEvent.REVERT, reason=reason)
            await move_instructions(connection, row.tranche, numbers, InstructionEvent.HOLD, reason=reason)


def _numbers(fills: Sequence[FillFact]) -> list[int]:
    return [fill.fill_number for fill in fills]


def refusal_of(error: ChainRefusedError) -> Refusal:
    """What a node's error says about a call; anything but a revert or a lack of gas is raised again."""
    message = error.message.lower()
    if error.data:
        return decode_refusal(error.data)
    if (
        error.code == _EXECUTION_REVERTED
        or "revert" in message
        or any(word in message for word in _GAS_WORDS)
    ):
        return Refusal(error="", arguments={})
    raise error
