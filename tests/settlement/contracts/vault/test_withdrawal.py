"""Vault.requestWithdrawal, cancelWithdrawal, executeWithdrawal, registerPayoutAddress."""

from __future__ import annotations

import pytest

from engine.signed_order import address_of, keccak256
from settlement.deployment import UNBIND_DELAY_S

BANK = keccak256(b"bank")[12:]


@pytest.fixture
def investor(contracts):
    """An investor with 1,000 in the vault and a payout address."""
    key = keccak256(b"investor")
    contracts.deposit(key, 1_000)
    contracts.act(key, contracts.venue.vault, "registerPayoutAddress", BANK, True)
    return key


@pytest.fixture
def act(contracts, investor):
    """The investor calls the vault."""
    return lambda function, *arguments: contracts.act(investor, contracts.venue.vault, function, *arguments)


def test_what_was_asked_is_paid_after_the_delay(contracts, investor, act, refused):
    cash = contracts.venue.cash
    asked = act("requestWithdrawal", cash, 400, BANK).named("WithdrawalRequested")[0].arguments
    executable = contracts.node.now + UNBIND_DELAY_S
    assert dict(asked) == {
        "account": address_of(investor),
        "cashToken": cash,
        "amount": 400,
        "payout": BANK,
        "executableFrom": executable,
        "lapsesAt": executable + UNBIND_DELAY_S,
    }
    with refused("WithdrawalNotYet", executableFrom=executable):
        act("executeWithdrawal", cash)
    contracts.node.pass_time(UNBIND_DELAY_S)
    paid = act("executeWithdrawal", cash).named("Withdrawn")[0].arguments
    assert dict(paid) == {"account": address_of(investor), "cashToken": cash, "amount": 400, "payout": BANK}
    assert (contracts.cash_of(investor), contracts.read(cash, "balanceOf", BANK)) == (600, 400)
    assert contracts.read(contracts.venue.vault, "totalEntries", cash) == 600
    with refused("NoWithdrawal"):
        act("executeWithdrawal", cash)


def test_a_withdrawal_not_executed_in_time_lapses(contracts, act, refused):
    act("requestWithdrawal", contracts.venue.cash, 400, BANK)
    contracts.node.pass_time(2 * UNBIND_DELAY_S + 1)
    with refused("WithdrawalLapsed"):
        act("executeWithdrawal", contracts.venue.cash)


def test_a_second_request_replaces_the_first_and_its_delay(contracts, act, refused):
    act("requestWithdrawal", contracts.venue.cash, 400, BANK)
    contracts.node.pass_time(UNBIND_DELAY_S)
    act("requestWithdrawal", contracts.venue.cash, 500, BANK)
    with refused("WithdrawalNotYet"):
        act("executeWithdrawal", contracts.venue.cash)


def test_a_request_is_taken_back(contracts, act, investor, refused):
    act("requestWithdrawal", contracts.venue.cash, 400, BANK)
    outcome = act("cancelWithdrawal", contracts.venue.cash)
    assert dict(outcome.named("WithdrawalCancelled")[0].arguments)["amount"] == 400
    assert (
        contracts.read(contracts.venue.vault, "withdrawalOf", contracts.venue.cash, address_of(investor))[0]
        == 0
    )
    with refused("NoWithdrawal"):
        act("cancelWithdrawal", contracts.venue.cash)


def test_money_goes_to_registered_addresses_only(contracts, act, refused):
    stranger = b"\x09" * 20
    with refused("NotAPayoutAddress", payout=stranger):
        act("requestWithdrawal", contracts.venue.cash, 1, stranger)
    act("requestWithdrawal", contracts.venue.cash, 1, BANK)
    act("registerPayoutAddress", BANK, False)
    contracts.node.pass_time(UNBIND_DELAY_S + 1)
    with refused("NotAPayoutAddress", payout=BANK):
        act("executeWithdrawal", contracts.venue.cash)


def test_more_than_the_entry_is_refused(contracts, act, investor, refused):
    with refused("InsufficientCash", account=address_of(investor), available=1_000, needed=1_001):
        act("requestWithdrawal", contracts.venue.cash, 1_001, BANK)
    with refused("NothingToMove"):
        act("requestWithdrawal", contracts.venue.cash, 0, BANK)


def test_what_settlement_took_meanwhile_is_not_paid(contracts, act, investor, refused):
    contracts.act(
        contracts.keys.issuer, contracts.tranche.registry, "registerIdentity", address_of(investor), BANK, 344
    )
    seller = contracts.investor("seller", lots=10)
    act("requestWithdrawal", contracts.venue.cash, 1_000, BANK)
    contracts.settle(
        [contracts.fill(1, contracts.buy(investor), contracts.sell(seller), price_ticks=1)], investor, seller
    )
    contracts.node.pass_time(UNBIND_DELAY_S + 1)
    with refused("InsufficientCash", account=address_of(investor)):
        act("executeWithdrawal", contracts.venue.cash)


def test_nobody_but_the_dvp_contract_moves_entries(contracts, investor, refused):
    for key in (investor, contracts.keys.administrator, keccak256(b"key of operator")):
        with refused("NotTheDvP", caller=address_of(key)):
            contracts.act(
                key, contracts.venue.vault, "settle", contracts.venue.cash, [address_of(investor)], [-1]
            )
