"""The one rounding rule between lots, prices and cash, in integers only.

The cash of a fill is ``lots x (price x tick value x factor + accrued)``, rounded half up to the minor unit of
the cash token, once for the whole fill. The DvP contract computes the same expression (``FillCash.sol``), so
engine and chain agree to the minor unit. Nothing here knows decimals, currencies or the clock.

Scales: ``_e9`` values are billionths. ``tick_value_e9`` and ``accrued_e9_per_lot`` are billionths of a minor
unit, ``factor_e9`` is the outstanding share of the original principal in billionths.
"""

from __future__ import annotations

from dataclasses import dataclass

E9 = 10**9
E18 = 10**18
_HALF_E18 = E18 // 2

UINT64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Terms:
    """Numbered terms of a tranche: what one tick of one lot is worth, and what is accrued (DESIGN D12).

    ``terms_id`` is 1..65535 and unique within the tranche; once a fill names it, nothing here ever changes.
    ``tick_value_e9`` is the value of one tick of one lot at factor 1, in billionths of a minor unit.
    ``factor_e9`` is the pool factor in billionths (1_000_000_000 = nothing repaid yet).
    ``accrued_e9_per_lot`` is the income accrued to the value date on one lot, in billionths of a minor unit.
    ``value_date`` is the day the accrual counts to, as the integer YYYYMMDD.
    Every field fits the contract's unsigned 64-bit storage (``terms_id`` 16 bits, ``value_date`` 32 bits).
    """

    terms_id: int
    tick_value_e9: int
    factor_e9: int
    accrued_e9_per_lot: int
    value_date: int

    def __post_init__(self) -> None:
        """Refuse, with ValueError, what the contract could not hold."""
        if not 1 <= self.terms_id <= 0xFFFF:
            raise ValueError(f"terms_id {self.terms_id} is outside 1..65535")
        if not 1 <= self.tick_value_e9 <= UINT64_MAX:
            raise ValueError(f"tick_value_e9 {self.tick_value_e9} is outside 1..2^64-1")
        for name, value in (("factor_e9", self.factor_e9), ("accrued_e9_per_lot", self.accrued_e9_per_lot)):
            if not 0 <= value <= UINT64_MAX:
                raise ValueError(f"{name} {value} is outside 0..2^64-1")
        if not 0 <= self.value_date <= 0xFFFFFFFF:
            raise ValueError(f"value_date {self.value_date} is outside 0..2^32-1")


def cost_per_lot_e18(price_ticks: int, terms: Terms) -> int:
    """Exact cash of one lot at a price, accrued included, in 10^-18 of a minor unit."""
    return price_ticks * terms.tick_value_e9 * terms.factor_e9 + terms.accrued_e9_per_lot * E9


def cost_minor(lots: int, price_ticks: int, terms: Terms) -> int:
    """Cash of a fill in minor units: exact product, rounded half up once. Equal to the contract's amount."""
    return (lots * cost_per_lot_e18(price_ticks, terms) + _HALF_E18) // E18


def worst_cost_per_lot_minor(price_ticks: int, terms: Terms) -> int:
    """Most that one lot can cost at a price, in minor units: the exact cost rounded up.

    ``lots * worst_cost_per_lot_minor(p, t) >= cost_minor(lots, p, t)`` for every number of lots and however
    an order is split into fills; it is what an accepted buy earmarks per lot and what a buyer signs as
    ``cash_limit_per_lot``.
    """
    return -(-cost_per_lot_e18(price_ticks, terms) // E18)


def least_proceeds_per_lot_minor(price_ticks: int, terms: Terms) -> int:
    """Least that one lot can bring at a price, in minor units: the exact proceeds rounded down.

    ``lots * least_proceeds_per_lot_minor(p, t) <= cost_minor(lots, p, t)`` always; it is what a seller signs
    as ``cash_limit_per_lot`` (0 signs no floor besides the limit price).
    """
    return cost_per_lot_e18(price_ticks, terms) // E18
