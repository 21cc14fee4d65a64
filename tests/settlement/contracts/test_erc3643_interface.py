"""The functions and events that ERC-3643 gives a token, its registry and its compliance, by signature."""

from __future__ import annotations

import pytest

from settlement.contract_abi import ContractName, contract_abi

FUNCTIONS = {
    ContractName.TRANCHE_TOKEN: """
        name() symbol() decimals() totalSupply() balanceOf(address) transfer(address,uint256)
        allowance(address,address) approve(address,uint256) transferFrom(address,address,uint256)
        onchainID() version() identityRegistry() compliance() paused() isFrozen(address)
        getFrozenTokens(address)
        setName(string) setSymbol(string) setOnchainID(address) pause() unpause()
        setAddressFrozen(address,bool) freezePartialTokens(address,uint256)
        unfreezePartialTokens(address,uint256)
        setIdentityRegistry(address) setCompliance(address)
        forcedTransfer(address,address,uint256) mint(address,uint256) burn(address,uint256)
        recoveryAddress(address,address,address) batchTransfer(address[],uint256[])
        batchForcedTransfer(address[],address[],uint256[]) batchMint(address[],uint256[])
        batchBurn(address[],uint256[]) batchSetAddressFrozen(address[],bool[])
        batchFreezePartialTokens(address[],uint256[]) batchUnfreezePartialTokens(address[],uint256[])
        isAgent(address) addAgent(address) removeAgent(address) owner() transferOwnership(address)
    """,
    ContractName.IDENTITY_REGISTRY: """
        registerIdentity(address,address,uint16) deleteIdentity(address) updateCountry(address,uint16)
        updateIdentity(address,address) batchRegisterIdentity(address[],address[],uint16[]) contains(address)
        isVerified(address) identity(address) investorCountry(address)
        isAgent(address) addAgent(address) removeAgent(address)
    """,
    ContractName.COUNTRY_COMPLIANCE: """
        bindToken(address) unbindToken(address) isTokenBound(address) getTokenBound()
        canTransfer(address,address,uint256) transferred(address,address,uint256) created(address,uint256)
        destroyed(address,uint256)
    """,
}
EVENTS = {
    ContractName.TRANCHE_TOKEN: """
        Transfer(address,address,uint256) Approval(address,address,uint256)
        UpdatedTokenInformation(string,string,uint8,string,address) IdentityRegistryAdded(address)
        ComplianceAdded(address) RecoverySuccess(address,address,address) AddressFrozen(address,bool,address)
        TokensFrozen(address,uint256) TokensUnfrozen(address,uint256) Paused(address) Unpaused(address)
        AgentAdded(address) AgentRemoved(address)
    """,
    ContractName.IDENTITY_REGISTRY: """
        IdentityRegistered(address,address) IdentityRemoved(address,address) IdentityUpdated(address,address)
        CountryUpdated(address,uint16)
    """,
    ContractName.COUNTRY_COMPLIANCE: "TokenBound(address) TokenUnbound(address)",
}

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.mark.parametrize("contract", FUNCTIONS)
def test_no_function_of_the_standard_is_missing(contract):
    ours = {signature.text for signature in contract_abi(contract).functions.values()}
    assert set(FUNCTIONS[contract].split()) - ours == set()


@pytest.mark.parametrize("contract", EVENTS)
def test_no_event_of_the_standard_is_missing(contract):
    ours = {signature.text for signature in contract_abi(contract).events.values()}
    assert set(EVENTS[contract].split()) - ours == set()
