"""Bringing a development tranche to the venue: its contracts on the chain, then its admission document."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from engine.admission import admit
from engine.settlement_facts import SettlementFacts
from settlement.chain import Chain
from settlement.deployment import Deployment, DeploymentKeys, TrancheDeployment, TrancheSpec, deploy_tranche

_NOWHERE: Final = "0x" + 20 * "00"


@dataclass(frozen=True, slots=True)
class Quotation:
    """How a development tranche is quoted: prices clean per 100, as decimal strings; lots of some face
    value.
    """

    tick_size: str = "0.0025"
    price_min: str = "0.0025"
    price_max: str = "200"
    quantity_max: int = 1_000_000
    face_per_lot_minor: int = 1_000_000
    factor: str = "0.85"
    accrued_per_lot: str = "123.5"


def admission_document(
    symbol: str, quotation: Quotation, deployment: Deployment, contracts: TrancheDeployment | None = None
) -> dict[str, Any]:
    """Return the document that a development tranche is listed with; without ``contracts`` to compute terms
    only.
    """
    return {
        "symbol": symbol,
        "filing": {
            "number": f"DEV-{symbol}",
            "date": "2026-01-05",
            "authority": "none: a development tranche",
        },
        "offering_document_sha256": sha256(symbol.encode()).hexdigest(),
        "issuer": "Development Issuer",
        "chain_id": deployment.chain_id,
        "token": f"0x{contracts.token.hex()}" if contracts else _NOWHERE,
        "registry": f"0x{contracts.registry.hex()}" if contracts else _NOWHERE,
        "cash_token": f"0x{deployment.cash.hex()}",
        "mode": "locked",
        "tick_size": quotation.tick_size,
        "price_min": quotation.price_min,
        "price_max": quotation.price_max,
        "quantity_max": quotation.quantity_max,
        "face_per_lot_minor": quotation.face_per_lot_minor,
        "terms": {
            "id": 1,
            "factor": quotation.factor,
            "accrued_per_lot": quotation.accrued_per_lot,
            "value_date": datetime.now(UTC).date().isoformat(),
        },
    }


async def put_on_chain(
    chain: Chain, deployment: Deployment, keys: DeploymentKeys, symbol: str, quotation: Quotation
) -> tuple[TrancheDeployment, dict[str, Any]]:
    """Deploy a tranche's contracts with its first terms; return them and its admission document.

    Raises TransactionFailedError when the chain refuses.
    """
    venue = SettlementFacts(deployment.chain_id, deployment.cash)
    terms = admit(admission_document(symbol, quotation, deployment), venue).terms
    spec = TrancheSpec(f"Development tranche {symbol}", symbol, terms)
    contracts = await deploy_tranche(chain, deployment, keys, spec)
    return contracts, admission_document(symbol, quotation, deployment, contracts)
