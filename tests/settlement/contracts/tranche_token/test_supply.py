"""TrancheToken.mint, burn and their batches."""

from __future__ import annotations

from engine.signed_order import address_of, keccak256

STRANGER = keccak256(b"stranger")


def test_minting_and_burning_keep_the_supply(contracts, holder, other, issuer, state):
    token = contracts.tranche.token
    assert dict(issuer("mint", address_of(other), 7).named("Transfer")[0].arguments) == {
        "from": bytes(20),
        "to": address_of(other),
        "value": 7,
    }
    issuer("batchMint", [address_of(other)] * 2, [1, 2])
    issuer("batchBurn", [address_of(other), address_of(holder)], [10, 40])
    assert (state(other)[0], state(holder)[0], contracts.read(token, "totalSupply")) == (0, 60, 60)


def test_only_verified_investors_of_the_right_country_are_minted_to(contracts, other, issuer, refused):
    with refused("HolderNotVerified", account=address_of(STRANGER)):
        issuer("mint", address_of(STRANGER), 1)
    contracts.act(contracts.keys.administrator, contracts.tranche.compliance, "setCountryBlocked", 344, True)
    with refused("ComplianceRefused"):
        issuer("mint", address_of(other), 1)


def test_the_supply_stays_within_what_a_holder_can_hold(holder, other, issuer, refused):
    issuer("mint", address_of(other), (1 << 64) - 1 - 100)
    with refused("SupplyExceeded", supply=1 << 64):
        issuer("mint", address_of(holder), 1)


def test_a_burn_reaches_into_freeze_and_lock_and_says_so(holder, hold, issuer, state, refused):
    hold("lock", 60)
    issuer("freezePartialTokens", address_of(holder), 90)
    outcome = issuer("burn", address_of(holder), 70)
    assert [
        (event.name, dict(event.arguments).get("lots", dict(event.arguments).get("amount")))
        for _, event in outcome.events[:2]
    ] == [
        ("TokensUnfrozen", 60),
        ("LockBroken", 30),
    ]
    assert state(holder) == (30, 30, 30, 0)
    with refused("ERC20InsufficientBalance", balance=30, needed=31):
        issuer("burn", address_of(holder), 31)


def test_nobody_but_an_agent_does_the_issuers_work(contracts, holder, hold, refused):
    account = address_of(holder)
    for function, arguments in (
        ("mint", (account, 1)),
        ("burn", (account, 1)),
        ("batchMint", ([account], [1])),
        ("batchBurn", ([account], [1])),
        ("forcedTransfer", (account, account, 1)),
        ("batchForcedTransfer", ([account], [account], [1])),
        ("recoveryAddress", (account, account, account)),
        ("setAddressFrozen", (account, True)),
        ("batchSetAddressFrozen", ([account], [True])),
        ("freezePartialTokens", (account, 1)),
        ("unfreezePartialTokens", (account, 1)),
        ("batchFreezePartialTokens", ([account], [1])),
        ("batchUnfreezePartialTokens", ([account], [1])),
        ("pause", ()),
        ("unpause", ()),
        ("raiseVerificationEpoch", ()),
        ("setTerms", (9, 1, 1, 0, 0)),
    ):
        with refused("NotAnAgent", caller=account):
            hold(function, *arguments)
