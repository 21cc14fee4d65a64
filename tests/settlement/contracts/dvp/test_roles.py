"""Who may pause, list and grant, and what the constructor refuses."""

from __future__ import annotations

import pytest

from engine.signed_order import address_of, keccak256
from settlement.contract_abi import ContractName, contract_abi
from settlement.deployment import ENGINE_ROLE, SETTLEMENT_WINDOW_S, UNBIND_DELAY_S

STRANGER = keccak256(b"stranger")


def test_a_pause_stops_settlement_and_not_the_vault(contracts, seller, buyer, fill, refused):
    admin, dvp, vault, cash = (
        contracts.keys.administrator,
        contracts.venue.dvp,
        contracts.venue.vault,
        contracts.venue.cash,
    )
    contracts.act(admin, dvp, "pause")
    with refused("EnforcedPause"):
        contracts.settle([fill], buyer, seller)
    contracts.act(buyer, vault, "registerPayoutAddress", address_of(buyer), True)
    contracts.act(buyer, vault, "requestWithdrawal", cash, 100, address_of(buyer))
    contracts.node.pass_time(UNBIND_DELAY_S + 1)
    contracts.act(buyer, vault, "executeWithdrawal", cash)
    contracts.act(admin, dvp, "unpause")
    contracts.settle([contracts.fill(1, fill.buy, fill.sell)], buyer, seller)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("pause", ()),
        ("unpause", ()),
        ("listTranche", (b"\x01" * 20, 1)),
        ("grantRole", (ENGINE_ROLE, address_of(STRANGER))),
    ],
)
def test_a_stranger_has_no_role(contracts, refused, function, arguments):
    with refused("AccessControlUnauthorizedAccount", account=address_of(STRANGER)):
        contracts.act(STRANGER, contracts.venue.dvp, function, *arguments)


def test_a_retired_engine_key_attests_nothing_more(contracts, seller, buyer, fill, refused):
    contracts.act(
        contracts.keys.administrator, contracts.venue.dvp, "revokeRole", ENGINE_ROLE, contracts.keys.attestor
    )
    with refused("AttestationRefused", signer=contracts.keys.attestor):
        contracts.settle([fill], buyer, seller)


@pytest.mark.parametrize("unbind_delay_s", [SETTLEMENT_WINDOW_S, SETTLEMENT_WINDOW_S + 60])
def test_a_delay_that_does_not_outlast_the_window_is_refused(contracts, refused, unbind_delay_s):
    creation = contract_abi(ContractName.DVP).creation(
        address_of(STRANGER), SETTLEMENT_WINDOW_S, unbind_delay_s
    )
    with refused("DelayTooShort"):
        contracts.send(STRANGER, None, creation)


def test_listing_a_tranche_says_so(contracts):
    outcome = contracts.act(contracts.keys.administrator, contracts.venue.dvp, "listTranche", b"\x01" * 20, 1)
    assert [dict(event.arguments) for event in outcome.named("TrancheListed")] == [
        {"trancheToken": b"\x01" * 20, "mode": 1}
    ]
