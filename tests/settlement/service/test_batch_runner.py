"""Fills become final on a real chain, whatever happens on the way, and settle once."""

from dataclasses import replace
from typing import Any

import pytest

from engine.reasons import Reason
from engine.signed_order import KIND_ONCE, address_of
from ext.records import Kind
from settlement import batch_submission, postgres_store
from settlement.batching import BatchingPolicy
from settlement.errors import ChainRefusedError, ChainUnavailableError, WrongChainError

WAY = ["matched", "batched", "submitted", "included", "confirmed", "final"]


async def test_a_fill_goes_through_every_state_to_final_and_the_engine_is_told(market: Any) -> None:
    fill = await market.match(market.buy(market.traders["b1"]), market.sell(market.traders["s1"]), lots=3)

    await market.settle_all(market.runner())

    assert await market.steps_of(fill) == WAY
    assert market.contracts.lots_of(market.traders["b1"]) == 3
    assert market.contracts.cash_of(market.traders["s1"]) == market.amount_of(3, 9_900)
    assert [command.fill_number for command in await market.commands("settlement")] == [fill]


async def test_no_state_is_shown_before_the_chain_has_reached_it(market: Any) -> None:
    fill = (await market.matched(1))[0]
    runner = market.runner()
    seen = []
    await runner.round()
    await market.attest()
    market.contracts.node.rpc("evm_setAutomine", False)
    try:
        for _ in range(4):
            await runner.round()
            seen.append((await market.statuses())[fill])
            market.mine()
        await runner.round()
    finally:
        market.contracts.node.rpc("evm_setAutomine", True)

    assert seen == ["submitted", "included", "confirmed", "final"]


async def test_fills_beyond_the_bounds_go_in_several_batches_that_are_under_way_together(market: Any) -> None:
    await market.matched(7)
    runner = market.runner(batching=BatchingPolicy(fills_max=3, age_max_ns=-(10**18)))
    await runner.round()
    await market.attest()
    market.contracts.node.rpc("evm_setAutomine", False)
    try:
        await runner.round()
        batches = await market.rows(
            "select b.status, b.first_fill, b.fill_count, t.nonce from settlement.batch b"
            " join settlement.chain_transaction t using (batch) order by t.nonce"
        )
    finally:
        market.contracts.node.rpc("evm_setAutomine", True)
    await market.settle_all(runner)

    assert [(row["status"], row["first_fill"], row["fill_count"]) for row in batches] == [
        ("submitted", 1, 3),
        ("submitted", 4, 3),
        ("submitted", 7, 1),
    ]
    assert set((await market.statuses()).values()) == {"final"}


async def test_batches_wait_for_older_versions_and_the_others_pass_them(market: Any) -> None:
    seller = market.sell(market.traders["s1"])
    chained = []
    for version in (1, 2, 3):
        chained.append(await market.match(market.buy(market.traders["b1"]), replace(seller, version=version)))
    others = await market.matched(2)
    runner = market.runner(batching=BatchingPolicy(fills_max=1, age_max_ns=-(10**18)))
    await runner.round()
    await market.attest()
    signed = []
    for _ in range(12):
        await runner.round()
        signed.append(
            [
                row["batch"]
                for row in await market.rows("select batch from settlement.chain_transaction order by nonce")
            ]
        )
        market.mine()

    assert signed[0] == [1, 4, 5]
    assert signed[-1] == [1, 4, 5, 2, 3]
    assert await market.statuses() == dict.fromkeys([*chained, *others], "final")


async def test_the_fill_of_a_frozen_party_fails_and_the_rest_of_the_batch_settles(market: Any) -> None:
    frozen = await market.investor("frozen", cash=100_000_000)
    poisoned = await market.match(market.buy(frozen), market.sell(market.traders["s1"]), lots=2)
    good = await market.matched(4)
    contracts = market.contracts
    contracts.act(
        contracts.keys.issuer, contracts.tranche.token, "setAddressFrozen", address_of(frozen), True
    )

    await market.settle_all(market.runner())

    statuses = await market.statuses()
    assert statuses == {poisoned: "failed"} | dict.fromkeys(good, "final")
    assert (await market.steps_of(poisoned))[-3:] == ["reverted", "isolated", "failed"]
    assert (await market.steps_of(good[0]))[2:5] == ["reverted", "retried", "batched"]
    outcomes = [(Kind(each.header.kind), each.reason) for each in await market.commands("settlement")]
    assert sorted(outcomes) == [(Kind.SETTLEMENT_FINAL, 0)] * 4 + [
        (Kind.SETTLEMENT_FAILED, Reason.PARTY_NOT_ELIGIBLE)
    ]


