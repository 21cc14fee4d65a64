"""Whether an account may hold a tranche: denied by default, granted by the registry, possibly until a time.

Mainland persons are blocked whatever the registry says (DESIGN D14).
"""

from __future__ import annotations

from typing import Final

from engine.reasons import Reason

BLOCKED_COUNTRIES: Final = frozenset({156})
"""ISO 3166-1 numeric codes of countries whose persons no tranche admits: 156 is mainland China (Hong Kong
is 344)."""
NEVER_NS: Final = 2**63 - 1


class Eligibility:
    """What the registry last said of one account in one tranche."""

    __slots__ = ("country", "eligible", "until_ns")

    def __init__(self, eligible: bool = False, country: int = 0, until_ns: int = 0) -> None:
        self.eligible = eligible
        self.country = country
        self.until_ns = until_ns

    def refusal(self, now_ns: int) -> Reason:
        """Why the account may not hold the tranche at ``now_ns``; NONE when it may."""
        if not self.eligible or self.country in BLOCKED_COUNTRIES:
            return Reason.NOT_ELIGIBLE
        return Reason.NONE if now_ns < self.end_ns() else Reason.ELIGIBILITY_EXPIRED

    def end_ns(self) -> int:
        """When eligibility ends by itself, in nanoseconds."""
        return self.until_ns or NEVER_NS
