"""Chain, tables and ledger are compared without end: what differs is a break until it does not."""

from typing import Any

import pytest

from engine.signed_order import address_of
from settlement.comparison import BreakKind, open_breaks
from settlement.status import settlement_status


@pytest.fixture
async def settled(market: Any) -> Any:
    """The market after two final fills, watched."""
    await market.matched(2)
    await market.settle_all(market.runner())
    await look(market)
    return market


async def look(market: Any) -> None:
    """Bring runner and watcher up to the same final block."""
    market.mine(2)
    await market.runner().round()
    await market.watcher().round()


async def breaks(market: Any) -> list[tuple[str, int, int]]:
    """Open breaks: kind, expected, actual."""
    async with market.database.connection() as connection:
        return [(each.kind, each.expected, each.actual) for each in await open_breaks(connection)]


async def compare(market: Any) -> list[tuple[str, int, int]]:
    """One comparison by a fresh process, and the breaks that are open after it."""
    await market.reconciliation().round()
    return await breaks(market)


async def test_nothing_differs_after_fills_were_settled(settled: Any) -> None:
    assert await compare(settled) == []
    runs = await settled.rows("select comparisons, differences from settlement.reconciliation_run")
    assert runs[0]["comparisons"] > 10
    assert runs[0]["differences"] == 0


async def test_nothing_is_compared_before_the_chain_was_read(bench: Any) -> None:
    await bench.reconciliation().round()
    assert await bench.rows("select from settlement.reconciliation_run") == []


async def test_a_deposit_that_the_tables_lack_is_a_break_until_it_is_there_again(settled: Any) -> None:
    set_state = (
        "update settlement.chain_event set state = $2 where name = 'Deposited' and address = $1 returning 1"
    )
    address = address_of(settled.traders["b1"])
    await settled.rows(set_state, address, "gone")
    found = await compare(settled)
    again = await compare(settled)
    await settled.rows(set_state, address, "final")
    cleared = await compare(settled)

    entry = settled.contracts.cash_of(settled.traders["b1"])
    assert (BreakKind.VAULT_ENTRY, entry - 100_000_000, entry) in found
    assert {kind for kind, _, _ in found} == {
        BreakKind.VAULT_ENTRY, BreakKind.VAULT_TOTAL, BreakKind.LEDGER_DEPOSITS
    }  # fmt: skip
    assert again == found
    assert cleared == []
    assert (
        len(await settled.rows("select from settlement.reconciliation_break where cleared_at is not null"))
        == 3
    )


async def test_a_fill_shown_final_that_the_chain_does_not_know_is_a_break(settled: Any) -> None:
    await settled.rows("update engine.fill set fill_number = 77 where fill_number = 2 returning 1")
    await settled.rows("update settlement.instruction set fill_number = 77 where fill_number = 2 returning 1")
    await settled.rows("update settlement.transition set fill_number = 77 where fill_number = 2 returning 1")
    assert await compare(settled) == [(BreakKind.FILL_BIT, 1, 0)]


async def test_a_fill_whose_block_was_not_reached_yet_is_looked_at_when_it_is(settled: Any) -> None:
    move_batch = "update settlement.batch set block_number = block_number + $1 returning 1"
    await settled.rows(
        "insert into settlement.transition (subject, tranche, fill_number, status, actor)"
        " values ('instruction', $1, 99, 'failed', 'test') returning 1",
        settled.tranche,
    )
    reconciliation = settled.reconciliation()
    await settled.rows(move_batch, 1_000)
    await reconciliation.round()
    await settled.rows(move_batch, -1_000)
    await settled.rows("update settlement.transition set fill_number = 77 where fill_number = 2 returning 1")
    await reconciliation.round()
    assert await breaks(settled) == [(BreakKind.FILL_BIT, 1, 0)]


async def test_a_forced_transfer_of_locked_tokens_is_no_break_because_it_is_seen(settled: Any) -> None:
    contracts = settled.contracts
    seller, buyer = (address_of(settled.traders[name]) for name in ("s1", "b1"))
    contracts.act(contracts.keys.issuer, contracts.tranche.token, "forcedTransfer", seller, buyer, 500)
    await look(settled)
    assert await compare(settled) == []


