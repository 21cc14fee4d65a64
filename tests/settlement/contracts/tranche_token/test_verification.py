"""The remembered verification: renewed by itself, forgotten at once when the registry changes its mind."""

from __future__ import annotations

import pytest

from engine.signed_order import address_of

DAY_S = 24 * 3600


@pytest.fixture
def registry(contracts):
    """The issuer acts on the registry."""
    return lambda function, *arguments: contracts.act(
        contracts.keys.issuer, contracts.tranche.registry, function, *arguments
    )


def test_a_verification_that_ran_out_is_renewed_in_passing(contracts, other, hold):
    hold("transfer", address_of(other), 1)
    contracts.node.pass_time(2 * DAY_S)
    hold("transfer", address_of(other), 1)


@pytest.mark.parametrize("act", ["deleteIdentity", "setValidity"])
def test_what_the_registry_takes_back_is_gone_at_once(contracts, other, hold, registry, refused, act):
    hold("transfer", address_of(other), 1)
    registry(act, address_of(other), *([contracts.node.now - 1] if act == "setValidity" else []))
    with refused("HolderNotVerified", account=address_of(other)):
        hold("transfer", address_of(other), 1)


def test_evidence_that_expires_is_not_outlived_by_what_is_remembered(
    contracts, other, hold, registry, refused
):
    registry("setValidity", address_of(other), contracts.node.now + 3600)
    hold("transfer", address_of(other), 1)
    contracts.node.pass_time(3601)
    with refused("HolderNotVerified", account=address_of(other)):
        hold("transfer", address_of(other), 1)


def test_raising_the_epoch_asks_about_everybody_again(contracts, other, hold, issuer):
    hold("transfer", address_of(other), 1)
    outcome = issuer("raiseVerificationEpoch")
    assert dict(outcome.named("VerificationEpochRaised")[0].arguments) == {"epoch": 2}
    hold("transfer", address_of(other), 1)


def test_anyone_may_refresh_whoever_is_verified(contracts, holder, other, refused):
    contracts.act(holder, contracts.tranche.token, "refreshVerification", address_of(other))
    with refused("HolderNotVerified", account=b"\x09" * 20):
        contracts.act(holder, contracts.tranche.token, "refreshVerification", b"\x09" * 20)


def test_only_the_registry_makes_it_forget(contracts, holder, hold, refused):
    with refused("NotTheRegistry", caller=address_of(holder)):
        hold("forgetVerification", address_of(holder))
