"""Which fills go together, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.batching import (
    TRANSACTION_GAS_CAP,
    BatchingPolicy,
    Cost,
    NextBatch,
    OrderUse,
    WaitingFill,
    next_batch,
)

NOW_NS = 1_000_000_000_000
FREE = Cost(0, 0, 0, 0)
OLD = BatchingPolicy(gas=FREE, bytes_=FREE, age_max_ns=0)


def order(name: int, *, once: bool = False, version: int = 1) -> OrderUse:
    """An order of its own account."""
    return OrderUse(account=name, nonce=name, version=version, standing=not once)


def fill(number: int, buy: OrderUse, sell: OrderUse, age_ns: int = 1_000) -> WaitingFill:
    return WaitingFill(number, NOW_NS - age_ns, buy, sell)


def numbers(found: NextBatch | None) -> list[int]:
    return found.fill_numbers if found else []


def test_nothing_waits_nothing_is_due() -> None:
    assert next_batch([], OLD, NOW_NS) is None


def test_fills_go_in_the_order_of_their_numbers_whatever_order_they_come_in() -> None:
    waiting = [fill(n, order(n), order(100 + n)) for n in (3, 1, 2)]
    assert numbers(next_batch(waiting, OLD, NOW_NS)) == [1, 2, 3]


def test_a_batch_that_is_not_full_waits_until_its_oldest_fill_is_old_enough() -> None:
    policy = BatchingPolicy(age_max_ns=5_000)
    young, old = fill(1, order(1), order(2), age_ns=4_999), fill(2, order(3), order(4), age_ns=5_000)
    assert next_batch([young], policy, NOW_NS) is None
    assert numbers(next_batch([young, old], policy, NOW_NS)) == [1, 2]


def test_a_full_batch_does_not_wait() -> None:
    policy = BatchingPolicy(fills_max=2, age_max_ns=10**15)
    found = next_batch([fill(n, order(n), order(100 + n)) for n in range(1, 6)], policy, NOW_NS)
    assert numbers(found) == [1, 2]
    assert found is not None
    assert found.full


def test_gas_bounds_a_batch_by_its_fills_orders_and_accounts() -> None:
    policy = BatchingPolicy(gas_max=1_000, gas=Cost(100, 10, 100, 50), bytes_=FREE, age_max_ns=0)
    shared = order(1)
    waiting = [fill(n, shared, order(100 + n)) for n in range(1, 9)]
    found = next_batch(waiting, policy, NOW_NS)
    assert numbers(found) == [1, 2, 3, 4]
    assert found is not None
    assert found.gas_bound == 100 + 4 * 10 + 5 * 100 + 5 * 50


def test_bytes_bound_a_batch() -> None:
    policy = BatchingPolicy(bytes_max=1_000, bytes_=Cost(0, 100, 100, 0), gas=FREE, age_max_ns=0)
    assert numbers(next_batch([fill(n, order(n), order(50 + n)) for n in range(9)], policy, NOW_NS)) == [
        0,
        1,
        2,
    ]


def test_a_single_fill_over_the_bounds_is_a_batch_of_its_own() -> None:
    policy = BatchingPolicy(gas_max=10, age_max_ns=0)
    assert numbers(
        next_batch([fill(1, order(1), order(2)), fill(2, order(3), order(4))], policy, NOW_NS)
    ) == [1]


def test_a_cut_never_parts_the_fills_of_a_once_order() -> None:
    policy = BatchingPolicy(fills_max=3, gas=FREE, bytes_=FREE, age_max_ns=0)
    once = order(1, once=True)
    waiting = [
        fill(1, order(2), order(3)),
        fill(2, order(4), order(5)),
        fill(3, once, order(6)),
        fill(4, once, order(7)),
    ]
    assert numbers(next_batch(waiting, policy, NOW_NS)) == [1, 2]
    assert numbers(next_batch(waiting[2:], policy, NOW_NS)) == [3, 4]


def test_a_once_order_with_more_fills_than_fit_is_cut_all_the_same() -> None:
    policy = BatchingPolicy(fills_max=2, age_max_ns=0)
    once = order(1, once=True)
    waiting = [fill(n, once, order(10 + n)) for n in range(1, 4)]
    assert numbers(next_batch(waiting, policy, NOW_NS)) == [1, 2]


@pytest.mark.parametrize(
    "bounds",
    [{"gas_max": TRANSACTION_GAS_CAP + 1}, {"gas_max": 0}, {"bytes_max": 120 * 1024 + 1}, {"fills_max": 0}],
)
def test_bounds_that_no_transaction_may_reach_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"outside|at least one"):
        BatchingPolicy(**bounds)  # type: ignore[arg-type]


uses = st.builds(
    OrderUse,
    account=st.integers(1, 4),
    nonce=st.integers(1, 6),
    version=st.integers(1, 3),
    standing=st.just(True),
)


@given(st.lists(st.tuples(uses, uses), max_size=40), st.integers(1, 7))
def test_batch_after_batch_takes_every_fill_once_and_in_order(
    sides: list[tuple[OrderUse, OrderUse]], fills_max: int
) -> None:
    left = [fill(n, buy, sell) for n, (buy, sell) in enumerate(sides)]
    policy = BatchingPolicy(fills_max=fills_max, age_max_ns=0)
    taken: list[int] = []
    while found := next_batch(left, policy, NOW_NS):
        assert 0 < len(found.fill_numbers) <= fills_max
        assert found.gas_bound <= policy.gas_max
        taken += found.fill_numbers
        left = [each for each in left if each.fill_number not in set(found.fill_numbers)]
    assert taken == list(range(len(sides)))
