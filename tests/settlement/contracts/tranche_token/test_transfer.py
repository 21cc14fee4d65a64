"""TrancheToken.transfer, transferFrom, batchTransfer: between eligible holders, free lots only."""

from __future__ import annotations

from engine.signed_order import address_of, keccak256

STRANGER = keccak256(b"stranger")


def test_free_lots_move_and_the_event_says_so(contracts, holder, other, hold, state):
    outcome = hold("transfer", address_of(other), 40)
    assert [(event.name, dict(event.arguments)) for _, event in outcome.events] == [
        ("Transfer", {"from": address_of(holder), "to": address_of(other), "value": 40})
    ]
    assert (state(holder), state(other)) == ((60, 0, 0, 60), (40, 0, 0, 40))


def test_what_arrives_is_locked_by_the_receivers_choice(contracts, other, hold, state):
    contracts.act(other, contracts.tranche.token, "setReceiveLocked", True)
    outcome = hold("transfer", address_of(other), 40)
    assert [dict(event.arguments) for event in outcome.named("Locked")] == [
        {"holder": address_of(other), "lots": 40}
    ]
    assert state(other) == (40, 40, 0, 0)


def test_a_transfer_to_oneself_changes_nothing(holder, hold, state):
    hold("transfer", address_of(holder), 100)
    assert state(holder) == (100, 0, 0, 100)


def test_a_receiver_who_is_not_verified_is_refused(holder, hold, refused):
    with refused("HolderNotVerified", account=address_of(STRANGER)):
        hold("transfer", address_of(STRANGER), 1)
    with refused("NoReceiver"):
        hold("transfer", bytes(20), 1)


def test_neither_side_may_be_frozen(holder, other, hold, issuer, refused):
    for frozen in (holder, other):
        issuer("setAddressFrozen", address_of(frozen), True)
        with refused("HolderFrozen", account=address_of(frozen)):
            hold("transfer", address_of(other), 1)
        issuer("setAddressFrozen", address_of(frozen), False)


def test_neither_locked_nor_frozen_lots_move(holder, other, hold, issuer, refused):
    hold("lock", 30)
    issuer("freezePartialTokens", address_of(holder), 50)
    with refused("InsufficientFree", account=address_of(holder), available=20, needed=21):
        hold("transfer", address_of(other), 21)
    hold("transfer", address_of(other), 20)


def test_a_freeze_that_reaches_into_the_lock_leaves_nothing_free(holder, other, hold, issuer, refused, state):
    hold("lock", 80)
    issuer("freezePartialTokens", address_of(holder), 50)
    assert state(holder) == (100, 80, 50, 0)
    with refused("InsufficientFree", available=0, needed=1):
        hold("transfer", address_of(other), 1)


def test_compliance_is_asked(contracts, holder, other, hold, refused):
    contracts.act(contracts.keys.administrator, contracts.tranche.compliance, "setCountryBlocked", 344, True)
    with refused("ComplianceRefused", lots=5):
        hold("transfer", address_of(other), 5)


def test_an_allowance_is_used_up_unless_it_is_infinite(contracts, holder, other, hold, refused):
    token, spender = contracts.tranche.token, address_of(STRANGER)
    assert hold("approve", spender, 10).named("Approval")
    move = ("transferFrom", address_of(holder), address_of(other))
    contracts.act(STRANGER, token, *move, 10)
    with refused("ERC20InsufficientAllowance", allowance=0, needed=1):
        contracts.act(STRANGER, token, *move, 1)
    hold("approve", spender, (1 << 256) - 1)
    contracts.act(STRANGER, token, *move, 20)
    assert contracts.read(token, "allowance", address_of(holder), spender) == (1 << 256) - 1
    with refused("ERC20InvalidSpender"):
        hold("approve", bytes(20), 1)


def test_an_allowance_does_not_reach_locked_lots(contracts, holder, other, hold, refused):
    hold("lock", 100)
    hold("approve", address_of(STRANGER), 100)
    with refused("InsufficientFree", available=0):
        contracts.act(
            STRANGER, contracts.tranche.token, "transferFrom", address_of(holder), address_of(other), 1
        )


def test_a_batch_moves_whole_or_not_at_all(holder, other, hold, state, refused):
    hold("batchTransfer", [address_of(other)] * 2, [10, 20])
    with refused("InsufficientFree", available=20, needed=60):
        hold("batchTransfer", [address_of(other)] * 2, [50, 60])
    with refused("LengthsDiffer"):
        hold("batchTransfer", [address_of(other)], [1, 2])
    assert state(other)[0] == 30


def test_a_paused_token_stands_still(holder, other, hold, issuer, refused):
    assert issuer("pause").named("Paused")
    for function, arguments in (
        ("transfer", (address_of(other), 1)),
        ("transferFrom", (address_of(holder), address_of(other), 1)),
        ("batchTransfer", ([address_of(other)], [1])),
    ):
        with refused("TokenPaused"):
            hold(function, *arguments)
    with refused("AlreadyPaused"):
        issuer("pause")
    assert issuer("unpause").named("Unpaused")
    with refused("NotPaused"):
        issuer("unpause")
    hold("transfer", address_of(other), 1)
