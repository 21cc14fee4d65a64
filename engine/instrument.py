"""A listed tranche's fixed rules: currency, settlement mode, fees, bounds of orders, and the terms in force.

The bounds are such that nothing overflows: the cash of the largest order with its fee stays below 2^62 minor
units, so the exact product behind it, 10^18 as large, stays below 2^122 (DESIGN D1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from engine.ledger import SUM_LIMIT
from engine.money import Terms, worst_cost_per_lot_minor
from engine.reasons import Reason
from engine.refusal import Refusal
from ext.records import NO_SIDE_DATA, SettlementMode, TermsSet, TrancheList

E6: Final = 10**6
TRANCHE_MAX: Final = 2**23 - 1
"""Nonces carry the tranche above bit 40 and must fit a signed 64-bit column."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """The rules of one tranche; prices in ticks, quantities in lots, fees in millionths of the amount."""

    tranche: int
    currency: int
    mode: int
    maker_fee_e6: int
    taker_fee_e6: int
    price_min_ticks: int
    price_max_ticks: int
    quantity_max_lots: int
    reference_price_ticks: int
    terms: Terms

    def worst_fee_per_lot_minor(self, cost_per_lot_minor: int) -> int:
        """Most fee that one lot of an order can bear, given the most that the lot can cost."""
        return fee_minor(cost_per_lot_minor, max(self.maker_fee_e6, self.taker_fee_e6))

    def overflows(self) -> bool:
        """Whether the largest order could exceed what the engine's integers hold."""
        lots, price = self.quantity_max_lots, self.price_max_ticks
        if max(lots, price) >= SUM_LIMIT:
            return True
        worst = worst_cost_per_lot_minor(price, self.terms)
        return lots * (worst + self.worst_fee_per_lot_minor(worst)) >= SUM_LIMIT

    def with_terms(self, terms: Terms) -> Instrument:
        """The same tranche under other terms."""
        return replace(self, terms=terms)


def fee_minor(amount_minor: int, fee_e6: int) -> int:
    """Fee on an amount, rounded up to the minor unit."""
    return -(-amount_minor * fee_e6 // E6)


def listed(command: TrancheList) -> Instrument | Refusal:
    """Make the instrument that a command lists, or say why it can be none."""
    terms = terms_of(command)
    if terms is None:
        return Refusal(Reason.BAD_TERMS)
    if not _is_admitted(command):
        return Refusal(Reason.NOT_ADMITTED)
    instrument = Instrument(
        tranche=command.header.tranche,
        currency=command.currency,
        mode=command.mode,
        maker_fee_e6=command.maker_fee_e6,
        taker_fee_e6=command.taker_fee_e6,
        price_min_ticks=command.price_min_ticks,
        price_max_ticks=command.price_max_ticks,
        quantity_max_lots=command.quantity_max_lots,
        reference_price_ticks=command.reference_price_ticks,
        terms=terms,
    )
    return Refusal(Reason.OVERFLOW) if instrument.overflows() else instrument


def terms_of(command: TrancheList | TermsSet) -> Terms | None:
    """The terms that a command carries; None when the chain could not hold them."""
    try:
        return Terms(
            terms_id=command.terms_id,
            tick_value_e9=command.tick_value_e9,
            factor_e9=command.factor_e9,
            accrued_e9_per_lot=command.accrued_e9_per_lot,
            value_date=command.value_date,
        )
    except ValueError:
        return None


def _is_admitted(command: TrancheList) -> bool:
    """Whether what the record itself says passes; the document behind it went through
    ``engine.admission``."""
    reference = command.reference_price_ticks
    return (
        command.header.side_digest != NO_SIDE_DATA
        and 0 < command.header.tranche <= TRANCHE_MAX
        and command.currency > 0
        and command.mode in set(SettlementMode)
        and max(command.maker_fee_e6, command.taker_fee_e6) <= E6
        and 0 < command.price_min_ticks <= command.price_max_ticks
        and command.quantity_max_lots > 0
        and (reference == 0 or command.price_min_ticks <= reference <= command.price_max_ticks)
    )
