"""What a run needs before its first order: accounts, a broker, listed tranches, whitelisted and funded
investors.

Every step is the act of whoever would do it: the administrator's through the gateway, the issuer's and the
investors' on the chain. What is done is written down, and everything can be repeated, so that an
interrupted preparation goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from engine.admission import AdmissionDocument
from engine.money import E18, Terms
from engine.signed_order import address_of
from ext.records import Side
from gateway.client import VenueClient
from settlement.chain import Chain
from settlement.deployment import Deployment, DeploymentKeys, TrancheDeployment
from venue.funding import Funding, Target
from venue.investors import BROKER_LOGIN, Investor, broker_key, investors
from venue.problems import ProblemNumber, VenueError
from venue.replay.flow import INVESTORS, Flow
from venue.replay.plan import Holding
from venue.replay.progress import Progress
from venue.tranche_listing import put_on_chain

_POLL_SECONDS = 0.2
_CREDIT_SECONDS_MAX = 90.0
_NOTHING = {"free": "0"}


class Preparation:
    """The preparation of one run; ``told`` hears of each step."""

    def __init__(
        self,
        flow: Flow,
        progress: Progress,
        administrator: VenueClient,
        chain: Chain,
        keys: DeploymentKeys,
        told: Callable[[str], None] = lambda step: None,
    ) -> None:
        hello = administrator.hello
        self.investors: list[Investor] = investors(INVESTORS)
        self.accounts: list[int] = []
        self._flow = flow
        self._progress = progress
        self._administrator = administrator
        self._chain = chain
        self._keys = keys
        self._told = told
        self._deployment = Deployment(hello.chain_id, hello.dvp, hello.vault, hello.cash, 0)
        self._funding = Funding(chain, self._deployment, keys)

    async def admit(self) -> None:
        """Open the accounts, admit the broker, bring the tranches to chain and venue."""
        self._told("opening accounts")
        admin = self._administrator.admin
        self.accounts = [await admin.open_account(investor.address) for investor in self.investors]
        await admin.set_participant(BROKER_LOGIN, address_of(broker_key()), self.accounts)
        for market in self._flow.markets:
            self._told(f"listing {market.symbol}")
            tranches = self._progress.record.tranches
            if market.symbol not in tranches:
                contracts, document = await put_on_chain(
                    self._chain, self._deployment, self._keys, market.symbol, market.quotation
                )
                tranches[market.symbol] = _written(contracts, document)
                self._progress.save()
            await admin.list_tranche(tranches[market.symbol]["document"])

    async def fund(self, broker: VenueClient) -> None:
        """Whitelist and fund the investors on the chain, and wait until the engine has credited all of it.

        Raises VenueError 916 when that does not come.
        """
        record = self._progress.record
        if record.funded:
            return
        if not record.vault_before_minor:
            record.vault_before_minor = await self._funding.vault_entries(self.investors)
            record.free_before_minor = [await _free_cash(broker, account) for account in self.accounts]
            self._progress.save()
        shards = len((await self._administrator.admin.status())["shards"])
        cash = self._cash_needed(shards)
        for market in self._flow.markets:
            self._told(f"whitelisting and funding {len(self.investors)} investors for {market.symbol}")
            tranche = _read(record.tranches[market.symbol])
            await self._funding.whitelist(tranche, self.investors)
            await self._funding.fund(tranche, self._targets(market.plan.holdings, cash))
        self._told("waiting for the credits to be final")
        await self._credited(broker, cash)
        record.funded = True
        self._progress.save()

    def _cash_needed(self, shards: int) -> list[int]:
        """Each investor's deposit: what his buys need at most, in every shard, because a deposit is spread
        evenly.
        """
        needed = [0] * len(self.investors)
        for market in self._flow.markets:
            document = self._progress.record.tranches[market.symbol]["document"]
            terms = AdmissionDocument.model_validate(document).first_terms()
            for index, holding in enumerate(market.plan.holdings):
                needed[index] += shards * _worst_cost_minor(holding, terms)
        return needed

    def _targets(self, holdings: list[Holding], cash: list[int]) -> list[Target]:
        before = self._progress.record.vault_before_minor
        return [
            Target(investor, entry + amount, holding.lots if holding.side is Side.SELL else 0)
            for investor, entry, amount, holding in zip(self.investors, before, cash, holdings, strict=True)
        ]

    async def _credited(self, broker: VenueClient, cash: list[int]) -> None:
        try:
            async with asyncio.timeout(_CREDIT_SECONDS_MAX):
                for index in range(len(self.accounts)):
                    while not await self._is_credited(broker, index, cash[index]):  # noqa: ASYNC110
                        await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise VenueError(
                ProblemNumber.WAITED_TOO_LONG,
                f"cash and tokens were not credited within {_CREDIT_SECONDS_MAX:g} s of being final",
                "The settlement process watches the chain: see its log.",
            ) from None

    async def _is_credited(self, broker: VenueClient, index: int, amount: int) -> bool:
        """Say whether the deposit is free in the shards, and so are the tokens."""
        account, before = self.accounts[index], self._progress.record.free_before_minor[index]
        if await _free_cash(broker, account) < before + amount:
            return False
        tokens = (await broker.balances(account))["tokens"]
        return all(
            holding.side is Side.BUY or int(tokens.get(market.symbol, _NOTHING)["free"]) >= holding.lots
            for market in self._flow.markets
            for holding in [market.plan.holdings[index]]
        )


async def _free_cash(broker: VenueClient, account: int) -> int:
    return int((await broker.balances(account))["cash"]["free"])


def _worst_cost_minor(holding: Holding, terms: Terms) -> int:
    """Most cash that a buyer's orders can earmark, each lot's cost rounded up; 0 for a seller."""
    if holding.side is not Side.BUY:
        return 0
    clean_e18 = holding.tick_lots * terms.tick_value_e9 * terms.factor_e9
    accrued_e18 = holding.lots * terms.accrued_e9_per_lot * 10**9
    return -(-(clean_e18 + accrued_e18) // E18) + holding.lots


def _written(contracts: TrancheDeployment, document: dict[str, Any]) -> dict[str, Any]:
    addresses = {name: getattr(contracts, name).hex() for name in ("registry", "compliance", "token")}
    return {**addresses, "block": contracts.block, "document": document}


def _read(written: dict[str, Any]) -> TrancheDeployment:
    registry, compliance, token = (
        bytes.fromhex(written[name]) for name in ("registry", "compliance", "token")
    )
    return TrancheDeployment(registry, compliance, token, written["block"])
