"""Whitelisting and funding investors on the chain, by everybody's own acts.

The issuer enters each investor in the tranche's registry and mints tokens; the investor chooses to receive
tokens locked, approves the vault and deposits cash; the administrator mints TESTCASH, which exists on
development chains only. Every step brings an investor up to a target and does nothing where that is
reached, so that it can be repeated after an interruption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from settlement.chain import Call, Chain
from settlement.chain_writer import ChainWriter
from settlement.contract_abi import ContractAbi, ContractName, contract_abi
from settlement.deployment import Deployment, DeploymentKeys, TrancheDeployment
from venue.investors import Investor

HONG_KONG: Final = 344
"""ISO 3166-1 numeric, as ERC-3643 registries keep countries."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an investor must hold at least: cash in the vault (minor units), lots of the tranche."""

    investor: Investor
    vault_minor: int
    lots: int


class Funding:
    """The acts of funding on one chain."""

    def __init__(self, chain: Chain, deployment: Deployment, keys: DeploymentKeys) -> None:
        self._chain = chain
        self._deployment = deployment
        self._keys = keys
        self._registry = contract_abi(ContractName.IDENTITY_REGISTRY)
        self._token = contract_abi(ContractName.TRANCHE_TOKEN)
        self._vault = contract_abi(ContractName.VAULT)
        self._cash = contract_abi(ContractName.TEST_CASH)

    async def vault_entries(self, investors: Sequence[Investor]) -> list[int]:
        """Return each investor's cash in the vault, minor units."""
        cash, vault = self._deployment.cash, self._deployment.vault
        return await self._read(
            vault, self._vault, "entryOf", [(cash, investor.address) for investor in investors]
        )

    async def whitelist(self, tranche: TrancheDeployment, investors: Sequence[Investor]) -> None:
        """Enter investors in the registry, and have each choose to receive tokens locked. Raises
        TransactionFailedError.
        """
        addresses = [(investor.address,) for investor in investors]
        known = await self._read(tranche.registry, self._registry, "contains", addresses)
        locked = await self._read(tranche.token, self._token, "receivesLocked", addresses)
        writer = self._writer()
        for investor, there in zip(investors, known, strict=True):
            if not there:
                data = self._registry.call("registerIdentity", investor.address, investor.address, HONG_KONG)
                await writer.call(
                    self._keys.issuer, tranche.registry, data, label=f"register {investor.name}"
                )
        for investor, there in zip(investors, locked, strict=True):
            if not there:
                data = self._token.call("setReceiveLocked", True)
                await writer.call(investor.key, tranche.token, data, label=f"{investor.name} locks")
        await writer.wait()

    async def fund(self, tranche: TrancheDeployment, targets: Sequence[Target]) -> None:
        """Bring whitelisted investors up to their targets. Raises TransactionFailedError."""
        investors = [target.investor for target in targets]
        entries = await self.vault_entries(investors)
        missing = [max(0, target.vault_minor - entry) for target, entry in zip(targets, entries, strict=True)]
        await self._mint(tranche, targets, missing)
        await self._deposit(investors, missing)

    async def _mint(
        self, tranche: TrancheDeployment, targets: Sequence[Target], missing: Sequence[int]
    ) -> None:
        addresses = [(target.investor.address,) for target in targets]
        lots = await self._read(tranche.token, self._token, "balanceOf", addresses)
        purses = await self._read(self._deployment.cash, self._cash, "balanceOf", addresses)
        writer = self._writer()
        for target, cash, purse, held in zip(targets, missing, purses, lots, strict=True):
            to = target.investor.address
            if cash > purse:
                data = self._cash.call("mint", to, cash - purse)
                await writer.call(
                    self._keys.administrator, self._deployment.cash, data, label="mint TESTCASH"
                )
            if target.lots > held:
                data = self._token.call("mint", to, target.lots - held)
                await writer.call(self._keys.issuer, tranche.token, data, label="mint tokens")
        await writer.wait()

    async def _deposit(self, investors: Sequence[Investor], missing: Sequence[int]) -> None:
        cash, vault = self._deployment.cash, self._deployment.vault
        writer = self._writer()
        for investor, amount in zip(investors, missing, strict=True):
            if amount:
                approve, deposit = (
                    self._cash.call("approve", vault, amount),
                    self._vault.call("deposit", cash, amount),
                )
                await writer.call(investor.key, cash, approve, label=f"{investor.name} approves the vault")
                await writer.call(investor.key, vault, deposit, label=f"{investor.name} deposits")
        await writer.wait()

    def _writer(self) -> ChainWriter:
        return ChainWriter(self._chain, self._deployment.chain_id)

    async def _read(
        self, to: bytes, abi: ContractAbi, function: str, arguments: Sequence[tuple[bytes, ...]]
    ) -> list[int]:
        answers = await self._chain.calls([Call(to=to, data=abi.call(function, *each)) for each in arguments])
        return [int(abi.result(function, answer)) for answer in answers]