async def test_a_party_that_compliance_refuses_is_found_among_all_of_the_batch(market: Any) -> None:
    abroad = await market.investor("abroad", cash=100_000_000)
    fills = await market.matched(3)
    poisoned = await market.match(market.buy(abroad), market.sell(market.traders["s1"]), lots=2)
    contracts = market.contracts
    registry, compliance = contracts.tranche.registry, contracts.tranche.compliance
    contracts.act(contracts.keys.issuer, registry, "updateCountry", address_of(abroad), 999)
    contracts.act(contracts.keys.administrator, compliance, "setCountryBlocked", 999, True)
    await market.settle_all(market.runner())

    assert await market.statuses() == {poisoned: "failed"} | dict.fromkeys(fills, "final")
    assert len(await market.rows("select batch from settlement.batch")) == 2


async def test_a_once_order_survives_a_stranger_whom_compliance_refuses(market: Any) -> None:
    abroad = await market.investor("abroad", cash=100_000_000)
    contracts = market.contracts
    contracts.act(contracts.keys.issuer, contracts.tranche.registry, "updateCountry", address_of(abroad), 999)
    contracts.act(contracts.keys.administrator, contracts.tranche.compliance, "setCountryBlocked", 999, True)
    poisoned = await market.match(market.buy(abroad), market.sell(market.traders["s1"]), lots=2)
    good = await market.matched_across_a_once_order()
    await market.settle_all(market.runner())

    assert await market.statuses() == {poisoned: "failed"} | dict.fromkeys(good, "final")


async def test_a_once_order_survives_a_stranger_whom_the_engine_does_not_attest(market: Any) -> None:
    doubtful = (await market.matched(1))[0]
    good = await market.matched_across_a_once_order()
    runner = market.runner()
    for _ in range(12):
        await runner.round()
        await market.refuse_to_attest(doubtful)
        await market.attest()
        market.mine()

    assert await market.statuses() == {doubtful: "held"} | dict.fromkeys(good, "final")


async def test_a_once_order_survives_a_batch_with_too_many_bytes(
    market: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_submission, "MAX_CALLDATA_BYTES", 1_500)
    first = await market.matched(1)
    good = await market.matched_across_a_once_order()
    await market.settle_all(market.runner())

    batches = await market.rows("select fill_count from settlement.batch order by batch")
    assert [row["fill_count"] for row in batches] == [4, 1, 3]
    assert await market.statuses() == dict.fromkeys([*first, *good], "final")


class Stripping:
    """A node behind a proxy that strips the data of reverts."""

    def __init__(self, chain: Any) -> None:
        self._chain = chain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    async def calls(self, calls: Any, block_number: int | None = None) -> Any:
        try:
            return await self._chain.calls(calls, block_number)
        except ChainRefusedError as refusal:
            raise ChainRefusedError(refusal.code, refusal.message.split(":")[0]) from refusal


async def retry_now(market: Any) -> None:
    """Let every batch that waits be tried at once."""
    await market.rows("update settlement.batch set not_before = now() returning batch")


async def test_a_revert_whose_data_was_lost_fails_nothing_at_one_head(market: Any) -> None:
    fills = await market.matched(1)
    contracts = market.contracts
    contracts.act(contracts.keys.administrator, contracts.venue.dvp, "pause")
    runner = market.runner(chain=Stripping(market.chain))
    await runner.round()
    await market.attest()
    for _ in range(5):
        await runner.round()
        await retry_now(market)
    waiting = await market.rows("select status, reason from settlement.batch")
    contracts.act(contracts.keys.administrator, contracts.venue.dvp, "unpause")
    await market.settle_all(market.runner())

    assert [tuple(row) for row in waiting] == [("batched", "waits: reverted without a reason")]
    assert await market.statuses() == dict.fromkeys(fills, "final")


async def test_a_fill_that_reverts_without_a_reason_at_two_heads_is_found_by_halving(market: Any) -> None:
    frozen = await market.investor("frozen", cash=100_000_000)
    fills = await market.matched(3)
    poisoned = await market.match(market.buy(frozen), market.sell(market.traders["s1"]), lots=2)
    contracts = market.contracts
    contracts.act(
        contracts.keys.issuer, contracts.tranche.token, "setAddressFrozen", address_of(frozen), True
    )
    runner = market.runner(chain=Stripping(market.chain))
    for _ in range(30):
        await runner.round()
        await market.attest()
        await retry_now(market)
        market.mine()

    assert await market.statuses() == {poisoned: "failed"} | dict.fromkeys(fills, "final")
    (failed,) = [each for each in await market.commands("settlement") if each.fill_number == poisoned]
    assert failed.reason == Reason.REVERTED_WITHOUT_REASON


