"""Putting the contracts on a chain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.signed_order import address_of, domain_separator, keccak256
from settlement.chain_rpc import ChainRpc
from settlement.chain_writer import ChainWriter, TransactionFailedError, created_address
from settlement.contract_abi import ContractName, contract_abi
from settlement.deployment import (
    DeploymentConfig,
    DeploymentError,
    DeploymentKeys,
    check_deployment,
    deploy,
)
from settlement.dvp_calldata import decode_refusal


@pytest.fixture
async def chain(contracts):
    """The port to the node."""
    async with ChainRpc(contracts.node.url, contracts.node.chain_id) as port:
        yield port


async def test_what_was_deployed_is_recognised(contracts, chain):
    await check_deployment(chain, contracts.venue)


async def test_python_and_the_contract_sign_in_the_same_domain(contracts):
    on_chain = contracts.read(contracts.venue.dvp, "domainSeparator")
    assert on_chain == domain_separator(contracts.venue.domain)


@pytest.mark.parametrize("field", ["dvp", "vault", "cash"])
async def test_what_is_not_there_is_said(contracts, chain, field):
    with pytest.raises(DeploymentError):
        await check_deployment(chain, replace(contracts.venue, **{field: b"\x09" * 20}))


async def test_an_existing_cash_token_is_taken_as_it_is(contracts, chain):
    keys = contracts.keys
    deployment = await deploy(chain, contracts.node.chain_id, keys, DeploymentConfig(contracts.venue.cash))
    assert deployment.cash == contracts.venue.cash
    await check_deployment(chain, deployment)


async def test_a_window_longer_than_the_delay_is_refused_by_the_contract(contracts, chain):
    config = DeploymentConfig(settlement_window_s=100, unbind_delay_s=100)
    with pytest.raises(TransactionFailedError) as caught:
        await deploy(chain, contracts.node.chain_id, contracts.keys, config)
    assert decode_refusal(caught.value.data).error == "DelayTooShort"


def test_one_key_is_not_operator_and_attestor():
    with pytest.raises(ValueError, match="different keys"):
        DeploymentKeys(bytes(32), bytes(32), b"\x01" * 20, b"\x01" * 20)


async def test_a_failed_transaction_is_named_with_its_reason(contracts, chain):
    writer = ChainWriter(chain, contracts.node.chain_id)
    stranger = keccak256(b"stranger")
    data = contract_abi(ContractName.TEST_CASH).call("mint", address_of(stranger), 1)
    await writer.call(stranger, contracts.venue.cash, data, label="mint by a stranger")
    with pytest.raises(TransactionFailedError, match="mint by a stranger") as caught:
        await writer.wait()
    assert decode_refusal(caught.value.data).error == "OwnableUnauthorizedAccount"


@pytest.mark.parametrize(
    ("nonce", "expected"),
    [
        (0, "cd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"),
        (1, "343c43a37d37dff08ae8c4a11544c718abb4fcf8"),
        (2, "f778b86fa74e846c4f0a1fbd1335fe81c00a0c91"),
    ],
)
def test_the_address_of_a_contract_is_known_before_it_exists(nonce, expected):
    """Published examples of CREATE addresses."""
    sender = bytes.fromhex("6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")
    assert created_address(sender, nonce).hex() == expected


@pytest.mark.parametrize("nonce", [0x7F, 0x80, 0xFF, 0x100, 1 << 30])
def test_nonces_of_every_length_are_encoded_as_the_chain_does(contracts, nonce):
    sender = keccak256(b"deployer of many")
    contracts.node.rpc("anvil_setNonce", "0x" + address_of(sender).hex(), hex(nonce))
    receipt = contracts.create(sender, contract_abi(ContractName.TEST_CASH), address_of(sender))
    assert contracts.read(receipt, "symbol") == "TESTCASH"
