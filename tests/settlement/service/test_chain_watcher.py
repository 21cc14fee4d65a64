"""What happens on chain is told to the engine once, credits when final, what is taken away at first sight."""

from typing import Any

import pytest

from engine.command import cash_allot, settlement_failed
from engine.reasons import Reason
from engine.signed_order import address_of
from ext.records import Kind, Refused, Side, Trade, encode, header
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


async def test_tokens_that_arrive_unlocked_are_told_with_their_fill_until_they_are_locked(
    market: Any,
) -> None:
    key = market.traders["b1"]
    market.contracts.act(key, market.contracts.tranche.token, "setReceiveLocked", False)
    await watch(market)
    before = await told(market)
    fills = await market.matched(3)
    await market.settle_all(market.runner())
    await watch(market)
    market.contracts.act(key, market.contracts.tranche.token, "lock", 4)
    await watch(market)

    *arrived, locked = (await market.commands("watcher"))[len(before) :]
    assert sum(each.delta_lots for each in arrived) == -4
    assert {each.of_fill for each in arrived} == {fills[2]}
    assert (locked.delta_lots, locked.of_fill) == (4, 0)


@pytest.mark.parametrize("watcher_first", [True, False])
async def test_no_shard_sells_what_arrived_unlocked_whichever_it_hears_first(
    market: Any, shard: Any, watcher_first: bool
) -> None:
    market.contracts.act(market.traders["b1"], market.contracts.tranche.token, "setReceiveLocked", False)
    await watch(market)
    await shard.take("watcher")
    buyer, seller = market.account_of_name("b1"), market.account_of_name("s1")
    shard.send(shard.order(seller, Side.SELL, 2))
    shard.send(cash_allot(buyer, 10**9, transfer=1))
    assert [type(each) for each in shard.send(shard.order(buyer, Side.BUY, 2))].count(Trade) == 1
    await market.matched(1)
    await market.settle_all(market.runner())
    await watch(market)
    for source in ["watcher", "settlement"] if watcher_first else ["settlement", "watcher"]:
        assert not any(isinstance(each, Refused) for each in await shard.take(source))

    (refused,) = shard.send(shard.order(buyer, Side.SELL, 1))
    assert refused.reason == Reason.INSUFFICIENT_TOKENS
    shard.core._check()


async def test_a_mainland_person_is_told_to_be_one_whatever_the_registry_says(bench: Any, shard: Any) -> None:
    key = bench.contracts.investor("maker", lots=40, country=156)
    account = await bench.open_account(key)
    await watch(bench)
    await shard.take("watcher")

    (command, _) = await bench.commands("watcher")
    assert (command.eligible, command.country) == (1, 156)
    (refused,) = shard.send(shard.order(account, Side.SELL, 1))
    assert refused.reason == Reason.NOT_ELIGIBLE


async def test_a_country_that_changes_is_told_at_first_sight_where_it_is_blocked(bench: Any) -> None:
    key = await bench.investor("maker")
    await watch(bench)
    issuer, registry = bench.contracts.keys.issuer, bench.contracts.tranche.registry
    bench.contracts.act(issuer, registry, "updateCountry", address_of(key), 156)
    await bench.watcher().round()
    bench.mine(2)
    bench.contracts.act(issuer, registry, "updateCountry", address_of(key), 702)
    await bench.watcher().round()
    seen = [each.country for each in await bench.commands("watcher")]
    await watch(bench)

    assert seen == [344, 156]
    assert [each.country for each in await bench.commands("watcher")] == [344, 156, 702]


async def test_lots_frozen_by_the_issuer_are_told_as_far_as_they_can_no_longer_be_delivered(
    bench: Any,
) -> None:
    key = await bench.investor("maker", lots=40)
    contracts = bench.contracts
    issuer, token, holder = contracts.keys.issuer, contracts.tranche.token, address_of(key)
    contracts.act(key, token, "setReceiveLocked", False)
    contracts.act(issuer, token, "mint", holder, 10)
    await watch(bench)
    contracts.act(issuer, token, "freezePartialTokens", holder, 25)
    await bench.watcher().round()
    bench.mine(2)
    contracts.act(issuer, token, "unfreezePartialTokens", holder, 5)
    await bench.watcher().round()
    before = await told(bench)
    await watch(bench)

    assert before == [("ELIGIBILITY_SET", 1), ("TOKENS_ADJUST", 40), ("TOKENS_ADJUST", -15)]
    assert (await told(bench))[3:] == [("TOKENS_ADJUST", 5)]
    assert contracts.read(token, "lockedOf", holder) == 40


async def test_a_freeze_stays_what_it_is_while_our_batches_deliver(market: Any) -> None:
    contracts = market.contracts
    issuer, token, buyer = contracts.keys.issuer, contracts.tranche.token, address_of(market.traders["b1"])
    await market.matched(1)
    await market.settle_all(market.runner())
    contracts.act(issuer, token, "freezePartialTokens", buyer, 1)
    await watch(market)
    before = await told(market)
    await market.matched(2)
    await market.settle_all(market.runner())
    await watch(market)

    assert before[-1] == ("TOKENS_ADJUST", -1)
    assert await told(market) == before
    stored = "select 1 from settlement.chain_event where address = $1 and name like 'Transferred%'"
    assert await market.rows(stored, buyer) == []


async def test_lots_that_the_issuer_takes_out_of_settlement_do_not_come_back_for_sale(
    market: Any, shard: Any
) -> None:
    await watch(market)
    await shard.take("watcher")
    buyer, seller = market.account_of_name("b1"), market.account_of_name("s1")
    shard.send(cash_allot(buyer, 10**9, transfer=1))
    shard.send(shard.order(seller, Side.SELL, 1_000))
    shard.send(shard.order(buyer, Side.BUY, 1_000))
    contracts = market.contracts
    burnt = address_of(market.traders["s1"])
    contracts.act(contracts.keys.issuer, contracts.tranche.token, "burn", burnt, 600)
    await market.watcher().round()
    assert not any(isinstance(each, Refused) for each in await shard.take("watcher"))
    shard.send(settlement_failed(market.tranche, 1))

    (refused,) = shard.send(shard.order(seller, Side.SELL, 401))
    assert (refused.reason, refused.limit) == (Reason.INSUFFICIENT_TOKENS, 400)
    shard.core._check()


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


async def test_a_shard_that_takes_a_command_again_is_no_longer_waited_for(bench: Any, shard: Any) -> None:
    await bench.investor("maker", lots=40)
    await watch(bench)
    for number in (1, 2):
        await refuse(bench, number, number, reason=Reason.UNKNOWN_ACCOUNT)
    await bench.watcher().round()
    refusals = await bench.rows("select refusals from settlement.told where tranche <> 0")
    await bench.rows("update settlement.told set not_before = now() where not_before is not null returning 1")
    await bench.watcher().round()
    await shard.take("watcher", journal_from=3)
    await bench.watcher().round()

    assert [row["refusals"] for row in refusals] == [2]
    rows = await bench.rows("select refusals, not_before from settlement.told where tranche <> 0")
    assert [tuple(row) for row in rows] == [(0, None)]


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
