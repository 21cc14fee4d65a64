"""What happens on chain is told to the engine once, credits when final, what is taken away at first sight."""

from typing import Any

import pytest

from engine.reasons import Reason
from engine.signed_order import address_of
from ext.records import Kind, Refused, encode, header
from settlement.errors import DeepReorganisationError


async def told(bench: Any) -> list[tuple[str, int]]:
    """Kind and amount (lots, or whether eligible) of every command the watcher wrote."""
    return [
        (Kind(each.header.kind).name, each.delta_lots if hasattr(each, "delta_lots") else each.eligible)
        for each in await bench.commands("watcher")
    ]


async def credited(bench: Any, key: bytes) -> int:
    """Cash that the keeper was given for the owner of a key."""
    rows = await bench.rows(
        "select deposited_minor from engine.cash join engine.account using (account) where address = $1",
        address_of(key),
    )
    return rows[0]["deposited_minor"] if rows else 0


async def watch(bench: Any, blocks: int = 2) -> None:
    """Let blocks pass and have a fresh watcher look, twice."""
    bench.mine(blocks)
    watcher = bench.watcher()
    await watcher.round()
    await watcher.round()


async def test_deposit_lock_and_registration_are_told_once_when_they_are_final(bench: Any) -> None:
    key = await bench.investor("maker", lots=40, cash=500)
    await bench.watcher().round()
    before = await credited(bench, key)
    await watch(bench)
    await watch(bench)

    assert before == 0
    assert await credited(bench, key) == 500
    assert await told(bench) == [("ELIGIBILITY_SET", 1), ("TOKENS_ADJUST", 40)]


async def test_further_deposits_add_up_over_restarts(bench: Any) -> None:
    key = await bench.investor("maker", cash=500)
    await watch(bench)
    bench.contracts.deposit(key, 70)
    await watch(bench)
    bench.contracts.deposit(key, 3)
    await watch(bench)

    assert await credited(bench, key) == 573


async def test_what_came_before_the_account_is_told_when_it_is_opened(bench: Any) -> None:
    key = bench.contracts.investor("early", lots=9, cash=800)
    await watch(bench)
    before = await told(bench)
    await bench.open_account(key)
    await watch(bench, blocks=0)

    assert before == []
    assert await told(bench) == [("ELIGIBILITY_SET", 1), ("TOKENS_ADJUST", 9)]
    assert await credited(bench, key) == 800


async def test_a_tranche_listed_later_is_read_from_its_beginning(bench: Any) -> None:
    document = await bench.rows("update engine.tranche set document = document returning document")
    await bench.rows("delete from engine.tranche returning 1")
    await bench.investor("maker", lots=9)
    await watch(bench)
    before = await told(bench)
    await bench.rows(
        "insert into engine.tranche (tranche, symbol, shard, document) overriding system value"
        " values (7, 'LATE', 1, $1) returning 1",
        document[0]["document"],
    )
    await watch(bench)

    assert before == []
    assert await told(bench) == [("ELIGIBILITY_SET", 1), ("TOKENS_ADJUST", 9)]


async def test_an_unlock_asked_for_and_a_freeze_are_told_at_first_sight(bench: Any) -> None:
    key = await bench.investor("maker", lots=40)
    await watch(bench)
    contracts = bench.contracts
    contracts.act(key, contracts.tranche.token, "requestUnlock", 15)
    await bench.watcher().round()
    contracts.act(contracts.keys.issuer, contracts.tranche.token, "setAddressFrozen", address_of(key), True)
    await bench.watcher().round()

    assert (await told(bench))[2:] == [("TOKENS_ADJUST", -15), ("ELIGIBILITY_SET", 0)]


async def test_a_cancelled_request_gives_the_lots_back_when_it_is_final(bench: Any) -> None:
    key = await bench.investor("maker", lots=40)
    contracts = bench.contracts
    contracts.act(key, contracts.tranche.token, "requestUnlock", 15)
    await watch(bench)
    contracts.act(key, contracts.tranche.token, "cancelUnlock")
    await bench.watcher().round()
    before = await told(bench)
    await watch(bench)

    assert before[1:] == [("TOKENS_ADJUST", 25)]
    assert (await told(bench))[2:] == [("TOKENS_ADJUST", 15)]


