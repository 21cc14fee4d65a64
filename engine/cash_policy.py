"""How the cash keeper divides cash between shards: pure arithmetic, in minor units.

A deposit is spread evenly at once, so that an account can trade everywhere without waiting; what a shard is
short of is fetched from where most lies free (DESIGN D6).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def even_shares(amount_minor: int, shards: Sequence[int]) -> dict[int, int]:
    """Divide an amount evenly over the shards, the remainder to the first; shards that would get nothing are
    left out.

    The shares sum to ``amount_minor`` wherever there is a shard at all.
    """
    if not shards:
        return {}
    each, rest = divmod(amount_minor, len(shards))
    shares = dict.fromkeys(shards, each)
    shares[shards[0]] += rest
    return {shard: share for shard, share in shares.items() if share}


def recall_plan(short_minor: int, free_by_shard: Mapping[int, int]) -> dict[int, int]:
    """Choose what to ask back from which shard to cover a shortage: the richest first, never more than lies
    free there.

    Covers as much of ``short_minor`` as there is; shards of equal wealth are taken in ascending order.
    """
    plan: dict[int, int] = {}
    for shard, free in sorted(free_by_shard.items(), key=lambda item: (-item[1], item[0])):
        take = min(short_minor, free)
        if take <= 0:
            break
        plan[shard] = take
        short_minor -= take
    return plan
