"""Which waiting fills form a tranche's next batch: a pure policy (DESIGN D9).

Fills go in the order of their numbers, because a later version of an order ends the earlier ones on chain. An
order signed *once* spends its nonce in one batch, so all its fills go together; they all wait by the time the
first is seen, because such an order ends within the command that fills it. A batch is due when it is full, or
when its oldest fill has waited long enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from settlement.once_orders import once_order_cuts

TRANSACTION_GAS_CAP: Final = 16_777_216
"""Most gas of one transaction (EIP-7825)."""
TRANSACTION_BYTES_CAP: Final = 120 * 1024
"""Most bytes of one transaction that nodes' pools take, with room to spare (geth: 128 KiB)."""

OrderKey = tuple[int, int]
"""(account, nonce): what names an order on chain."""


@dataclass(frozen=True, slots=True)
class OrderUse:
    """The order behind one side of a fill. Not ``standing``: signed once."""

    account: int
    nonce: int
    version: int
    standing: bool

    @property
    def key(self) -> OrderKey:
        """Account and nonce."""
        return self.account, self.nonce


@dataclass(frozen=True, slots=True)
class WaitingFill:
    """A fill that waits for a batch. ``matched_at_ns``: when it matched, UTC."""

    fill_number: int
    matched_at_ns: int
    buy: OrderUse
    sell: OrderUse


@dataclass(frozen=True, slots=True)
class Cost:
    """What things cost in a batch's transaction, as upper bounds: of gas, or of bytes."""

    fixed: int
    per_fill: int
    per_order: int
    per_account: int

    def of(self, fills: int, orders: int, accounts: int) -> int:
        """Upper bound for a batch of so many fills, different orders and different accounts."""
        return self.fixed + self.per_fill * fills + self.per_order * orders + self.per_account * accounts


GAS_COST: Final = Cost(fixed=150_000, per_fill=3_000, per_order=28_000, per_account=60_000)
"""Of our contracts: an order is at most a new storage word, a recovered signature and its calldata; an
account a word in the vault and one in the token, each new, and its verification. A batch that needs more
after all says so in its simulation."""
BYTES_COST: Final = Cost(fixed=1_024, per_fill=32, per_order=136, per_account=32)
"""Of the call ``settle``."""


@dataclass(frozen=True, slots=True)
class BatchingPolicy:
    """Bounds of a batch and when one is due.

    ``fills_max``: most fills. ``gas_max``, ``bytes_max``: most gas and calldata by the estimates ``gas`` and
    ``bytes_``; by default two batches fit a block of 30 million gas. ``age_max_ns``: a batch is due once its
    oldest fill waited that long, full or not.
    """

    fills_max: int = 1_000
    gas_max: int = 14_900_000
    bytes_max: int = 110 * 1024
    age_max_ns: int = 1_000_000_000
    gas: Cost = GAS_COST
    bytes_: Cost = BYTES_COST

    def __post_init__(self) -> None:
        """Refuse, with ValueError, bounds no transaction may reach."""
        if not 0 < self.gas_max <= TRANSACTION_GAS_CAP:
            raise ValueError(f"gas_max {self.gas_max} is outside 1..{TRANSACTION_GAS_CAP} (EIP-7825)")
        if not 0 < self.bytes_max <= TRANSACTION_BYTES_CAP:
            raise ValueError(f"bytes_max {self.bytes_max} is outside 1..{TRANSACTION_BYTES_CAP}")
        if self.fills_max < 1:
            raise ValueError("a batch holds at least one fill")


@dataclass(frozen=True, slots=True)
class NextBatch:
    """The fills of a tranche's next batch, ascending; ``gas_bound`` is the estimate for its transaction."""

    fill_numbers: list[int]
    gas_bound: int
    full: bool


def next_batch(waiting: Sequence[WaitingFill], policy: BatchingPolicy, now_ns: int) -> NextBatch | None:
    """Return the next batch of one tranche's waiting fills, None while none is due; O(n) in the fills.

    ``waiting`` may come in any order, with all fills of any once-order in it. Raises nothing: a single fill
    over the bounds is a batch of its own, and the simulation says what is wrong with it.
    """
    ready = sorted(waiting, key=lambda fill: fill.fill_number)
    if not ready:
        return None
    within, gas_bound = _longest_within_bounds(ready, policy)
    full = within < len(ready) or within == policy.fills_max
    if not full and now_ns - min(fill.matched_at_ns for fill in ready) < policy.age_max_ns:
        return None
    taken = ready[: _last_cut(ready, within)]
    if len(taken) < within:
        gas_bound = _bound(policy.gas, taken)
    return NextBatch([fill.fill_number for fill in taken], gas_bound, full)


def _longest_within_bounds(ready: list[WaitingFill], policy: BatchingPolicy) -> tuple[int, int]:
    """How many of the first fills fit the bounds, at least one, and the gas bound of those."""
    orders: set[tuple[OrderKey, int]] = set()
    accounts: set[int] = set()
    gas_bound = 0
    for count, fill in enumerate(ready, 1):
        _add(fill, orders, accounts)
        gas = policy.gas.of(count, len(orders), len(accounts))
        size = policy.bytes_.of(count, len(orders), len(accounts))
        if count > 1 and (gas > policy.gas_max or size > policy.bytes_max or count > policy.fills_max):
            return count - 1, gas_bound
        gas_bound = gas
    return len(ready), gas_bound


def _bound(cost: Cost, fills: Sequence[WaitingFill]) -> int:
    """Estimate of a whole run of fills."""
    orders: set[tuple[OrderKey, int]] = set()
    accounts: set[int] = set()
    for fill in fills:
        _add(fill, orders, accounts)
    return cost.of(len(fills), len(orders), len(accounts))


def _add(fill: WaitingFill, orders: set[tuple[OrderKey, int]], accounts: set[int]) -> None:
    for use in (fill.buy, fill.sell):
        orders.add((use.key, use.version))
        accounts.add(use.account)


def _last_cut(ready: list[WaitingFill], within: int) -> int:
    """The last place, at most ``within``, that parts no once-order; ``within`` itself where there is none."""
    once = [[use.key for use in (fill.buy, fill.sell) if not use.standing] for fill in ready]
    return max((cut for cut in once_order_cuts(once) if cut <= within), default=within)
