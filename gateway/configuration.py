"""What a gateway process is told: where it listens, where the records are, which chain settles, its
limits.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.settlement_facts import SettlementFacts
from engine.signed_order import Domain


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """One gateway. ``name`` is unique among those that run at once: a second of the same name ends the
    first.

    ``dvp``, ``cash`` and ``vault`` are 20-byte addresses on chain ``chain_id``; ``chain_rpc`` is told to
    clients. Port 0 takes a free one. ``answer_within_s`` is how long a command waits before 710 is
    answered, ``send_buffer_bytes`` how far a client may fall behind in reading. A socket has
    ``log_on_within_s`` to log on, and ``not_logged_on_max`` may be at it at once.
    """

    name: str
    host: str
    port: int
    database_dsn: str
    chain_id: int
    dvp: bytes
    cash: bytes
    vault: bytes
    chain_rpc: str
    answer_within_s: float = 5.0
    in_flight_limit: int = 4096
    send_buffer_bytes: int = 8 * 2**20
    database_connections: int = 6
    log_on_within_s: float = 10.0
    not_logged_on_max: int = 512

    @property
    def domain(self) -> Domain:
        """The EIP-712 domain of orders."""
        return Domain(self.chain_id, self.dvp)

    @property
    def settlement(self) -> SettlementFacts:
        """What every tranche of the venue settles in."""
        return SettlementFacts(self.chain_id, self.cash)
