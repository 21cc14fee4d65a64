"""Where a run of fills may be cut without parting the fills of a once-order. Pure.

On chain an order signed *once* spends its nonce in one batch (DESIGN D8), so a fill of it that comes in a
second batch can never settle: wherever fills are divided into batches, they are divided here.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def once_order_cuts(once_orders_of_fills: Sequence[Sequence[Hashable]]) -> list[int]:
    """Every place at which the run may be cut, ascending; O(n).

    ``once_orders_of_fills``: for each fill, by ascending number, what names the once-orders it fills (none,
    one or both sides). A place is how many fills come before the cut, 1 up to the length; the end is always
    one of them.
    """
    last_use = {order: index for index, orders in enumerate(once_orders_of_fills) for order in orders}
    cuts, bound_until = [], 0
    for index, orders in enumerate(once_orders_of_fills):
        bound_until = max([bound_until, index, *(last_use[order] for order in orders)])
        if bound_until == index:
            cuts.append(index + 1)
    return cuts


def middle_cut(cuts: Sequence[int]) -> int | None:
    """The place nearest the middle of a run, of those within it; None where it cannot be divided."""
    if len(cuts) < 2:
        return None
    return min(cuts[:-1], key=lambda place: abs(2 * place - cuts[-1]))
