"""TESTCASH exists on development chains only."""

from __future__ import annotations

import pytest

from engine.signed_order import address_of, keccak256
from settlement.contract_abi import ContractName, contract_abi

OWNER = keccak256(b"owner")


@pytest.mark.parametrize("chain_id", [1, 137, 11155111])
def test_it_cannot_be_deployed_off_a_development_chain(contracts, refused, chain_id):
    contracts.node.rpc("anvil_setChainId", chain_id)
    try:
        with refused("NotADevelopmentChain", chainId=chain_id):
            contracts.send(OWNER, None, contract_abi(ContractName.TEST_CASH).creation(address_of(OWNER)))
    finally:
        contracts.node.rpc("anvil_setChainId", contracts.node.chain_id)


def test_it_is_named_for_what_it_is_and_has_cents(contracts):
    cash = contracts.venue.cash
    assert [contracts.read(cash, each) for each in ("name", "symbol", "decimals")] == [
        "TESTCASH",
        "TESTCASH",
        2,
    ]


def test_only_its_owner_mints(contracts, refused):
    with refused("OwnableUnauthorizedAccount", account=address_of(OWNER)):
        contracts.act(OWNER, contracts.venue.cash, "mint", address_of(OWNER), 1)
