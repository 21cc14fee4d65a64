"""Fees of a transaction (EIP-1559) and of its replacement. Pure; all amounts in wei per gas."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fees:
    """``max_fee``: most per gas, base fee included. ``priority_fee``: the part for the block's maker."""

    max_fee: int
    priority_fee: int


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """How much to offer, and when to offer more.

    ``base_fee_multiple``: room for the base fee to rise, which it can by an eighth a block.
    ``priority_fee_min``, ``max_fee_cap``: bounds. ``replace_per_mille``: a replacement's fees over those
    before, at least 1,125; nodes refuse less than a tenth more. ``stuck_after_blocks``: how long the next
    transaction in line may wait before it is replaced. ``resend_after_blocks``: how often its bytes are
    handed in again.
    """

    base_fee_multiple: int = 2
    priority_fee_min: int = 0
    max_fee_cap: int = 10_000_000_000_000
    replace_per_mille: int = 1_250
    stuck_after_blocks: int = 6
    resend_after_blocks: int = 4

    def __post_init__(self) -> None:
        """Refuse, with ValueError, replacements that no node would take."""
        if self.replace_per_mille < 1_125:
            raise ValueError("a replacement pays at least 12.5 % more")


def first_fees(policy: FeePolicy, base_fee: int, suggested_priority_fee: int) -> Fees:
    """Fees of a first attempt under the newest block's base fee, never above the cap.

    A chain without a base fee takes no fees (a permissioned or development chain), whatever its node
    suggests.
    """
    suggested = suggested_priority_fee if base_fee else 0
    priority = min(max(suggested, policy.priority_fee_min), policy.max_fee_cap)
    return Fees(min(base_fee * policy.base_fee_multiple + priority, policy.max_fee_cap), priority)


def replacement_fees(policy: FeePolicy, before: Fees, now: Fees, base_fee: int) -> Fees | None:
    """Fees that replace ``before``: raised, and at least what a first attempt would offer now.

    None where the cap leaves no room to raise, or the chain takes no fees: then the transaction can only
    wait.
    """
    if base_fee == 0:
        return None
    raised = Fees(
        max(_raised(policy, before.max_fee), now.max_fee),
        max(_raised(policy, before.priority_fee), now.priority_fee),
    )
    return raised if raised.max_fee <= policy.max_fee_cap else None


def _raised(policy: FeePolicy, fee: int) -> int:
    """The fee raised by the policy's share, rounded up, and by at least one wei."""
    return max(-(-fee * policy.replace_per_mille // 1_000), fee + 1)
