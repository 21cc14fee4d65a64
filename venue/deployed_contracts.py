"""Which contracts are the venue's: from the configuration, or deployed once and remembered in a file."""

from __future__ import annotations

import json
from pathlib import Path

from engine.signed_order import address_of
from settlement.chain_rpc import ChainRpc
from settlement.deployment import (
    Deployment,
    DeploymentConfig,
    DeploymentError,
    DeploymentKeys,
    check_deployment,
    deploy,
)
from settlement.errors import SettlementError
from venue.configuration import Configuration, ContractsSection
from venue.data_directory import write_whole
from venue.dev_keys import key_of
from venue.problems import ProblemNumber, VenueError


def deployment_of(configuration: Configuration) -> Deployment:
    """Return the configured contracts. Raises VenueError 901 when the configuration names none."""
    contracts = configuration.contracts
    if not (contracts.dvp and contracts.vault and contracts.cash):
        raise VenueError(
            ProblemNumber.CONFIGURATION_INVALID,
            "contracts.dvp, contracts.vault and contracts.cash are not all set",
            "`abst deploy` puts the contracts on the configured chain and prints what to set.",
        )
    dvp, vault, cash = (
        bytes.fromhex(address[2:]) for address in (contracts.dvp, contracts.vault, contracts.cash)
    )
    return Deployment(configuration.chain.chain_id, dvp, vault, cash, contracts.block)


def keys_of(configuration: Configuration) -> DeploymentKeys:
    """Return what deploying needs of the configured keys: two private ones, two addresses."""
    return DeploymentKeys(
        administrator=key_of(configuration, "administrator"),
        issuer=key_of(configuration, "issuer"),
        operator=address_of(key_of(configuration, "operator")),
        attestor=address_of(key_of(configuration, "attestor")),
    )


def section_of(deployment: Deployment) -> ContractsSection:
    """Return contracts as the configuration names them."""
    return ContractsSection(
        dvp=f"0x{deployment.dvp.hex()}",
        vault=f"0x{deployment.vault.hex()}",
        cash=f"0x{deployment.cash.hex()}",
        block=deployment.block,
    )


async def deploy_contracts(configuration: Configuration) -> ContractsSection:
    """Put the contracts on the configured chain, to settle in the configured cash token, else in TESTCASH.

    Raises VenueError 915 when the chain refuses, as it refuses TESTCASH off development chains.
    """
    chain_id, cash = configuration.chain.chain_id, configuration.contracts.cash
    config = DeploymentConfig(cash_token=bytes.fromhex(cash[2:]) if cash else None)
    try:
        async with ChainRpc(configuration.chain.rpc_url, chain_id) as chain:
            return section_of(await deploy(chain, chain_id, keys_of(configuration), config))
    except (SettlementError, OSError, TimeoutError) as error:
        raise VenueError(ProblemNumber.CHAIN_REFUSED, f"the contracts were not deployed: {error}") from error


async def check_contracts(configuration: Configuration) -> None:
    """Raise VenueError 907 unless the configured contracts are on the configured chain."""
    try:
        async with ChainRpc(configuration.chain.rpc_url, configuration.chain.chain_id) as chain:
            await check_deployment(chain, deployment_of(configuration))
    except DeploymentError as error:
        raise VenueError(
            ProblemNumber.DATA_OF_ANOTHER_VERSION,
            f"the chain at {configuration.chain.rpc_url} has not the contracts of this venue: {error}",
            "Point it to the chain it was made with, or begin with an empty data directory.",
        ) from error


async def deploy_once(configuration: Configuration, file: Path) -> None:
    """Deploy unless the configuration or ``file`` names contracts; then check those. ``file`` names them
    afterwards.
    """
    contracts = configuration.contracts if configuration.contracts.dvp else read_contracts(file)
    if contracts.dvp:
        await check_contracts(configuration.model_copy(update={"contracts": contracts}))
    else:
        contracts = await deploy_contracts(configuration)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, contracts.model_dump_json(indent=2) + "\n")


def read_contracts(file: Path) -> ContractsSection:
    """Read what :func:`deploy_once` wrote; names no contract where it has not run."""
    if not file.exists():
        return ContractsSection()
    return ContractsSection.model_validate(json.loads(file.read_text()))
