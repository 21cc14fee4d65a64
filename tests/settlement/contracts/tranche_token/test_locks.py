"""TrancheToken.lock, setReceiveLocked, requestUnlock, cancelUnlock, executeUnlock, deliverLocked."""

from __future__ import annotations

import pytest

from engine.signed_order import address_of
from settlement.deployment import UNBIND_DELAY_S


def test_the_holder_locks_free_lots(holder, hold, state, refused):
    outcome = hold("lock", 60)
    assert [dict(event.arguments) for event in outcome.named("Locked")] == [
        {"holder": address_of(holder), "lots": 60}
    ]
    assert state(holder) == (100, 60, 0, 40)
    with refused("InsufficientFree", available=40, needed=41):
        hold("lock", 41)


def test_frozen_lots_are_not_locked(holder, hold, issuer, refused):
    issuer("freezePartialTokens", address_of(holder), 70)
    with refused("InsufficientFree", available=30, needed=31):
        hold("lock", 31)


def test_an_unlock_binds_after_the_delay(contracts, holder, hold, state, refused):
    hold("lock", 60)
    asked = hold("requestUnlock", 50).named("UnlockRequested")[0].arguments
    executable = contracts.node.now + UNBIND_DELAY_S
    assert dict(asked) == {
        "holder": address_of(holder),
        "lots": 50,
        "executableFrom": executable,
        "lapsesAt": executable + UNBIND_DELAY_S,
    }
    with refused("UnlockNotYet", executableFrom=executable):
        hold("executeUnlock")
    contracts.node.pass_time(UNBIND_DELAY_S)
    outcome = hold("executeUnlock")
    assert [dict(event.arguments) for event in outcome.named("Unlocked")] == [
        {"holder": address_of(holder), "lots": 50}
    ]
    assert state(holder) == (100, 10, 0, 90)
    with refused("NoUnlock"):
        hold("executeUnlock")


def test_a_second_request_starts_the_delay_anew(contracts, hold, refused):
    hold("lock", 60)
    hold("requestUnlock", 10)
    contracts.node.pass_time(UNBIND_DELAY_S)
    hold("requestUnlock", 60)
    with refused("UnlockNotYet"):
        hold("executeUnlock")


def test_a_request_is_taken_back(hold, refused):
    hold("lock", 60)
    hold("requestUnlock", 10)
    assert hold("cancelUnlock").named("UnlockCancelled")
    with refused("NoUnlock"):
        hold("cancelUnlock")


def test_no_more_is_asked_than_is_locked(holder, hold, refused):
    hold("lock", 60)
    for lots in (0, 61):
        with refused("InsufficientLocked", account=address_of(holder), available=60, needed=lots):
            hold("requestUnlock", lots)


def test_an_unlock_gives_what_deliveries_left(contracts, holder, hold, state):
    buyer = contracts.investor("buyer", cash=10**9)
    hold("lock", 100)
    hold("requestUnlock", 100)
    fill = contracts.fill(1, contracts.buy(buyer), contracts.sell(holder), lots=30)
    contracts.settle([fill], buyer, holder)
    contracts.node.pass_time(UNBIND_DELAY_S)
    assert dict(hold("executeUnlock").named("Unlocked")[0].arguments)["lots"] == 70
    assert state(holder) == (70, 0, 0, 70)


def test_the_standing_choice_is_said(holder, hold):
    outcome = hold("setReceiveLocked", True)
    assert [dict(event.arguments) for event in outcome.named("ReceiveLockedSet")] == [
        {"holder": address_of(holder), "receiveLocked": True}
    ]


@pytest.mark.parametrize("who", ["holder", "issuer", "administrator"])
def test_nobody_but_the_dvp_contract_delivers(contracts, holder, other, hold, refused, who):
    hold("lock", 100)
    key = holder if who == "holder" else getattr(contracts.keys, who)
    with refused("NotTheDvP", caller=address_of(key)):
        contracts.act(
            key, contracts.tranche.token, "deliverLocked", [(address_of(holder), address_of(other), 1)], []
        )


def test_a_paused_token_delivers_nothing(contracts, holder, hold, issuer, refused):
    buyer = contracts.investor("buyer", cash=10**9)
    hold("lock", 100)
    issuer("pause")
    with refused("TokenPaused"):
        contracts.settle([contracts.fill(1, contracts.buy(buyer), contracts.sell(holder))], buyer, holder)
