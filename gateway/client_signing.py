"""How the client makes an order valid on chain: limits from the terms, nonces, and the EIP-712
signature.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from engine.money import least_proceeds_per_lot_minor, worst_cost_per_lot_minor
from engine.signed_order import (
    KIND_ONCE,
    KIND_STANDING,
    Domain,
    SignedOrder,
    order_digest,
    sign_order,
)
from ext.records import Side
from gateway.client_types import Hello, Instrument

NONCE_BITS: Final = 40
_NONCE_EPOCH_MS: Final = 1_767_225_600_000
"""2026-01-01 UTC: nonces made from the clock count milliseconds from here."""
_MILLION: Final = 1_000_000
VALID_FOR_S: Final = 90 * 24 * 3600

Limits = tuple[int | None, int | None, int | None]
"""Until when an order is valid (unix seconds), its cash limit and its fee limit; None where they follow."""


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What an investor signs besides who and where; ``price_ticks`` clean, money in minor units."""

    side: Side
    quantity_lots: int
    price_ticks: int
    nonce: int
    version: int
    valid_until: int
    cash_limit: int
    fee_limit: int
    standing: bool


class NonceSource:
    """Nonces per (account, tranche), rising: milliseconds since 2026, or one above the last where that is
    more.

    Raises nothing; a program that sends more than 1,000 orders a second for long should give its own
    nonces.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[int, int], int] = {}

    def next(self, account: int, tranche: int) -> int:
        """Return the next nonce, its tranche in the upper 24 bits."""
        now = time.time_ns() // 1_000_000 - _NONCE_EPOCH_MS
        counter = max(now, self._last.get((account, tranche), 0) + 1)
        self._last[account, tranche] = counter
        return tranche << NONCE_BITS | counter


def default_fee_limit(instrument: Instrument, side: Side, quantity_lots: int, price_ticks: int) -> int:
    """Return the most the whole order can cost in fees: under the higher rate, lot by lot, each rounded up.

    A sell may fill above its limit price, so its fees are bounded at the tranche's highest price.
    """
    rate = max(instrument.maker_fee_e6, instrument.taker_fee_e6)
    if side == Side.SELL:
        price_ticks = instrument.grid.ticks(str(instrument.document["price_max"]))
    cost = worst_cost_per_lot_minor(price_ticks, instrument.terms)
    return quantity_lots * -(-cost * rate // _MILLION)


def default_cash_limit(instrument: Instrument, side: Side, price_ticks: int) -> int:
    """Return the dirty limit per lot that the clean limit price implies under the terms in force."""
    if side == Side.SELL:
        return least_proceeds_per_lot_minor(price_ticks, instrument.terms)
    return worst_cost_per_lot_minor(price_ticks, instrument.terms)


def order_terms(
    instrument: Instrument,
    side: Side,
    quantity_lots: int,
    price: str,
    name: tuple[int, int],
    limits: Limits,
    standing: bool,
) -> OrderTerms:
    """Return what is signed for an order named (nonce, version), limits filled in where they are None.

    Raises ValueError for a price off the tick.
    """
    ticks = instrument.grid.ticks(price)
    valid_until, cash_limit, fee_limit = limits
    if fee_limit is None:
        fee_limit = default_fee_limit(instrument, side, quantity_lots, ticks)
    return OrderTerms(
        side,
        quantity_lots,
        ticks,
        *name,
        valid_until=int(time.time()) + VALID_FOR_S if valid_until is None else valid_until,
        cash_limit=default_cash_limit(instrument, side, ticks) if cash_limit is None else cash_limit,
        fee_limit=fee_limit,
        standing=standing,
    )


def wire_terms(instrument: Instrument, terms: OrderTerms, signature: bytes) -> dict[str, Any]:
    """Return the parameters of ``order.place`` that are signed, less those the caller wrote as text."""
    return {
        "quantity": str(terms.quantity_lots),
        "terms": instrument.terms.terms_id,
        "nonce": str(terms.nonce),
        "version": terms.version,
        "valid_until": str(terms.valid_until),
        "cash_limit": str(terms.cash_limit),
        "fee_limit": str(terms.fee_limit),
        "standing": terms.standing,
        "signature": "0x" + signature.hex(),
    }


def signature_of(
    hello: Hello, instrument: Instrument, address: bytes, private_key: bytes, terms: OrderTerms
) -> bytes:
    """Return the 65-byte signature of an order by the account at ``address``."""
    order = SignedOrder(
        account=address,
        tranche_token=instrument.token,
        cash_token=hello.cash,
        side=int(terms.side),
        kind=KIND_STANDING if terms.standing else KIND_ONCE,
        quantity_lots=terms.quantity_lots,
        limit_price_ticks=terms.price_ticks,
        cash_limit_per_lot=terms.cash_limit,
        fee_limit=terms.fee_limit,
        valid_until=terms.valid_until,
        nonce=terms.nonce,
        version=terms.version,
    )
    return sign_order(order_digest(Domain(hello.chain_id, hello.dvp), order), private_key)
