"""Nonces and fees when things go wrong: stuck transactions, nonces used by somebody else, no funds."""

from dataclasses import replace
from typing import Any

import pytest

from engine.signed_order import address_of, keccak256
from settlement.batching import BatchingPolicy
from settlement.errors import ChainUnavailableError
from settlement.fees import FeePolicy

OPERATOR = keccak256(b"key of operator")


@pytest.fixture
def priced(market: Any) -> Any:
    """The market on a chain that takes fees, with a funded operator; no block comes by itself."""
    node = market.contracts.node
    node.rpc("anvil_setBalance", "0x" + address_of(OPERATOR).hex(), hex(10**24))
    node.rpc("evm_setAutomine", False)
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    market.mine()
    yield market
    node.rpc("evm_setAutomine", True)
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(0))


async def transactions(market: Any) -> list[Any]:
    """What was signed, in order."""
    rows: list[Any] = await market.rows(
        "select nonce, attempt, state, max_fee_per_gas::text::numeric as fee, hash"
        " from settlement.chain_transaction order by nonce, attempt"
    )
    return rows


async def submitted(market: Any, runner: Any) -> None:
    """One batch signed and sent."""
    await runner.round()
    await market.attest()
    await runner.round()


async def test_a_stuck_transaction_is_replaced_at_higher_fees_and_settles_once(priced: Any) -> None:
    await priced.matched(1)
    node = priced.contracts.node
    runner = priced.runner(fees=FeePolicy(stuck_after_blocks=2, resend_after_blocks=100))
    await submitted(priced, runner)
    for _ in range(4):
        node.rpc("anvil_setNextBlockBaseFeePerGas", hex(50 * 10**9))
        priced.mine()
        await runner.round()
    for _ in range(30):
        priced.mine()
        await runner.round()

    first, *replacements = await transactions(priced)
    assert replacements
    assert all(row["nonce"] == first["nonce"] for row in replacements)
    assert float(replacements[0]["fee"]) >= 1.125 * float(first["fee"])
    assert sorted(row["state"] for row in [first, *replacements])[0] == "settled"
    assert set((await priced.statuses()).values()) == {"final"}
    assert priced.contracts.lots_of(priced.traders["b1"]) == 2


class Away:
    """A node that cannot be reached to hand in a transaction."""

    def __init__(self, chain: Any) -> None:
        self._chain = chain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    async def send_raw(self, raw: bytes) -> None:
        raise ChainUnavailableError("nobody answers")


async def test_a_first_attempt_that_the_base_fee_has_outrun_is_priced_again(priced: Any) -> None:
    fills = await priced.matched(1)
    node = priced.contracts.node
    await priced.runner().round()
    await priced.attest()
    with pytest.raises(ChainUnavailableError):
        await priced.runner(chain=Away(priced.chain)).round()
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(50 * 10**9))
    priced.mine()
    runner = priced.runner()
    for _ in range(3):
        await runner.round()
    outrun = await transactions(priced)
    await priced.settle_all(runner)

    assert [(row["nonce"], row["state"]) for row in outrun] == [(0, "signed"), (0, "sent")]
    assert [row["state"] for row in await transactions(priced)] == ["superseded", "settled"]
    assert await priced.statuses() == dict.fromkeys(fills, "final")


async def test_a_batch_whose_nonce_somebody_else_used_gets_another(market: Any) -> None:
    fills = await market.matched(1)
    runner = market.runner(finality=market.shallow)
    await runner.round()
    await market.attest()
    await market.runner(finality=market.shallow, chain=Swallowing(market.chain)).round()
    market.contracts.act(OPERATOR, market.contracts.venue.cash, "approve", b"\1" * 20, 1)
    await market.settle_all(runner)

    first, second = await transactions(market)
    assert (first["state"], second["state"]) == ("superseded", "settled")
    assert second["nonce"] == first["nonce"] + 1
    assert await market.statuses() == dict.fromkeys(fills, "final")
    assert market.contracts.lots_of(market.traders["b1"]) == 2


class Swallowing:
    """A node that takes transactions and forgets them."""

    def __init__(self, chain: Any) -> None:
        self._chain = chain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    async def send_raw(self, raw: bytes) -> None:
        """Forget."""


async def test_a_transaction_that_the_node_forgot_is_handed_in_again(market: Any) -> None:
    fills = await market.matched(2)
    await market.runner().round()
    await market.attest()
    await market.runner(chain=Swallowing(market.chain)).round()
    before = await transactions(market)
    market.mine(2)
    await market.settle_all(market.runner(fees=FeePolicy(resend_after_blocks=2)))

    assert [row["hash"] for row in await transactions(market)] == [row["hash"] for row in before]
    assert await market.statuses() == dict.fromkeys(fills, "final")


async def test_a_key_without_funds_leaves_the_batch_waiting_and_loses_nothing(priced: Any) -> None:
    fills = await priced.matched(1)
    node, address = priced.contracts.node, "0x" + address_of(OPERATOR).hex()
    node.rpc("anvil_setBalance", address, hex(0))
    runner = priced.runner()
    await submitted(priced, runner)
    poor = await priced.statuses()
    node.rpc("anvil_setBalance", address, hex(10**24))
    await priced.settle_all(runner)

    assert poor == dict.fromkeys(fills, "batched")
    assert await priced.statuses() == dict.fromkeys(fills, "final")
    assert len(await transactions(priced)) == 1


