"""What the settlement service is told when it starts, by the composition root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from settlement.batching import BatchingPolicy
from settlement.deployment import Deployment
from settlement.fees import FeePolicy
from settlement.finality import FinalityRule


@dataclass(frozen=True, slots=True)
class SettlementConfig:
    """Where database and chain are, with which key to send, and by which rules.

    ``operator_key``: the 32-byte private key that submits batches; the engine's attestation key is not known
    here. ``deployment``: the venue's contracts. ``shards``: those of the venue, whether they run yet or not.
    ``first_block``: where the watcher begins with a contract it has not seen yet. ``batches_in_flight``: most
    batches submitted and not yet final. ``poll_s``: how often the chain and the tables are looked at when
    nobody calls. ``reconcile_every_s``: how often chain, tables and ledger are compared.
    """

    database_dsn: str
    rpc_url: str
    operator_key: bytes = field(repr=False)
    deployment: Deployment
    shards: Sequence[int]
    finality: FinalityRule = field(default_factory=FinalityRule)
    batching: BatchingPolicy = field(default_factory=BatchingPolicy)
    fees: FeePolicy = field(default_factory=FeePolicy)
    first_block: int = 0
    batches_in_flight: int = 16
    poll_s: float = 0.25
    reconcile_every_s: float = 2.0

    @property
    def chain_id(self) -> int:
        """The chain that the contracts are on; a node of another is refused."""
        return self.deployment.chain_id