async def test_a_withdrawal_is_no_difference_between_chain_and_tables(settled: Any) -> None:
    contracts, key = settled.contracts, settled.traders["b1"]
    contracts.act(key, contracts.venue.vault, "registerPayoutAddress", address_of(key), True)
    contracts.act(key, contracts.venue.vault, "requestWithdrawal", contracts.venue.cash, 10, address_of(key))
    contracts.node.pass_time(2 * 24 * 3600)
    contracts.act(key, contracts.venue.vault, "executeWithdrawal", contracts.venue.cash)
    await look(settled)
    assert await compare(settled) == []


async def project_balance(market: Any, tranche: int, account: int, free: int) -> None:
    """A balance of a shard as the projector writes it."""
    await market.rows(
        "insert into engine.balance values (1, $1, $2, $3, $4, 0, 0, 1)"
        " on conflict (account, tranche, currency, shard) do update set free = excluded.free returning 1",
        account, tranche, int(tranche == 0), free,
    )  # fmt: skip


async def test_a_ledger_that_differs_from_what_the_engine_was_told_is_a_break(settled: Any) -> None:
    number = (await settled.rows("select max(number) as n from engine.command_outbox join engine.source s"
                                 " using (source) where s.name = 'watcher'"))[0]["n"]  # fmt: skip
    await settled.rows("insert into engine.projector_position values (1, 9, 9) returning 1")
    await settled.rows("update settlement.answers_read set event = 9, number = $1 returning 1", number)
    await settled.rows("update engine.fill set outcome = 1 returning 1")
    for name, lots in (("b1", 2), ("b2", 2), ("s1", 998), ("s2", 997)):
        await project_balance(settled, settled.tranche, settled.account_of_name(name), lots)
    found = await compare(settled)
    await project_balance(settled, settled.tranche, settled.account_of_name("s2"), 998)

    assert found == [(BreakKind.LEDGER_TOKENS, 998, 997)]
    assert await compare(settled) == []


async def test_cash_in_the_shards_must_be_what_the_keeper_gave_and_fills_moved(settled: Any) -> None:
    await settled.rows("insert into engine.projector_position values (1, 9, 9) returning 1")
    await settled.rows("insert into engine.consumer_position values ('keeper', 1, 9) returning 1")
    await settled.rows("update engine.cash_transfer set state = 'done', event = 5 returning 1")
    await settled.rows("update settlement.answers_read set event = 100 returning 1")
    await settled.rows("update engine.fill set outcome = 1 returning 1")
    paid = settled.amount_of(2, 9_900)
    for name, free in (("b1", 10**8 - paid), ("b2", 10**8 - paid), ("s1", paid), ("s2", paid - 1)):
        await project_balance(settled, 0, settled.account_of_name(name), free)
    found = await compare(settled)
    await project_balance(settled, 0, settled.account_of_name("s2"), paid)

    assert found == [(BreakKind.LEDGER_CASH, paid, paid - 1)]
    assert await compare(settled) == []


async def test_an_outcome_that_the_engine_sees_otherwise_is_a_break(settled: Any) -> None:
    await settled.rows("insert into engine.consumer_position values ('keeper', 1, 0) returning 1")
    await settled.rows("insert into engine.projector_position values (1, 9, 9) returning 1")
    await settled.rows("update engine.fill set outcome = 2 where fill_number = 1 returning 1")
    assert await compare(settled) == [(BreakKind.OUTCOME, 0, 1)]


async def test_the_status_counts_what_there_is(settled: Any) -> None:
    fill = await settled.match(settled.buy(settled.traders["b1"]), settled.sell(settled.traders["s1"]))
    await settled.reconciliation().round()
    async with settled.database.connection() as connection:
        status = await settlement_status(connection)

    assert status.batches == {"final": 1}
    assert status.instructions == {"final": 2}
    assert (status.unsettled, status.fails, status.held, status.breaks) == (1, 0, 0, [])
    assert status.oldest_unsettled_s is not None
    assert status.fills_final == 2
    assert status.gas_per_fill is not None
    assert 10_000 < status.gas_per_fill < 400_000
    assert status.reconciled_block is not None
    assert fill == 3
