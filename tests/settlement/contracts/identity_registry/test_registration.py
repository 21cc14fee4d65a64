"""IdentityRegistry: who may hold a tranche, denied by default."""

from __future__ import annotations

import pytest

from engine.signed_order import address_of, keccak256

INVESTOR, IDENTITY = keccak256(b"investor")[12:], keccak256(b"identity")[12:]


@pytest.fixture
def registry(contracts):
    """The issuer acts on the registry."""
    return lambda function, *arguments: contracts.act(
        contracts.keys.issuer, contracts.tranche.registry, function, *arguments
    )


@pytest.fixture
def view(contracts):
    """What the registry says of the investor."""
    return lambda function: contracts.read(contracts.tranche.registry, function, INVESTOR)


def said(outcome):
    """Names and arguments of the events."""
    return [(event.name, dict(event.arguments)) for _, event in outcome.events]


def test_nobody_is_verified_by_default(view):
    assert (view("isVerified"), view("contains"), view("verifiedUntil")) == (False, False, 0)


def test_registering_verifies(registry, view):
    outcome = registry("registerIdentity", INVESTOR, IDENTITY, 344)
    assert said(outcome) == [("IdentityRegistered", {"investorAddress": INVESTOR, "identity": IDENTITY})]
    assert (view("isVerified"), view("identity"), view("investorCountry")) == (True, IDENTITY, 344)


def test_deleting_denies(registry, view, refused):
    registry("registerIdentity", INVESTOR, IDENTITY, 344)
    outcome = registry("deleteIdentity", INVESTOR)
    assert said(outcome) == [("IdentityRemoved", {"investorAddress": INVESTOR, "identity": IDENTITY})]
    assert not view("isVerified")
    with refused("NotRegistered", investor=INVESTOR):
        registry("deleteIdentity", INVESTOR)


def test_country_identity_and_validity_are_updated(contracts, registry, view):
    registry("registerIdentity", INVESTOR, IDENTITY, 344)
    assert said(registry("updateCountry", INVESTOR, 702)) == [
        ("CountryUpdated", {"investorAddress": INVESTOR, "country": 702})
    ]
    assert said(registry("updateIdentity", INVESTOR, INVESTOR)) == [
        ("IdentityUpdated", {"oldIdentity": IDENTITY, "newIdentity": INVESTOR})
    ]
    until = contracts.node.now + 100
    assert said(registry("setValidity", INVESTOR, until)) == [
        ("ValidityUpdated", {"investorAddress": INVESTOR, "validUntil": until})
    ]
    assert (view("investorCountry"), view("identity"), view("verifiedUntil")) == (702, INVESTOR, until)
    contracts.node.pass_time(101)
    assert not view("isVerified")


def test_many_are_registered_whole_or_not_at_all(contracts, registry, refused):
    others = [keccak256(bytes([i]))[12:] for i in range(3)]
    registry("batchRegisterIdentity", others, others, [344] * 3)
    with refused("AlreadyRegistered", investor=others[0]):
        registry("batchRegisterIdentity", [INVESTOR, others[0]], [IDENTITY] * 2, [1, 1])
    with refused("LengthsDiffer"):
        registry("batchRegisterIdentity", [INVESTOR], [IDENTITY], [])
    assert not contracts.read(contracts.tranche.registry, "contains", INVESTOR)


def test_nobody_is_registered_without_an_address(registry, refused):
    for user, identity in ((bytes(20), IDENTITY), (INVESTOR, bytes(20))):
        with refused("NoAddress"):
            registry("registerIdentity", user, identity, 344)
    registry("registerIdentity", INVESTOR, IDENTITY, 344)
    with refused("NoAddress"):
        registry("updateIdentity", INVESTOR, bytes(20))


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("registerIdentity", (INVESTOR, IDENTITY, 1)),
        ("batchRegisterIdentity", ([], [], [])),
        ("deleteIdentity", (INVESTOR,)),
        ("updateCountry", (INVESTOR, 1)),
        ("updateIdentity", (INVESTOR, IDENTITY)),
        ("setValidity", (INVESTOR, 1)),
    ],
)
def test_only_agents_keep_the_registry(contracts, refused, function, arguments):
    owner = contracts.keys.administrator
    with refused("NotAnAgent", caller=address_of(owner)):
        contracts.act(owner, contracts.tranche.registry, function, *arguments)


def test_a_registry_serves_one_token(contracts, registry, refused):
    admin, tranche = contracts.keys.administrator, contracts.tranche
    with refused("TokenAlreadyBound", token=tranche.token):
        contracts.act(admin, tranche.registry, "bindToken", INVESTOR)
    with refused("OwnableUnauthorizedAccount"):
        registry("bindToken", INVESTOR)
