"""DvP.registerSigningKey and revokeSigningKey: keys that sign for an account."""

from __future__ import annotations

import pytest

from engine.signed_order import address_of, keccak256
from settlement.deployment import UNBIND_DELAY_S

DESK = keccak256(b"desk")


@pytest.fixture
def act(contracts, buyer):
    """The buyer calls the DvP contract."""
    return lambda function, *arguments: contracts.act(buyer, contracts.venue.dvp, function, *arguments)


@pytest.fixture
def settle_signed_by_desk(contracts, seller, buyer):
    """Settles a fill whose buy is signed by the desk's key."""

    def settle(fill):
        return contracts.settle_signed([fill], {address_of(buyer): DESK, address_of(seller): seller})

    return settle


def test_a_registered_key_signs_for_its_account(contracts, buyer, fill, act, settle_signed_by_desk):
    until = contracts.node.now + 1_000
    outcome = act("registerSigningKey", address_of(DESK), until)
    assert [dict(event.arguments) for event in outcome.named("SigningKeyRegistered")] == [
        {"account": address_of(buyer), "key": address_of(DESK), "validUntil": until}
    ]
    settle_signed_by_desk(fill)
    assert contracts.lots_of(buyer) == fill.lots


def test_a_key_signs_for_no_other_account(contracts, seller, buyer, fill, refused, settle_signed_by_desk):
    contracts.act(
        seller, contracts.venue.dvp, "registerSigningKey", address_of(DESK), contracts.node.now + 1_000
    )
    with refused("BadSignature", account=address_of(buyer), signer=address_of(DESK)):
        settle_signed_by_desk(fill)


def test_a_key_that_ended_before_the_match_is_refused(contracts, fill, act, refused, settle_signed_by_desk):
    until = contracts.node.now + 100
    act("registerSigningKey", address_of(DESK), until)
    contracts.node.pass_time(200)
    late = contracts.fill(1, fill.buy, fill.sell)
    with refused("OrderNotValid", validUntil=until):
        settle_signed_by_desk(late)


def test_a_revocation_binds_after_the_delay_and_says_when(
    contracts, buyer, fill, act, refused, settle_signed_by_desk
):
    act("registerSigningKey", address_of(DESK), contracts.node.now + 10**7)
    outcome = act("revokeSigningKey", address_of(DESK))
    revoked_from = contracts.node.now + UNBIND_DELAY_S
    assert [dict(event.arguments) for event in outcome.named("SigningKeyRevoked")] == [
        {"account": address_of(buyer), "key": address_of(DESK), "revokedFrom": revoked_from}
    ]
    contracts.node.pass_time(UNBIND_DELAY_S + 1)
    with refused("OrderNotValid", validUntil=revoked_from - 1):
        settle_signed_by_desk(contracts.fill(1, fill.buy, fill.sell))


def test_a_revoked_key_never_comes_back(contracts, act, refused):
    act("registerSigningKey", address_of(DESK), contracts.node.now + 1_000)
    act("revokeSigningKey", address_of(DESK))
    with refused("KeyAlreadyRevoked"):
        act("registerSigningKey", address_of(DESK), contracts.node.now + 10**6)
    with refused("KeyAlreadyRevoked"):
        act("revokeSigningKey", address_of(DESK))


def test_a_validity_is_prolonged_but_never_shortened(contracts, act, refused):
    until = contracts.node.now + 10_000
    act("registerSigningKey", address_of(DESK), until)
    with refused("ValidityCannotShrink", validUntil=until):
        act("registerSigningKey", address_of(DESK), until - 1)
    act("registerSigningKey", address_of(DESK), until + 1)


def test_keys_that_make_no_sense_are_refused(contracts, buyer, act, refused):
    for key, until in (
        (bytes(20), contracts.node.now + 1_000),
        (address_of(buyer), contracts.node.now + 1_000),
        (address_of(DESK), contracts.node.now),
    ):
        with refused("BadSigningKey", key=key):
            act("registerSigningKey", key, until)
    with refused("KeyNotRegistered", key=address_of(DESK)):
        act("revokeSigningKey", address_of(DESK))
