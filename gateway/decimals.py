"""Decimal text and the integers behind it. Decimals exist only here, at the edge; everything inside
counts ticks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_INT64 = 2**63 - 1
POWERS: tuple[int, ...] = tuple(10**exponent for exponent in range(19))
_DECIMAL = re.compile(r"(\d{1,19})(?:\.(\d{1,18}))?", re.ASCII)


class OffGridError(ValueError):
    """A well-formed decimal that is no whole number of ticks."""


@dataclass(frozen=True, slots=True)
class TickGrid:
    """The prices of a tranche: multiples of its tick size, ``step`` units of ``10**-places``."""

    step: int
    places: int

    @classmethod
    def of(cls, tick_size: str) -> TickGrid:
        """Make the grid of a tick size such as ``"0.005"``. Raises ValueError when it is no positive
        decimal.
        """
        step, places = _scaled(tick_size)
        if step == 0:
            raise ValueError("a tick size is above zero")
        return cls(step, places)

    def ticks(self, price: str) -> int:
        """Return a price in ticks.

        Raises:
            OffGridError: The price lies between two ticks.
            ValueError: The text is no plain decimal, or its ticks do not fit 63 bits.
        """
        scaled, places = _scaled(price)
        if places <= self.places:
            ticks, rest = divmod(scaled * POWERS[self.places - places], self.step)
        else:
            ticks, rest = divmod(scaled, self.step * POWERS[places - self.places])
        if rest:
            raise OffGridError(f"price {price} is not a multiple of the tick size {self.text(1)}")
        if ticks > MAX_INT64:
            raise ValueError(f"price {price} is too large")
        return ticks

    def text(self, ticks: int) -> str:
        """Return the price of ``ticks`` (never negative) as a decimal string, always with the grid's
        places.
        """
        digits = str(ticks * self.step)
        if self.places == 0:
            return digits
        digits = digits.rjust(self.places + 1, "0")
        return f"{digits[: -self.places]}.{digits[-self.places :]}"


def _scaled(text: str) -> tuple[int, int]:
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a plain decimal such as 99.125")
    whole, fraction = match[1], match[2] or ""
    return int(whole + fraction), len(fraction)
