"""Reorganisations below finality: batches step back and settle once, what the watcher told is told back."""

from typing import Any


async def settled_amounts(market: Any) -> tuple[int, int]:
    """Lots of the first buyer and cash of the first seller, on chain."""
    return market.contracts.lots_of(market.traders["b1"]), market.contracts.cash_of(market.traders["s1"])


async def included(market: Any, runner: Any) -> None:
    """Have the batches under way included in the newest block."""
    await runner.round()
    await market.attest()
    await runner.round()


async def test_a_batch_whose_block_leaves_the_chain_steps_back_and_settles_once(market: Any) -> None:
    fill = (await market.matched(1))[0]
    runner = market.runner()
    await included(market, runner)
    before = (await market.statuses())[fill]
    market.contracts.node.rpc("anvil_reorg", 1, [])
    lost = await settled_amounts(market)
    await runner.round()
    await market.settle_all(runner)

    assert before == "included"
    assert lost == (0, 0)
    steps = await market.steps_of(fill)
    assert steps[:5] == ["matched", "batched", "submitted", "included", "submitted"]
    assert steps[-1] == "final"
    assert await settled_amounts(market) == (2, market.amount_of(2, 9_900))
    assert len(await market.commands("settlement")) == 1


async def test_a_chain_that_comes_back_older_gets_the_same_bytes_again(market: Any) -> None:
    fills = await market.matched(4)
    market.mine(3)
    runner = market.runner()
    await runner.round()
    await market.attest()
    snapshot = market.contracts.node.rpc("evm_snapshot")
    await runner.round()
    raws = await market.rows("select hash from settlement.chain_transaction order by nonce")
    market.contracts.node.rpc("evm_revert", snapshot)
    await market.settle_all(runner)

    assert await market.rows("select hash from settlement.chain_transaction order by nonce") == raws
    assert await market.statuses() == dict.fromkeys(fills, "final")
    assert await settled_amounts(market) == (4, 2 * market.amount_of(2, 9_900))


async def test_a_confirmed_batch_steps_back_too(market: Any) -> None:
    fill = (await market.matched(1))[0]
    runner = market.runner()
    await included(market, runner)
    market.mine()
    await runner.round()
    confirmed = (await market.statuses())[fill]
    market.contracts.node.rpc("anvil_reorg", 2, [])
    await runner.round()
    await market.settle_all(runner)

    assert confirmed == "confirmed"
    assert "submitted" in (await market.steps_of(fill))[5:]
    assert await settled_amounts(market) == (2, market.amount_of(2, 9_900))


async def test_what_was_taken_away_at_first_sight_comes_back_when_its_block_is_gone(market: Any) -> None:
    seller, token = market.traders["s1"], market.contracts.tranche.token
    market.mine(2)
    watcher = market.watcher()
    await watcher.round()
    market.contracts.act(seller, token, "requestUnlock", 400)
    await watcher.round()
    market.contracts.node.rpc("anvil_reorg", 1, [])
    await watcher.round()
    market.mine(3)
    await watcher.round()

    account = market.account_of_name("s1")
    deltas = [
        each.delta_lots
        for each in await market.commands("watcher")
        if each.header.account == account and hasattr(each, "delta_lots")
    ]
    assert deltas == [1_000, -400, 400]
    assert [
        row["state"]
        for row in await market.rows(
            "select state from settlement.chain_event where name = 'UnlockRequested'"
        )
    ] == ["gone"]
