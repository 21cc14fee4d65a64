"""DvP.settle: no participant takes a leg back after the match (the four published vectors, and pre-armed)."""

from __future__ import annotations

import pytest

from engine.signed_order import address_of, keccak256
from settlement.deployment import UNBIND_DELAY_S


def test_ghost_fill_by_cancel_asked_after_the_match(contracts, seller, buyer, fill):
    contracts.act(buyer, contracts.venue.dvp, "requestCancel", fill.buy.nonce)
    contracts.settle([fill], buyer, seller)


def test_ghost_fill_by_withdrawal_asked_after_the_match(contracts, seller, buyer, fill, refused):
    vault, cash = contracts.venue.vault, contracts.venue.cash
    contracts.act(buyer, vault, "registerPayoutAddress", address_of(buyer), True)
    contracts.act(buyer, vault, "requestWithdrawal", cash, contracts.cash_of(buyer), address_of(buyer))
    with refused("WithdrawalNotYet"):
        contracts.act(buyer, vault, "executeWithdrawal", cash)
    contracts.settle([fill], buyer, seller)


def test_ghost_fill_by_unlock_asked_after_the_match(contracts, seller, buyer, fill, refused):
    token = contracts.tranche.token
    contracts.act(seller, token, "requestUnlock", 1_000)
    with refused("UnlockNotYet"):
        contracts.act(seller, token, "executeUnlock")
    with refused("InsufficientFree", available=0):
        contracts.act(seller, token, "transfer", address_of(buyer), 1)
    contracts.settle([fill], buyer, seller)


def test_ghost_fill_by_revoking_the_signing_key_after_the_match(contracts, seller, buyer, fill):
    desk, dvp = keccak256(b"desk"), contracts.venue.dvp
    contracts.act(buyer, dvp, "registerSigningKey", address_of(desk), contracts.node.now + 10**6)
    contracts.act(buyer, dvp, "revokeSigningKey", address_of(desk))
    contracts.settle_signed([fill], {address_of(buyer): desk, address_of(seller): seller})


def test_ghost_fill_by_letting_the_window_pass_is_refused_for_both(contracts, seller, buyer, fill, refused):
    contracts.node.pass_time(contracts.read(contracts.venue.dvp, "settlementWindow") + 2)
    with refused("FillTooOld", fillIndex=0):
        contracts.settle([fill], buyer, seller)


@pytest.mark.parametrize("what", ["withdrawal", "unlock"])
def test_pre_armed_request_lapses_and_is_not_ready_for_ever(contracts, seller, buyer, refused, what):
    vault, cash, token = contracts.venue.vault, contracts.venue.cash, contracts.tranche.token
    contracts.act(buyer, vault, "registerPayoutAddress", address_of(buyer), True)
    contracts.act(buyer, vault, "requestWithdrawal", cash, 1, address_of(buyer))
    contracts.act(seller, token, "requestUnlock", 1)
    contracts.node.pass_time(2 * UNBIND_DELAY_S + 2)
    with refused("WithdrawalLapsed" if what == "withdrawal" else "UnlockLapsed"):
        if what == "withdrawal":
            contracts.act(buyer, vault, "executeWithdrawal", cash)
        else:
            contracts.act(seller, token, "executeUnlock")
