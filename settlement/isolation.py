"""Who is to blame when a batch reverts: a pure reading of the contract's error (DESIGN D9).

An error that names a fill, an order or an account points at fills of the batch; those are isolated and fail,
the rest are batched again. One that points at nobody in particular halves the batch, until a fill stands
alone, or fills that a once-order binds together. One that no fill is to blame for (a pause, a missing role)
leaves the batch to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.reasons import Reason
from engine.settlement_batch import ComposedBatch, FillFact
from engine.signed_order import KIND_ONCE, SignedOrder
from settlement.dvp_calldata import Refusal
from settlement.once_orders import middle_cut, once_order_cuts


@dataclass(frozen=True, slots=True)
class Blame:
    """``isolated``: fills that fail, for ``reason``. ``split``: halve the batch. Neither: it waits."""

    isolated: frozenset[int] = frozenset()
    reason: Reason = Reason.REVERTED_WITHOUT_REASON
    split: bool = False


_WAIT: Final = Blame()
_SPLIT: Final = Blame(split=True)

_BY_FILL: Final = {
    "FillTooOld": Reason.SETTLEMENT_WINDOW_PASSED,
    "BadFill": Reason.FILL_REFUSED_ON_CHAIN,
    "FillOutOfOrder": Reason.FILL_REFUSED_ON_CHAIN,
    "PriceBeyondLimit": Reason.FILL_REFUSED_ON_CHAIN,
    "CashBeyondLimit": Reason.FILL_REFUSED_ON_CHAIN,
}
_BY_ORDER: Final = frozenset(
    {
        "BadOrder",
        "BadSignature",
        "OrderNotValid",
        "StaleVersion",
        "Overfilled",
        "OrderCancelled",
        "OnceOrderSpent",
    }
)
_BY_ACCOUNT: Final = {
    "HolderNotVerified": Reason.PARTY_NOT_ELIGIBLE,
    "HolderFrozen": Reason.PARTY_NOT_ELIGIBLE,
    "InsufficientLocked": Reason.LOCKED_TOKENS_MISSING,
    "InsufficientFree": Reason.LOCKED_TOKENS_MISSING,
    "InsufficientCash": Reason.VAULT_CASH_MISSING,
}
_NOBODY: Final = frozenset(
    {
        "AccessControlUnauthorizedAccount",
        "AttestationRefused",
        "CashTokenNotAllowed",
        "EnforcedPause",
        "FillAlreadySettled",
        "FillFromTheFuture",
        "NotTheDvP",
        "ReentrancyGuardReentrantCall",
        "TokenPaused",
        "TrancheNotListed",
        "UnknownTerms",
    }
)
"""What no fill is to blame for. FillAlreadySettled is among them: such a fill did settle, so it must not
fail."""


def blame(refusal: Refusal, batch: ComposedBatch, fills: Sequence[FillFact]) -> Blame:
    """Say which fills a refusal is to be blamed on; ``fills`` are the batch's, by ascending number.

    An account's or an order's failing takes all its fills of the batch, and a batch is never blamed whole on
    an error that names nobody while it can still be halved.
    """
    error, index, order_index = refusal.error, refusal.fill_index, refusal.order_index
    if error in _NOBODY:
        return _WAIT
    if error in _BY_FILL and index is not None and index < len(fills):
        return Blame(frozenset({fills[index].fill_number}), _BY_FILL[error])
    if error in _BY_ORDER and order_index is not None and order_index < len(batch.orders):
        order = batch.orders[order_index]
        return _fills_where(fills, lambda each: each == order, Reason.SIGNED_ORDER_REFUSED_ON_CHAIN)
    if error in _BY_ACCOUNT:
        found = _fills_where(fills, lambda each: each.account == refusal.account, _BY_ACCOUNT[error])
        if found.isolated:
            return found
    if len(halves(fills)) > 1:
        return _SPLIT
    return Blame(frozenset(fill.fill_number for fill in fills), _alone(refusal))


def halves(fills: Sequence[FillFact]) -> list[Sequence[FillFact]]:
    """Two runs of the fills, about equal, that part no once-order; one run where there are no two."""
    once = [
        [(order.account, order.nonce) for order in (fill.buy, fill.sell) if order.kind == KIND_ONCE]
        for fill in fills
    ]
    middle = middle_cut(once_order_cuts(once))
    return [fills] if middle is None else [fills[:middle], fills[middle:]]


def describe(refusal: Refusal) -> str:
    """The refusal as one would read it in the contract's sources."""
    if not refusal.error:
        return "reverted without a reason"
    values = refusal.arguments.values()
    shown = ("0x" + value.hex() if isinstance(value, bytes) else str(value) for value in values)
    return f"{refusal.error}({', '.join(shown)})"


def _fills_where(
    fills: Sequence[FillFact], concerned: Callable[[SignedOrder], bool], reason: Reason
) -> Blame:
    """The fills of which either order is concerned."""
    return Blame(
        frozenset(fill.fill_number for fill in fills if concerned(fill.buy) or concerned(fill.sell)), reason
    )


def _alone(refusal: Refusal) -> Reason:
    """The reason of fills that revert by themselves with an error that names nobody."""
    return (
        Reason.COMPLIANCE_REFUSED_ON_CHAIN
        if refusal.error == "ComplianceRefused"
        else Reason.REVERTED_WITHOUT_REASON
    )