async def test_a_paused_contract_makes_batches_wait_and_fails_nothing(market: Any) -> None:
    fills = await market.matched(2)
    contracts = market.contracts
    contracts.act(contracts.keys.administrator, contracts.venue.dvp, "pause")
    runner = market.runner()
    for _ in range(3):
        await runner.round()
        await market.attest()
    waiting = await market.rows("select status, reason from settlement.batch")
    contracts.act(contracts.keys.administrator, contracts.venue.dvp, "unpause")
    await retry_now(market)
    await market.settle_all(runner)

    assert [(row["status"], row["reason"]) for row in waiting] == [("batched", "waits: EnforcedPause()")]
    assert await market.statuses() == dict.fromkeys(fills, "final")


async def test_a_fill_that_the_engine_refuses_to_attest_is_held_and_the_others_settle(market: Any) -> None:
    fills = await market.matched(4)
    runner = market.runner()
    for _ in range(20):
        await runner.round()
        await market.refuse_to_attest(fills[2])
        await market.attest()
        market.mine()

    assert await market.statuses() == {n: "held" if n == fills[2] else "final" for n in fills}


async def test_a_fill_whose_signed_orders_are_unknown_is_held_before_anything_is_signed(market: Any) -> None:
    fills = await market.matched(2)
    await market.rows("delete from engine.order_revision where nonce = 1 and account = 1 returning 1")
    await market.runner().round()

    assert await market.statuses() == {fills[0]: "held", fills[1]: "batched"}


async def test_held_fills_fail_when_their_settlement_window_has_passed_and_not_before(market: Any) -> None:
    unknown, doubtful = await market.matched(2)
    await market.rows("delete from engine.order_revision where nonce = 1 and account = 1 returning 1")
    runner = market.runner()
    window_s = market.contracts.read(market.contracts.venue.dvp, "settlementWindow")
    for _ in range(4):
        await runner.round()
        await market.refuse_to_attest(doubtful)
        market.mine()
    market.contracts.node.pass_time(window_s - 60)
    market.mine(3)
    await runner.round()
    within = await market.statuses()
    market.contracts.node.pass_time(120)
    market.mine(3)
    await market.settle_all(runner)

    assert within == {unknown: "held", doubtful: "held"}
    assert await market.statuses() == {unknown: "failed", doubtful: "failed"}
    told = [(each.fill_number, each.reason) for each in await market.commands("settlement")]
    assert sorted(told) == [(fill, Reason.SETTLEMENT_WINDOW_PASSED) for fill in (unknown, doubtful)]


async def test_a_held_fill_that_is_settled_on_chain_never_fails(market: Any) -> None:
    fills = await market.matched(1)
    runner = market.runner()
    await market.settle_all(runner)
    await market.rows("update settlement.instruction set status = 'held' returning 1")
    window_s = market.contracts.read(market.contracts.venue.dvp, "settlementWindow")
    market.contracts.node.pass_time(window_s + 60)
    market.mine(3)
    await runner.round()

    assert await market.statuses() == dict.fromkeys(fills, "held")


async def test_every_fill_of_a_once_order_settles_in_one_batch(market: Any) -> None:
    fills = await market.matched(2)
    once = market.buy(market.traders["b1"], kind=KIND_ONCE, quantity_lots=4)
    for seller in ("s1", "s2"):
        fills.append(await market.match(once, market.sell(market.traders[seller]), lots=2))
    await market.settle_all(market.runner(batching=BatchingPolicy(fills_max=3, age_max_ns=-(10**18))))

    batches = await market.rows("select first_fill, last_fill from settlement.batch order by batch")
    assert [tuple(row) for row in batches] == [(1, 2), (3, 4)]
    assert await market.statuses() == dict.fromkeys(fills, "final")


async def test_the_fills_of_a_journal_row_are_taken_together(
    market: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_store, "_FILLS_AT_ONCE", 2)
    await market.matched(5)
    await market.rows("update engine.fill set journal_row = 2 where fill_number > 4 returning 1")
    async with market.database.connection() as connection:
        taken = [await postgres_store.record_new_fills(connection) for _ in range(3)]

    assert taken == [4, 1, 0]


async def test_a_node_of_another_chain_is_refused_before_anything_is_signed(market: Any) -> None:
    await market.matched(1)
    with pytest.raises(WrongChainError, match="31337"):
        async with market.other_chain():
            pass
    assert await market.rows("select from settlement.chain_transaction") == []


async def test_a_lost_answer_to_a_send_leads_to_identical_bytes_and_one_settlement(market: Any) -> None:
    await market.matched(2)
    deaf = market.deaf("send_raw")
    runner = market.runner(chain=deaf)
    await runner.round()
    await market.attest()
    with pytest.raises(ChainUnavailableError):
        await runner.round()
    await market.settle_all(runner)

    assert deaf.lost
    assert len(await market.rows("select from settlement.chain_transaction")) == 1
    assert set((await market.statuses()).values()) == {"final"}
    assert market.contracts.lots_of(market.traders["b1"]) == 2
