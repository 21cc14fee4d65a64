"""The process dies between any two steps: nothing settles twice, nothing is lost.

A crash is raised before and after the n-th call to the chain or commit of a transaction, for every n until a
whole run has none; then a fresh runner goes on from what is in the tables and on the chain.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.signed_order import address_of
from ext.records import Kind


class Crash(BaseException):
    """The process is killed here."""


class Fuse:
    """Counts points and crashes at one of them."""

    def __init__(self, at: int) -> None:
        self.at, self.passed = at, 0

    def point(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            raise Crash


class FusedChain:
    """A chain with a point before and after every call."""

    def __init__(self, chain: Any, fuse: Fuse) -> None:
        self._chain, self._fuse = chain, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._chain, name)

        async def call(*arguments: Any) -> Any:
            self._fuse.point()
            result = await found(*arguments)
            self._fuse.point()
            return result

        return call


class FusedDatabase:
    """A database with a point before every commit, which the crash undoes, and after it."""

    def __init__(self, database: Any, fuse: Fuse) -> None:
        self._database, self._fuse = database, fuse

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self._database.transaction() as connection:
            yield connection
            self._fuse.point()
        self._fuse.point()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        async with self._database.connection() as connection:
            yield connection


async def run_until_decided_or_crash(market: Any, fuse: Fuse) -> None:
    """One life of the process."""
    chain, database = FusedChain(market.chain, fuse), FusedDatabase(market.database, fuse)
    await market.settle_all(market.runner(chain=chain, database=database, finality=market.shallow))


async def check_settled_once(market: Any, fills: list[int], lots_before: int) -> None:
    """Every fill is final, was final once, and moved once on chain; the engine was told once."""
    assert {number: (await market.statuses())[number] for number in fills} == dict.fromkeys(fills, "final")
    for fill in fills:
        assert (await market.steps_of(fill)).count("final") == 1
    told = [each.fill_number for each in await market.commands("settlement")]
    assert [told.count(fill) for fill in fills] == [1] * len(fills)
    assert market.contracts.lots_of(market.traders["b1"]) == lots_before + 2 * len(fills[::2])
    hashes = await market.rows("select count(*) from settlement.chain_transaction group by nonce")
    assert {row["count"] for row in hashes} == {1}


async def test_a_crash_at_any_point_settles_every_fill_once(market: Any) -> None:
    at, crashes = 1, 0
    while True:
        lots_before = market.contracts.lots_of(market.traders["b1"])
        fills = await market.matched(2)
        fuse = Fuse(at)
        try:
            await run_until_decided_or_crash(market, fuse)
        except Crash:
            crashes += 1
            await run_until_decided_or_crash(market, Fuse(0))
        await check_settled_once(market, fills, lots_before)
        if fuse.passed < at:
            break
        at += 1
    assert crashes > 20


async def test_a_process_that_crashes_over_and_over_still_settles_every_fill_once(market: Any) -> None:
    fills = await market.matched(6)
    for at in range(1, 400):
        try:
            await run_until_decided_or_crash(market, Fuse(at % 40 + 1))
            break
        except Crash:
            continue
    else:
        pytest.fail("never settled")
    await check_settled_once(market, fills, 0)


async def test_a_crash_at_any_point_of_isolating_a_fill_fails_it_once_and_settles_the_rest(
    market: Any,
) -> None:
    frozen = await market.investor("frozen", cash=100_000_000)
    contracts = market.contracts
    contracts.act(
        contracts.keys.issuer, contracts.tranche.token, "setAddressFrozen", address_of(frozen), True
    )
    at = 1
    while True:
        poisoned = await market.match(market.buy(frozen), market.sell(market.traders["s1"]), lots=2)
        good = await market.matched(1)
        fuse = Fuse(at)
        try:
            await run_until_decided_or_crash(market, fuse)
        except Crash:
            await run_until_decided_or_crash(market, Fuse(0))
        statuses = await market.statuses()
        assert {poisoned: statuses[poisoned], good[0]: statuses[good[0]]} == {
            poisoned: "failed",
            good[0]: "final",
        }
        if fuse.passed < at:
            break
        at += 3
    told = [(Kind(each.header.kind), each.fill_number) for each in await market.commands("settlement")]
    assert len(told) == len(set(told)) == len(statuses)


async def test_a_watcher_that_crashes_at_any_point_credits_every_deposit_once(market: Any) -> None:
    deposited, at = 100_000_000, 1
    key = market.traders["b1"]
    while True:
        market.contracts.deposit(key, at)
        market.contracts.act(key, market.contracts.tranche.token, "setReceiveLocked", True)
        deposited += at
        market.mine(2)
        fuse = Fuse(at)
        try:
            await market.watcher(
                chain=FusedChain(market.chain, fuse), database=FusedDatabase(market.database, fuse)
            ).round()
        except Crash:
            await market.watcher().round()
        rows = await market.rows(
            "select deposited_minor from engine.cash where account = $1", market.account_of_name("b1")
        )
        assert rows[0]["deposited_minor"] == deposited
        if fuse.passed < at:
            break
        at += 1
    assert at > 8
