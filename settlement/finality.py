"""When a block is past changing: by depth, or by the chain's own ``finalized`` tag (DESIGN D13). Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FinalityRule:
    """How a chain becomes final.

    ``depth_blocks``: a block is final when that many blocks stand on it (0: at once). None: the chain tells
    by its ``finalized`` tag, as Ethereum's proof of stake does.
    """

    depth_blocks: int | None = 2

    def __post_init__(self) -> None:
        """Refuse a negative depth with ValueError."""
        if self.depth_blocks is not None and self.depth_blocks < 0:
            raise ValueError("the finality depth is a number of blocks, 0 or more")

    @property
    def asks_the_chain(self) -> bool:
        """Whether the block behind the ``finalized`` tag must be asked for."""
        return self.depth_blocks is None


def final_block(rule: FinalityRule, head_block: int, finalized_block: int | None) -> int:
    """Number of the newest final block, -1 while there is none.

    ``finalized_block`` is what the chain's tag names (None: nothing yet); only a rule that asks uses it.
    """
    if rule.depth_blocks is None:
        return -1 if finalized_block is None else min(finalized_block, head_block)
    return max(head_block - rule.depth_blocks, -1)


def is_confirmed(block: int, head_block: int) -> bool:
    """Whether at least one block stands on ``block``."""
    return head_block > block
