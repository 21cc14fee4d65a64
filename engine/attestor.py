"""The engine's attestation of settlement batches (DESIGN D8).

Settlement asks for some fills of a tranche. The attestor proves them from the journal
(``engine/fill_proof.py``), composes the batch as settlement will, and signs it with the engine's key, or says
why not. Only this process holds the key, so settlement alone can settle nothing that was not matched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import structlog
from prometheus_client import Counter

from engine.database import Database
from engine.fill_proof import FillProver
from engine.journal_evidence import EvidenceError
from engine.notifications import Notifications
from engine.settlement_batch import BatchError, attestation_digest, compose_batch
from engine.signed_order import Domain, sign_digest

CHANNEL: Final = "engine_attestation"
"""Notified by settlement when it asks, and here when there is an answer."""
_POLL_SECONDS: Final = 1.0
_REQUESTS_AT_ONCE: Final = 16

ANSWERS: Final = Counter("abst_attestations", "Batches answered", ["answer"])

log = structlog.get_logger()


class Attestation(NamedTuple):
    """What the engine vouches for a batch with: the journal row of its last fill, that row's hash, the
    signature.
    """

    shard: int
    journal_row: int
    row_hash: bytes
    signature: bytes


class Attestor:
    """Answers the requests in ``engine.attestation``, for one DvP contract, with the engine's 32-byte key."""

    def __init__(self, database: Database, domain: Domain, engine_key: bytes) -> None:
        self._database = database
        self._domain = domain
        self._key = engine_key
        self._prover = FillProver(domain)

    async def run(self) -> None:
        """Answer for ever; raises what a lost connection raises, and may be run again."""
        async with Notifications(self._database.dsn, CHANNEL) as asked:
            while True:
                if not await self.step():
                    await asked.wait(_POLL_SECONDS)

    async def step(self) -> int:
        """Answer some open requests; returns how many."""
        async with self._database.connection() as connection:
            requests = await connection.fetch(_OPEN, _REQUESTS_AT_ONCE)
            for request in requests:
                await self._answer(connection, request["batch"], request["tranche"], request["fill_numbers"])
        return len(requests)

    async def attest(self, connection: Any, tranche: int, fill_numbers: Sequence[int]) -> Attestation:
        """Prove some fills of a tranche and sign them as one batch.

        Raises:
            EvidenceError: The journal does not prove them, or the tables or signatures differ from it.
            BatchError: They make no batch.
        """
        facts, row = await self._prover.prove(connection, tranche, fill_numbers)
        batch = compose_batch(facts)
        digest = attestation_digest(
            self._domain, row.shard, row.row, row.hash, batch.tranche_token, batch.cash_token, batch
        )
        return Attestation(row.shard, row.row, row.hash, sign_digest(digest, self._key))

    async def _answer(self, connection: Any, batch: int, tranche: int, fill_numbers: Sequence[int]) -> None:
        """Write the signature, or why there is none."""
        try:
            answer = await self.attest(connection, tranche, fill_numbers)
        except (EvidenceError, BatchError) as error:
            log.warning("batch not attested", batch=batch, tranche=tranche, refusal=str(error))
            await connection.execute(_REFUSE, batch, str(error))
            ANSWERS.labels("refused").inc()
        else:
            log.info("batch attested", batch=batch, tranche=tranche, fills=len(fill_numbers))
            await connection.execute(_SIGN, batch, *answer)
            ANSWERS.labels("signed").inc()
        await connection.execute("select pg_notify($1, '')", CHANNEL)


_OPEN: Final = """
select batch, tranche, fill_numbers from engine.attestation
where signature is null and refusal is null order by batch limit $1
"""

_REFUSE: Final = "update engine.attestation set refusal = $2 where batch = $1 and signature is null"

_SIGN: Final = """
update engine.attestation set shard = $2, journal_row = $3, row_hash = $4, signature = $5
where batch = $1 and signature is null and refusal is null
"""
