"""TrancheToken: freezes, forced transfers, recovery, and the acts of the owner."""

from __future__ import annotations

from engine.signed_order import address_of, keccak256
from settlement.contract_abi import ContractName, contract_abi

NEW_WALLET = keccak256(b"new wallet")


def test_freezing_part_of_a_balance(holder, issuer, state, refused):
    account = address_of(holder)
    assert dict(issuer("freezePartialTokens", account, 30).named("TokensFrozen")[0].arguments)["amount"] == 30
    issuer("batchFreezePartialTokens", [account, account], [5, 6])
    assert state(holder) == (100, 0, 41, 59)
    with refused("ERC20InsufficientBalance", balance=59, needed=60):
        issuer("freezePartialTokens", account, 60)
    assert issuer("unfreezePartialTokens", account, 1).named("TokensUnfrozen")
    issuer("batchUnfreezePartialTokens", [account], [40])
    with refused("InsufficientFrozen", frozen=0, needed=1):
        issuer("unfreezePartialTokens", account, 1)


def test_freezing_an_address(contracts, holder, issuer):
    account = address_of(holder)
    outcome = issuer("setAddressFrozen", account, True)
    assert dict(outcome.named("AddressFrozen")[0].arguments) == {
        "userAddress": account,
        "isFrozen": True,
        "owner": address_of(contracts.keys.issuer),
    }
    assert contracts.read(contracts.tranche.token, "isFrozen", account)
    issuer("batchSetAddressFrozen", [account], [False])
    assert not contracts.read(contracts.tranche.token, "isFrozen", account)


def test_a_forced_transfer_reaches_into_freeze_and_lock_and_says_so(holder, other, hold, issuer, state):
    hold("lock", 60)
    issuer("setAddressFrozen", address_of(holder), True)
    outcome = issuer("forcedTransfer", address_of(holder), address_of(other), 70)
    assert [event.name for _, event in outcome.events] == ["LockBroken", "Transfer"]
    assert (state(holder), state(other)) == ((30, 30, 0, 0), (70, 0, 0, 70))


def test_a_forced_transfer_still_asks_whether_the_receiver_is_verified(holder, issuer, refused):
    with refused("HolderNotVerified"):
        issuer("batchForcedTransfer", [address_of(holder)], [address_of(NEW_WALLET)], [1])
    with refused("ERC20InsufficientBalance", balance=100, needed=101):
        issuer("forcedTransfer", address_of(holder), address_of(NEW_WALLET), 101)


def test_a_forced_transfer_to_oneself_does_not_shake_off_a_freeze(holder, issuer, state, refused):
    issuer("freezePartialTokens", address_of(holder), 100)
    with refused("SameHolder", account=address_of(holder)):
        issuer("forcedTransfer", address_of(holder), address_of(holder), 100)
    assert state(holder) == (100, 0, 100, 0)


def test_a_lost_wallet_is_recovered_with_its_freezes_and_locks(contracts, holder, hold, issuer, state):
    account, fresh = address_of(holder), address_of(NEW_WALLET)
    hold("lock", 60)
    issuer("freezePartialTokens", account, 10)
    issuer("setAddressFrozen", account, True)
    outcome = issuer("recoveryAddress", account, fresh, account)
    assert dict(outcome.named("RecoverySuccess")[0].arguments) == {
        "lostWallet": account,
        "newWallet": fresh,
        "investorOnchainID": account,
    }
    assert (state(holder), state(NEW_WALLET)) == ((0, 0, 0, 0), (100, 60, 10, 30))
    registry = contracts.tranche.registry
    assert [contracts.read(registry, "contains", each) for each in (account, fresh)] == [False, True]
    assert contracts.read(contracts.tranche.token, "isFrozen", fresh)


def test_a_recovery_needs_the_investors_own_identity(contracts, holder, other, issuer, refused):
    account = address_of(holder)
    with refused("NotTheInvestor", lostWallet=account):
        issuer("recoveryAddress", account, address_of(NEW_WALLET), address_of(other))
    with refused("NotTheInvestor", lostWallet=address_of(other)):
        issuer("recoveryAddress", account, address_of(other), account)
    with refused("NothingToRecover", lostWallet=address_of(other)):
        issuer("recoveryAddress", address_of(other), address_of(NEW_WALLET), address_of(other))


def test_only_the_owner_changes_what_the_token_is(contracts, holder, hold, refused):
    for function, argument in (
        ("setName", "x"),
        ("setSymbol", "x"),
        ("setOnchainID", bytes(20)),
        ("setIdentityRegistry", bytes(20)),
        ("setCompliance", bytes(20)),
        ("addAgent", bytes(20)),
    ):
        with refused("OwnableUnauthorizedAccount", account=address_of(holder)):
            hold(function, argument)


def test_the_owner_renames(contracts):
    token, admin = contracts.tranche.token, contracts.keys.administrator
    for function, value, view in (
        ("setName", "New", "name"),
        ("setSymbol", "NEW", "symbol"),
        ("setOnchainID", b"\x01" * 20, "onchainID"),
    ):
        assert contracts.act(admin, token, function, value).named("UpdatedTokenInformation")
        assert contracts.read(token, view) == value
    assert (contracts.read(token, "decimals"), contracts.read(token, "version")) == (0, "1")


def test_new_rules_are_bound_and_old_ones_let_go(contracts, holder, hold, other):
    admin, tranche = contracts.keys.administrator, contracts.tranche
    rules = contract_abi(ContractName.COUNTRY_COMPLIANCE)
    fresh = contracts.create(admin, rules, address_of(admin), tranche.registry)
    assert contracts.act(admin, tranche.token, "setCompliance", fresh).named("ComplianceAdded")
    assert contracts.read(fresh, "getTokenBound") == tranche.token
    assert not contracts.read(tranche.compliance, "isTokenBound", tranche.token)
    hold("transfer", address_of(other), 1)


def test_a_new_registry_is_asked_about_everybody(contracts, holder, other, hold, refused):
    admin, tranche = contracts.keys.administrator, contracts.tranche
    registry = contracts.create(admin, contract_abi(ContractName.IDENTITY_REGISTRY), address_of(admin))
    contracts.act(admin, tranche.token, "setIdentityRegistry", registry)
    with refused("HolderNotVerified", account=address_of(other)):
        hold("transfer", address_of(other), 1)


def test_agents_come_and_go(contracts, holder, refused):
    admin, token, account = contracts.keys.administrator, contracts.tranche.token, address_of(holder)
    assert contracts.act(admin, token, "addAgent", account).named("AgentAdded")
    assert contracts.read(token, "isAgent", account)
    assert contracts.act(admin, token, "removeAgent", account).named("AgentRemoved")
    with refused("NotAnAgent", caller=account):
        contracts.act(admin, token, "removeAgent", account)
    with refused("NoAddress"):
        contracts.act(admin, token, "addAgent", bytes(20))
