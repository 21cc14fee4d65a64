"""Cash tokens that lie, keep a fee, or call back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.settlement_batch import compose_batch
from engine.signed_order import address_of
from settlement.deployment import UNBIND_DELAY_S
from settlement.dvp_calldata import encode_settle


@pytest.fixture
def hostile(contracts, mocks):
    """Deploys a mock cash token and puts it on the list."""

    def deploy(name):
        cash = contracts.create(contracts.keys.administrator, mocks(name))
        contracts.act(contracts.keys.administrator, contracts.venue.vault, "setCashTokenAllowed", cash, True)
        return cash

    return deploy


def test_a_token_that_returns_false_is_not_deposited(contracts, hostile, buyer, refused):
    cash = hostile("FalseCash")
    with refused("SafeERC20FailedOperation", token=cash):
        contracts.act(buyer, contracts.venue.vault, "deposit", cash, 100)


def test_a_token_that_moves_nothing_is_not_deposited(contracts, hostile, buyer, refused):
    with refused("ShortDeposit", expected=100, received=0):
        contracts.act(buyer, contracts.venue.vault, "deposit", hostile("LyingCash"), 100)


def test_a_token_that_keeps_a_fee_is_not_deposited(contracts, hostile, buyer, refused):
    cash = hostile("FeeCash")
    contracts.act(buyer, cash, "mint", address_of(buyer), 1_000)
    contracts.act(buyer, cash, "approve", contracts.venue.vault, 1_000)
    with refused("ShortDeposit", expected=1_000, received=990):
        contracts.act(buyer, contracts.venue.vault, "deposit", cash, 1_000)


def test_nobody_buys_with_a_token_that_was_never_deposited(contracts, hostile, seller, buyer, refused):
    cash = hostile("FalseCash")
    fill = contracts.fill(
        1, contracts.buy(buyer, cash_token=cash), contracts.sell(seller, cash_token=cash), lots=1
    )
    with refused("InsufficientCash", account=address_of(buyer), available=0):
        contracts.settle([fill], buyer, seller)
    assert contracts.lots_of(seller) == 1_000


def test_a_token_that_calls_back_withdraws_only_once(contracts, hostile, buyer, refused):
    cash = hostile("ReenteringCash")
    vault, token = contracts.venue.vault, contracts.abi_at(contracts.venue.vault)
    for function, *arguments in (
        ("approve", vault, 1_000),
        ("deposit", cash, 1_000),
        ("registerPayoutAddress", cash, True),
        ("requestWithdrawal", cash, 500, cash),
    ):
        if function == "approve":
            contracts.act(buyer, cash, "mint", cash, 1_000)
            contracts.act(buyer, cash, "act", cash, contracts.abi_at(cash).call(function, *arguments))
        else:
            contracts.act(buyer, cash, "act", vault, token.call(function, *arguments))
    contracts.node.pass_time(UNBIND_DELAY_S + 1)
    withdraw = token.call("executeWithdrawal", cash)
    contracts.act(buyer, cash, "arm", vault, withdraw)
    with refused("ReentrancyGuardReentrantCall"):
        contracts.act(buyer, cash, "act", vault, withdraw)
    contracts.act(buyer, cash, "arm", bytes(20), b"")
    contracts.act(buyer, cash, "act", vault, withdraw)
    assert contracts.read(vault, "entryOf", cash, cash) == 500


def test_cash_of_another_token_does_not_pay(contracts, seller, buyer, fill, refused):
    batch = compose_batch([fill])
    other = b"\x0c" * 20
    orders = [replace(order, cash_token=other) for order in batch.orders]
    fills = [
        replace(fill, buy=replace(fill.buy, cash_token=other), sell=replace(fill.sell, cash_token=other))
    ]
    batch = compose_batch(fills)
    assert set(batch.orders) == set(orders)
    calldata = encode_settle(batch, contracts.signatures(batch, buyer, seller), contracts.attest(batch))
    with refused("InsufficientCash", available=0):
        contracts.submit(calldata)
