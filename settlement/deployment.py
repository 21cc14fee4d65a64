"""Put the contracts on a chain: the venue's (cash, vault, DvP) once, then three for each tranche.

Everything is sent at once, to addresses known beforehand, and waited for once, so that a chain with a block a
second is ready after two blocks. Who may do what afterwards:

- administrator: owns every contract, grants roles, lists tranches and cash tokens, mints TESTCASH
- issuer: agent of registry and token; registers investors, mints, freezes, sets terms
- operator: submits batches, holds nothing
- attestor: the engine's key, signs batches and never sends a transaction
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from engine.money import Terms
from engine.signed_order import Domain, address_of, keccak256
from settlement.chain import Call, Chain
from settlement.chain_writer import ChainWriter, created_address
from settlement.contract_abi import ContractName, contract_abi
from settlement.errors import ChainRefusedError, SettlementError

SETTLEMENT_WINDOW_S: Final = 24 * 3600
UNBIND_DELAY_S: Final = 48 * 3600
MODE_LOCKED: Final = 1

SUBMITTER_ROLE: Final = keccak256(b"SUBMITTER_ROLE")
ENGINE_ROLE: Final = keccak256(b"ENGINE_ROLE")
PAUSER_ROLE: Final = keccak256(b"PAUSER_ROLE")
LISTING_ROLE: Final = keccak256(b"LISTING_ROLE")


class DeploymentError(SettlementError):
    """What is on the chain is not the deployment that was asked for; the message says which part."""


@dataclass(frozen=True, slots=True)
class DeploymentKeys:
    """Private keys (32 bytes) of administrator and issuer; addresses (20 bytes) of operator and attestor."""

    administrator: bytes
    issuer: bytes
    operator: bytes
    attestor: bytes

    def __post_init__(self) -> None:
        """Refuse, with ValueError, one key for both of what DESIGN D8 keeps apart."""
        if self.operator == self.attestor:
            raise ValueError("operator and attestor must be different keys")


@dataclass(frozen=True, slots=True)
class DeploymentConfig:
    """``cash_token``: an existing ERC-20 to settle in; None deploys TESTCASH. Times in seconds, D above W."""

    cash_token: bytes | None = None
    settlement_window_s: int = SETTLEMENT_WINDOW_S
    unbind_delay_s: int = UNBIND_DELAY_S


@dataclass(frozen=True, slots=True)
class Deployment:
    """The venue's contracts (20-byte addresses) and the block they are complete in."""

    chain_id: int
    dvp: bytes
    vault: bytes
    cash: bytes
    block: int

    @property
    def domain(self) -> Domain:
        """The EIP-712 domain that orders and attestations are signed in."""
        return Domain(self.chain_id, self.dvp)


@dataclass(frozen=True, slots=True)
class TrancheSpec:
    """A tranche token to deploy, with its first terms."""

    name: str
    symbol: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class TrancheDeployment:
    """The contracts of one tranche (20-byte addresses) and the block they are complete in."""

    registry: bytes
    compliance: bytes
    token: bytes
    block: int


async def deploy(
    chain: Chain, chain_id: int, keys: DeploymentKeys, config: DeploymentConfig | None = None
) -> Deployment:
    """Deploy cash (unless given), DvP and its vault, and hand out the roles.

    Raises TransactionFailedError when one is refused, for instance TESTCASH off a development chain.
    """
    config = config or DeploymentConfig()
    writer = ChainWriter(chain, chain_id)
    admin, dvp_abi = address_of(keys.administrator), contract_abi(ContractName.DVP)
    cash = config.cash_token
    if cash is None:
        creation = contract_abi(ContractName.TEST_CASH).creation(admin)
        cash = await writer.create(keys.administrator, creation, label="TESTCASH")
    creation = dvp_abi.creation(admin, config.settlement_window_s, config.unbind_delay_s)
    dvp = await writer.create(keys.administrator, creation, label="DvP")
    vault = created_address(dvp, 1)
    for role, holder in (
        (SUBMITTER_ROLE, keys.operator),
        (ENGINE_ROLE, keys.attestor),
        (PAUSER_ROLE, admin),
        (LISTING_ROLE, admin),
    ):
        data = dvp_abi.call("grantRole", role, holder)
        await writer.call(keys.administrator, dvp, data, label="DvP.grantRole")
    data = contract_abi(ContractName.VAULT).call("setCashTokenAllowed", cash, True)
    await writer.call(keys.administrator, vault, data, label="Vault.setCashTokenAllowed")
    receipts = await writer.wait()
    return Deployment(chain_id, dvp, vault, cash, max(receipt.block_number for receipt in receipts))


