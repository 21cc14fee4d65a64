"""CountryCompliance: receivers of blocked countries are refused."""

from __future__ import annotations

from engine.signed_order import address_of, keccak256

STRANGER = keccak256(b"stranger")


def test_a_country_is_blocked_and_admitted_again(contracts):
    admin, rules = contracts.keys.administrator, contracts.tranche.compliance
    investor = address_of(contracts.investor("investor", country=156))
    asked = ("canTransfer", bytes(20), investor, 1)
    assert contracts.read(rules, *asked)
    outcome = contracts.act(admin, rules, "setCountryBlocked", 156, True)
    assert [dict(event.arguments) for event in outcome.named("CountryBlocked")] == [
        {"country": 156, "blocked": True}
    ]
    assert not contracts.read(rules, *asked)
    contracts.act(admin, rules, "setCountryBlocked", 156, False)
    assert contracts.read(rules, *asked)


def test_only_the_owner_blocks(contracts, refused):
    with refused("OwnableUnauthorizedAccount", account=address_of(STRANGER)):
        contracts.act(STRANGER, contracts.tranche.compliance, "setCountryBlocked", 1, True)


def test_rules_serve_one_token_and_hear_only_it(contracts, refused):
    rules, token = contracts.tranche.compliance, contracts.tranche.token
    assert contracts.read(rules, "isTokenBound", token)
    with refused("TokenAlreadyBound", token=token):
        contracts.act(STRANGER, rules, "bindToken", address_of(STRANGER))
    with refused("NotTheToken", caller=address_of(STRANGER)):
        contracts.act(STRANGER, rules, "bindToken", token)
    with refused("NotTheToken", caller=address_of(STRANGER)):
        contracts.act(STRANGER, rules, "unbindToken", token)
    with refused("NotTheToken", caller=address_of(STRANGER)):
        contracts.act(STRANGER, rules, "unbindToken", address_of(STRANGER))
    for call in (
        ("transferred", token, token, 1),
        ("created", token, 1),
        ("destroyed", token, 1),
    ):
        with refused("NotTheToken", caller=address_of(STRANGER)):
            contracts.act(STRANGER, rules, *call)