async def test_a_request_that_lapsed_gives_the_lots_back(bench: Any) -> None:
    key = await bench.investor("maker", lots=40)
    contracts = bench.contracts
    contracts.act(key, contracts.tranche.token, "requestUnlock", 15)
    await watch(bench)
    contracts.node.pass_time(5 * 24 * 3600)
    await watch(bench, blocks=3)

    assert (await told(bench))[1:] == [("TOKENS_ADJUST", 25), ("TOKENS_ADJUST", 15)]


async def test_tokens_that_our_own_batches_deliver_are_not_told_of(market: Any) -> None:
    await watch(market)
    before = await told(market)
    await market.matched(2)
    await market.settle_all(market.runner())
    await watch(market)

    assert await told(market) == before


async def test_tokens_that_arrive_unlocked_cannot_be_sold_until_they_are_locked(market: Any) -> None:
    key = market.traders["b1"]
    market.contracts.act(key, market.contracts.tranche.token, "setReceiveLocked", False)
    await watch(market)
    before = await told(market)
    await market.matched(1)
    await market.settle_all(market.runner())
    await watch(market)
    market.contracts.act(key, market.contracts.tranche.token, "lock", 2)
    await watch(market)

    assert (await told(market))[len(before) :] == [("TOKENS_ADJUST", -2), ("TOKENS_ADJUST", 2)]


async def refuse(bench: Any, number: int, event: int, *, reason: Reason, limit: int = 0) -> None:
    """Journal the shard's refusal of a command of the watcher."""
    rows = await bench.rows(
        "select source, record from engine.command_outbox join engine.source using (source)"
        " where name = 'watcher' and number = $1",
        number,
    )
    cause = bench.decoded(rows[0]["record"]).header
    head = header(
        Kind.REFUSED, account=cause.account, tranche=cause.tranche, source=cause.source, incarnation=1,
        number=number, sequence=event,
    )  # fmt: skip
    refusal = encode(Refused(head, b"", reason, cause.kind, 0, limit, 0))
    await bench.rows(
        "insert into engine.journal (shard, row, epoch, first_command, last_command, first_event, last_event,"
        " commands, side, events, previous_hash, hash) values (1, $1, 1, $1, $1, $1, $1, '', '', $2, '', '')"
        " returning 1",
        event, refusal,
    )  # fmt: skip


async def test_what_a_shard_refuses_because_it_knows_no_such_account_is_told_again(bench: Any) -> None:
    await bench.investor("maker", lots=40)
    await watch(bench)
    await refuse(bench, 1, 1, reason=Reason.UNKNOWN_ACCOUNT)
    await refuse(bench, 2, 2, reason=Reason.UNKNOWN_ACCOUNT)
    watcher = bench.watcher()
    await watcher.round()
    await bench.rows("update settlement.told set not_before = now() where not_before is not null returning 1")
    await watcher.round()

    assert await told(bench) == [("ELIGIBILITY_SET", 1), ("TOKENS_ADJUST", 40)] * 2


async def test_of_lots_in_settlement_the_part_that_can_go_is_taken_at_once(bench: Any) -> None:
    key = await bench.investor("maker", lots=40)
    await watch(bench)
    bench.contracts.act(key, bench.contracts.tranche.token, "requestUnlock", 30)
    await bench.watcher().round()
    await refuse(bench, 3, 1, reason=Reason.BAD_AMOUNT, limit=10)
    watcher = bench.watcher()
    await watcher.round()
    await bench.rows("update settlement.told set not_before = now() where not_before is not null returning 1")
    await watcher.round()

    assert (await told(bench))[2:] == [("TOKENS_ADJUST", -30), ("TOKENS_ADJUST", -10), ("TOKENS_ADJUST", -20)]


async def test_a_chain_that_lost_a_final_block_is_not_read_on(bench: Any) -> None:
    node = bench.contracts.node
    bench.mine(3)
    snapshot = node.rpc("evm_snapshot")
    bench.mine(4)
    await bench.watcher().round()
    node.rpc("evm_revert", snapshot)
    node.rpc("evm_increaseTime", 7)
    bench.mine(6)

    with pytest.raises(DeepReorganisationError, match="lost its final block"):
        await bench.watcher().round()