async def check_deployment(chain: Chain, deployment: Deployment) -> None:
    """Raise DeploymentError unless the DvP contract with this vault, taking this cash, is on the chain."""
    dvp, vault = contract_abi(ContractName.DVP), contract_abi(ContractName.VAULT)
    try:
        found, allowed = await chain.calls(
            [
                Call(to=deployment.dvp, data=dvp.call("vault")),
                Call(to=deployment.vault, data=vault.call("isAllowed", deployment.cash)),
            ]
        )
    except ChainRefusedError as error:
        raise DeploymentError(f"the DvP contract or its vault does not answer: {error.message}") from error
    if len(found) != 32 or found[12:] != deployment.vault:
        raise DeploymentError(f"there is no DvP contract at 0x{deployment.dvp.hex()} with the vault expected")
    if int.from_bytes(allowed, "big") != 1:
        raise DeploymentError(f"the vault does not take the cash token 0x{deployment.cash.hex()}")


async def deploy_tranche(
    chain: Chain,
    deployment: Deployment,
    keys: DeploymentKeys,
    spec: TrancheSpec,
    *,
    unbind_delay_s: int = UNBIND_DELAY_S,
) -> TrancheDeployment:
    """Deploy registry, compliance and token of a tranche, list it with the DvP contract, set its first terms.

    The issuer becomes agent of registry and token, and the token agent of the registry (for recoveries).
    Raises TransactionFailedError.
    """
    writer = ChainWriter(chain, deployment.chain_id)
    admin = keys.administrator
    owner = address_of(admin)
    registry = await writer.create(admin, _creation(ContractName.IDENTITY_REGISTRY, owner), label="registry")
    creation = _creation(ContractName.COUNTRY_COMPLIANCE, owner, registry)
    compliance = await writer.create(admin, creation, label="compliance")
    creation = _creation(
        ContractName.TRANCHE_TOKEN,
        owner,
        spec.name,
        spec.symbol,
        registry,
        compliance,
        deployment.dvp,
        unbind_delay_s,
    )
    token = await writer.create(admin, creation, label="token")
    for to, contract, function, *arguments in (
        (registry, ContractName.IDENTITY_REGISTRY, "bindToken", token),
        (registry, ContractName.IDENTITY_REGISTRY, "addAgent", address_of(keys.issuer)),
        (registry, ContractName.IDENTITY_REGISTRY, "addAgent", token),
        (token, ContractName.TRANCHE_TOKEN, "addAgent", address_of(keys.issuer)),
        (deployment.dvp, ContractName.DVP, "listTranche", token, MODE_LOCKED),
    ):
        await writer.call(admin, to, contract_abi(contract).call(function, *arguments), label=function)
    await writer.wait()
    block = await set_terms(chain, deployment.chain_id, keys.issuer, token, spec.terms)
    return TrancheDeployment(registry, compliance, token, block)


async def set_terms(chain: Chain, chain_id: int, issuer: bytes, token: bytes, terms: Terms) -> int:
    """Set numbered terms on a tranche token, for ever; returns the block. Raises TransactionFailedError."""
    writer = ChainWriter(chain, chain_id)
    data = contract_abi(ContractName.TRANCHE_TOKEN).call(
        "setTerms",
        terms.terms_id,
        terms.tick_value_e9,
        terms.factor_e9,
        terms.accrued_e9_per_lot,
        terms.value_date,
    )
    await writer.call(issuer, token, data, label="setTerms")
    return (await writer.wait())[0].block_number


def _creation(contract: ContractName, *arguments: Any) -> bytes:
    return contract_abi(contract).creation(*arguments)
