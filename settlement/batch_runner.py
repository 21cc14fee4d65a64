"""The way of fills to finality, one round after another: take, batch, sign, send, follow.

A round holds nothing between its steps: each reads what is so from the tables and the chain, and leaves what
it did in one transaction. So the process can be killed at any point, and the next round of another goes on
from there.
"""

from __future__ import annotations

import time

import structlog

from engine.database import Database
from settlement.batch_following import BatchFollowing
from settlement.batch_submission import BatchSubmission
from settlement.batching import next_batch
from settlement.chain import Chain
from settlement.held_fills import fail_held_fills
from settlement.instruction import InstructionEvent
from settlement.postgres_store import (
    create_batch,
    fills_of_unknown_orders,
    move_instructions,
    record_new_fills,
    tranches_with_waiting_fills,
    waiting_fills,
)
from settlement.settlement_config import SettlementConfig
from settlement.signer import Signer

_log = structlog.get_logger()


class BatchRunner:
    """Settles fills; ``round`` takes every fill, batch and transaction as far as it can go now."""

    def __init__(self, database: Database, chain: Chain, signer: Signer, config: SettlementConfig) -> None:
        self._database = database
        self._chain = chain
        self._config = config
        self._submission = BatchSubmission(database, chain, signer, config)
        self._following = BatchFollowing(
            database, chain, signer, self._submission, config.finality, config.fees
        )

    async def round(self) -> int:
        """Do one round; returns how many steps were taken, 0 when there was nothing to do.

        Raises ChainUnavailableError when the node does not answer; what was done until then stays done.
        """
        steps = await self._take_fills()
        steps += await self._form_batches()
        steps += await self._following.send_signed()
        steps += await self._submission.sign_attested()
        steps += await self._following.send_signed()
        steps += await self._following.follow()
        return steps + await fail_held_fills(self._database, self._chain, self._config.deployment.dvp)

    async def _take_fills(self) -> int:
        """Make instructions of fills that the projector wrote; hold those whose orders nobody knows."""
        async with self._database.connection() as connection:
            taken = await record_new_fills(connection)
            unknown = await fills_of_unknown_orders(connection) if taken else {}
        for tranche, numbers in unknown.items():
            _log.error("fills of unknown orders held", tranche=tranche, fills=numbers)
            async with self._database.transaction() as connection:
                await move_instructions(
                    connection,
                    tranche,
                    numbers,
                    InstructionEvent.HOLD,
                    reason="its signed orders are unknown",
                )
        return taken

    async def _form_batches(self) -> int:
        """Form every batch that is due."""
        async with self._database.connection() as connection:
            tranches = await tranches_with_waiting_fills(connection)
        formed = 0
        for tranche in tranches:
            async with self._database.connection() as connection:
                left = await waiting_fills(connection, tranche)
            while following := next_batch(left, self._config.batching, time.time_ns()):
                async with self._database.transaction() as connection:
                    batch = await create_batch(connection, tranche, following)
                _log.info("batch formed", batch=batch, tranche=tranche, fills=len(following.fill_numbers))
                gone = set(following.fill_numbers)
                left = [fill for fill in left if fill.fill_number not in gone]
                formed += 1
        return formed
