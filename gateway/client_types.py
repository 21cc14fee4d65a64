"""What the client SDK hands out: the venue's answers as typed values.

Quantities and money are integers (lots, minor units), prices decimal strings as the venue writes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.money import Terms
from gateway.decimals import TickGrid

CLOSED_STATUSES = frozenset({"filled", "canceled", "expired"})


@dataclass(frozen=True, slots=True)
class Hello:
    """What the venue says on connect: the challenge to sign and where its chain is. Addresses are 20
    bytes.
    """

    challenge: bytes
    version: str
    chain_id: int
    dvp: bytes
    cash: bytes
    vault: bytes
    chain_rpc: str
    in_flight_limit: int
    server_time_ns: int

    @classmethod
    def of(cls, params: dict[str, Any]) -> Hello:
        """Read the parameters of a ``hello`` notification."""
        return cls(
            challenge=bytes.fromhex(params["challenge"][2:]),
            version=params["version"],
            chain_id=params["chain_id"],
            dvp=bytes.fromhex(params["dvp"][2:]),
            cash=bytes.fromhex(params["cash"][2:]),
            vault=bytes.fromhex(params["vault"][2:]),
            chain_rpc=params["chain_rpc"],
            in_flight_limit=params["in_flight_limit"],
            server_time_ns=int(params["server_time_ns"]),
        )


@dataclass(frozen=True, slots=True)
class SessionAccount:
    """An account this session acts for; ``address`` is its 20-byte on-chain address."""

    account: int
    address: bytes
    session_epoch: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """A listed tranche: how it is quoted, what it is on chain, and the terms in force."""

    symbol: str
    tranche: int
    shard: int
    grid: TickGrid
    token: bytes
    phase: str | None
    terms: Terms
    maker_fee_e6: int
    taker_fee_e6: int
    document: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, row: dict[str, Any]) -> Instrument:
        """Read one row of ``instruments.list``."""
        terms = row["terms"]
        return cls(
            symbol=row["symbol"],
            tranche=row["tranche"],
            shard=row["shard"],
            grid=TickGrid.of(row["tick_size"]),
            token=bytes.fromhex(row["token"][2:]),
            phase=row["phase"],
            terms=Terms(
                terms_id=terms["terms"],
                tick_value_e9=int(terms["tick_value_e9"]),
                factor_e9=int(terms["factor_e9"]),
                accrued_e9_per_lot=int(terms["accrued_e9_per_lot"]),
                value_date=terms["value_date"],
            ),
            maker_fee_e6=row["maker_fee_e6"],
            taker_fee_e6=row["taker_fee_e6"],
            document=row["document"],
        )


@dataclass(frozen=True, slots=True)
class OrderState:
    """How an order stands (FIX OrdStatus in lower case words).

    ``client_order_id`` is the id of the command this answers, ``original_client_order_id`` the id the
    order was placed under. ``stream`` and ``seq`` say where in the account's private stream this stands;
    ``seq`` is 0 in answers read from the venue's records.
    """

    order_id: int
    client_order_id: str
    original_client_order_id: str
    status: str
    exec_type: str
    side: str
    price: str
    quantity: int
    leaves: int
    cum: int
    revision: int
    reason: int
    duplicate: bool
    stream: str
    seq: int

    @classmethod
    def of(cls, row: dict[str, Any]) -> OrderState:
        """Read an order state, an ``execution_report`` included."""
        return cls(
            order_id=int(row["order_id"]),
            client_order_id=row["client_order_id"],
            original_client_order_id=row["original_client_order_id"],
            status=row["status"],
            exec_type=row.get("exec_type", ""),
            side=row["side"],
            price=row["price"],
            quantity=int(row["quantity"]),
            leaves=int(row["leaves"]),
            cum=int(row["cum"]),
            revision=row["revision"],
            reason=row.get("reason", 0),
            duplicate=row.get("duplicate", False),
            stream=row["stream"],
            seq=row.get("seq", 0),
        )

    @property
    def closed(self) -> bool:
        """Whether nothing more can happen to the order."""
        return self.status in CLOSED_STATUSES
