"""Why a fill failed or a batch waits: numbered reasons, of the series of ``engine/reasons.py`` (65x).

They travel in SETTLEMENT_FAILED commands, so they are part of the journal: numbers are never reused.
"""

from __future__ import annotations

from enum import IntEnum


class FailReason(IntEnum):
    """Numbered reason for which a fill did not settle."""

    WINDOW_PASSED = 651
    """The fill is older than the settlement window."""
    NOT_ELIGIBLE = 652
    """A party is not verified for the tranche, or frozen."""
    TOKENS_MISSING = 653
    """The seller's locked lots do not cover the delivery."""
    CASH_MISSING = 654
    """The buyer's entry in the vault does not cover the payment."""
    ORDER_REFUSED = 655
    """The contract refuses a signed order: signature, validity, quantity, version or cancel."""
    FILL_REFUSED = 656
    """The contract refuses the fill: price or cash beyond a limit, malformed."""
    COMPLIANCE_REFUSED = 657
    """The tranche's compliance rules refuse the transfer."""
    OPERATOR = 658
    """An operator failed it."""
    UNKNOWN = 699
    """The contract reverted without saying why."""
