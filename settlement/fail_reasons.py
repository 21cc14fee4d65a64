"""Why a fill failed or a batch waits: numbered reasons, of the same series as ``engine/reasons.py`` (9xx).

They travel in SETTLEMENT_FAILED commands, so they are part of the journal: numbers are never reused.
"""

from __future__ import annotations

from enum import IntEnum


class FailReason(IntEnum):
    """Numbered reason for which a fill did not settle."""

    WINDOW_PASSED = 901
    """The fill is older than the settlement window."""
    NOT_ELIGIBLE = 902
    """A party is not verified for the tranche, or frozen."""
    TOKENS_MISSING = 903
    """The seller's locked lots do not cover the delivery."""
    CASH_MISSING = 904
    """The buyer's entry in the vault does not cover the payment."""
    ORDER_REFUSED = 905
    """The contract refuses a signed order: signature, validity, quantity, version or cancel."""
    FILL_REFUSED = 906
    """The contract refuses the fill: price or cash beyond a limit, malformed."""
    COMPLIANCE_REFUSED = 907
    """The tranche's compliance rules refuse the transfer."""
    OPERATOR = 908
    """An operator failed it."""
    UNKNOWN = 999
    """The contract reverted without saying why."""