async def test_a_batch_that_reverts_on_chain_is_taken_apart_when_the_revert_is_final(market: Any) -> None:
    contracts, node = market.contracts, market.contracts.node
    frozen = await market.investor("frozen", cash=100_000_000)
    poisoned = await market.match(market.buy(frozen), market.sell(market.traders["s1"]), lots=2)
    good = await market.matched(2)
    runner = market.runner()
    await runner.round()
    await market.attest()
    node.rpc("evm_setAutomine", False)
    try:
        await runner.round()
        node.rpc("anvil_dropAllTransactions")
        node.rpc("evm_setAutomine", True)
        contracts.act(
            contracts.keys.issuer, contracts.tranche.token, "setAddressFrozen", address_of(frozen), True
        )
        raw = (await market.rows("select raw from settlement.chain_transaction"))[0]["raw"]
        await market.chain.send_raw(raw)
        await runner.round()
        before = (await market.statuses())[poisoned]
    finally:
        node.rpc("evm_setAutomine", True)
    await market.settle_all(runner)

    assert before == "submitted"
    assert await market.statuses() == {poisoned: "failed"} | dict.fromkeys(good, "final")
    assert [row["state"] for row in await transactions(market)] == ["settled", "settled"]


async def test_no_version_of_an_order_overtakes_an_older_one_whose_batch_reverts(market: Any) -> None:
    contracts, node = market.contracts, market.contracts.node
    frozen = await market.investor("frozen", cash=100_000_000)
    seller = market.sell(market.traders["s1"])
    poisoned = await market.match(market.buy(frozen), seller)
    good = [await market.match(market.buy(market.traders["b1"]), seller)]
    newer = replace(seller, version=2)
    good += [await market.match(market.buy(market.traders["b1"]), newer) for _ in range(2)]
    good += await market.matched(2)
    runner = market.runner(batching=BatchingPolicy(fills_max=2, age_max_ns=-(10**18)))
    await runner.round()
    await market.attest()
    node.rpc("evm_setAutomine", False)
    try:
        await runner.round()
        node.rpc("anvil_dropAllTransactions")
    finally:
        node.rpc("evm_setAutomine", True)
    contracts.act(
        contracts.keys.issuer, contracts.tranche.token, "setAddressFrozen", address_of(frozen), True
    )
    signed = await market.rows("select batch, raw from settlement.chain_transaction order by nonce")
    for row in signed:
        await market.chain.send_raw(row["raw"])
    await market.settle_all(runner)

    assert [row["batch"] for row in signed] == [1, 3]
    assert await market.statuses() == {poisoned: "failed"} | dict.fromkeys(good, "final")


class Lagging:
    """A node that knows how many transactions are mined, but has no receipt of them for a while."""

    def __init__(self, chain: Any) -> None:
        self._chain = chain
        self.lags = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    async def receipts(self, hashes: Any) -> Any:
        return [None] * len(hashes) if self.lags else await self._chain.receipts(hashes)


async def states(market: Any) -> list[str]:
    """States of what was signed, in order."""
    return [row["state"] for row in await transactions(market)]


async def test_a_receipt_that_is_missing_for_some_heads_makes_no_transaction_foreign(market: Any) -> None:
    fills = await market.matched(1)
    lagging = Lagging(market.chain)
    runner = market.runner(chain=lagging, finality=market.shallow)
    await submitted(market, runner)
    for _ in range(2):
        market.mine()
        await runner.round()
    lagging.lags = False
    await market.settle_all(runner)

    assert await states(market) == ["settled"]
    assert await market.statuses() == dict.fromkeys(fills, "final")


async def test_a_batch_that_settled_by_a_transaction_given_up_becomes_final(market: Any) -> None:
    fills = await market.matched(2)
    lagging = Lagging(market.chain)
    runner = market.runner(chain=lagging, finality=market.shallow)
    await submitted(market, runner)
    while await states(market) != ["superseded"]:
        market.mine()
        await runner.round()
    lagging.lags = False
    await market.settle_all(runner)

    assert await states(market) == ["settled"]
    assert await market.statuses() == dict.fromkeys(fills, "final")
    assert [command.fill_number for command in await market.commands("settlement")] == fills


class Forgetful(Lagging):
    """One that lags so far that it simulates a settled batch as if it were not."""

    async def calls(self, calls: Any, block_number: int | None = None) -> Any:
        return [b""] if self.lags else await self._chain.calls(calls, block_number)


async def test_a_batch_sent_again_though_it_had_settled_becomes_final_by_the_first(market: Any) -> None:
    fills = await market.matched(2)
    lagging = Forgetful(market.chain)
    runner = market.runner(chain=lagging, finality=market.shallow)
    await submitted(market, runner)
    while len(await transactions(market)) < 2:
        market.mine()
        await runner.round()
    lagging.lags = False
    await market.settle_all(runner)

    assert await states(market) == ["settled", "settled"]
    assert await market.statuses() == dict.fromkeys(fills, "final")
    assert len(await market.rows("select from settlement.batch")) == 1
