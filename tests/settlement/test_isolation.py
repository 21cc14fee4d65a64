"""Who is to blame for a revert."""

from dataclasses import replace
from typing import Any

import pytest

from engine.reasons import Reason
from engine.settlement_batch import FillFact, compose_batch
from engine.signed_order import KIND_ONCE, KIND_STANDING, SIDE_BUY, SIDE_SELL, SignedOrder
from settlement.contract_abi import ContractName, contract_abi
from settlement.dvp_calldata import Refusal
from settlement.isolation import _BY_ACCOUNT, _BY_FILL, _BY_ORDER, _NOBODY, Blame, blame, describe, halves


def order(account: int, side: int) -> SignedOrder:
    """An order of an account."""
    return SignedOrder(
        bytes([account]) * 20, bytes(20), bytes(20), side, KIND_STANDING, 100, 0, 0, 0, 0, account, 1
    )


BUYERS, SELLERS = [order(n, SIDE_BUY) for n in (1, 2)], [order(n, SIDE_SELL) for n in (3, 4)]
FILLS = [
    FillFact(10, 1, 1, 0, 1, BUYERS[0], SELLERS[0]),
    FillFact(11, 1, 1, 0, 1, BUYERS[1], SELLERS[0]),
    FillFact(15, 1, 1, 0, 1, BUYERS[0], SELLERS[1]),
]
BATCH = compose_batch(FILLS)


def blamed(error: str, fills: list[FillFact] | None = None, **parts: Any) -> Blame:
    refusal = Refusal(error=error, arguments={}, **parts)
    chosen = fills or FILLS
    return blame(refusal, compose_batch(chosen), chosen)


def test_an_error_that_names_a_fill_isolates_that_fill() -> None:
    assert blamed("FillTooOld", fill_index=2) == Blame(frozenset({15}), Reason.SETTLEMENT_WINDOW_PASSED)


def test_an_error_that_names_an_order_isolates_all_its_fills() -> None:
    index = BATCH.orders.index(SELLERS[0])
    assert blamed("StaleVersion", order_index=index) == Blame(
        frozenset({10, 11}), Reason.SIGNED_ORDER_REFUSED_ON_CHAIN
    )


def test_an_error_that_names_an_account_isolates_all_its_fills() -> None:
    found = blamed("HolderFrozen", account=BUYERS[0].account)
    assert found == Blame(frozenset({10, 15}), Reason.PARTY_NOT_ELIGIBLE)


def test_an_error_that_names_nobody_of_the_batch_halves_it() -> None:
    assert blamed("HolderFrozen", account=bytes(20)).split
    assert blamed("ComplianceRefused").split
    assert blamed("").split


@pytest.mark.parametrize(
    ("error", "reason"),
    [("ComplianceRefused", Reason.COMPLIANCE_REFUSED_ON_CHAIN), ("", Reason.REVERTED_WITHOUT_REASON)],
)
def test_a_fill_that_reverts_alone_is_isolated(error: str, reason: Reason) -> None:
    assert blamed(error, FILLS[:1]) == Blame(frozenset({10}), reason)


def test_fills_that_a_once_order_binds_fail_together_and_never_one_without_the_other() -> None:
    once = replace(BUYERS[0], kind=KIND_ONCE)
    bound = [FILLS[0], FILLS[1], FILLS[2]]
    bound[0], bound[2] = replace(bound[0], buy=once), replace(bound[2], buy=once)
    other = replace(FILLS[1], fill_number=20)
    assert blamed("", bound) == Blame(frozenset({10, 11, 15}), Reason.REVERTED_WITHOUT_REASON)
    assert blamed("", [*bound, other]).split
    assert halves([*bound, other]) == [bound, [other]]


@pytest.mark.parametrize(
    "error", ["EnforcedPause", "TokenPaused", "FillAlreadySettled", "AttestationRefused"]
)
def test_what_no_fill_is_to_blame_for_makes_the_batch_wait(error: str) -> None:
    assert blamed(error, fill_index=0) == Blame()


def test_every_error_that_is_read_exists_in_a_contract() -> None:
    known = {error.name for name in ContractName for error in contract_abi(name).errors.values()}
    assert {*_BY_FILL, *_BY_ORDER, *_BY_ACCOUNT, *_NOBODY} <= known


def test_a_refusal_reads_like_its_contract() -> None:
    assert describe(Refusal("HolderFrozen", {"account": b"\x01" * 20})) == f"HolderFrozen(0x{'01' * 20})"
    assert describe(Refusal("", {})) == "reverted without a reason"
