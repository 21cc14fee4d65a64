"""Chain, tables and ledger are compared without end: what differs is a break until it does not."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.cash_keeper import concerns_keeper, take_events
from engine.signed_order import address_of
from ext.records import NO_SIDE_DATA, RECORD_VERSION, UNITS, Applied, Header, Kind, decode, encode
from settlement.comparison import RUNS_UNDECIDED_MAX, BreakKind, Comparison, open_breaks, store_comparisons
from settlement.status import SettlementStatus, settlement_status

SHARD = 1


@pytest.fixture
async def settled(market: Any) -> Any:
    """The market after two final fills, watched; the engine has answered nothing."""
    await market.matched(2)
    await market.settle_all(market.runner())
    await look(market)
    return market


@pytest.fixture
async def applied(settled: Any) -> Any:
    """The same after the engine has applied all it was told, and shows it."""
    await answer_all(settled)
    await settled.rows("update engine.fill set outcome = 1 returning 1")
    paid = settled.amount_of(2, 9_900)
    for name in ("b1", "b2"):
        await set_balance(settled, 0, name, 10**8 - paid)
        await set_balance(settled, settled.tranche, name, 2)
    for name in ("s1", "s2"):
        await set_balance(settled, 0, name, paid)
        await set_balance(settled, settled.tranche, name, 998)
    await settled.watcher().round()
    return settled


async def look(market: Any) -> None:
    """Bring runner and watcher up to the same final block."""
    market.mine(2)
    await market.runner().round()
    await market.watcher().round()


async def answer_all(market: Any) -> None:
    """Journal and project an answer to every command there is, and let the keeper take its own."""
    commands = await market.rows("select * from engine.command_outbox order by source, number")
    row, last = (await market.rows("select count(*), coalesce(max(last_event), 0) from engine.journal"))[0]
    events = [answer(each, last + n) for n, each in enumerate(commands, start=1)]
    last += len(events)
    await market.rows(
        "insert into engine.journal values ($1, $2, 1, 1, 1, $3, $4, '', '', $5, '', '') returning 1",
        SHARD, row + 1, last - len(events) + 1, last, b"".join(events),
    )  # fmt: skip
    await market.rows(
        "insert into engine.projector_position values ($1, 1, $2) on conflict (shard)"
        " do update set event = excluded.event returning 1",
        SHARD, last,
    )  # fmt: skip
    keeper = (await market.rows("select source from engine.source where name = 'keeper'"))[0]["source"]
    async with market.database.connection() as connection:
        await take_events(connection, SHARD, [each for each in events if concerns_keeper(each, keeper)], last)


def answer(command: Any, sequence: int) -> bytes:
    """APPLIED to a command, as event number ``sequence``."""
    record = decode(command["record"])
    header = Header(
        Kind.APPLIED, RECORD_VERSION, UNITS[Kind.APPLIED], command["source"], 1, 0, command["number"],
        sequence, 0, record.header.account, record.header.tranche, NO_SIDE_DATA,
    )  # fmt: skip
    return encode(Applied(header, record.header.kind, 0, 0, getattr(record, "transfer", 0), *[0] * 6))


async def set_balance(market: Any, tranche: int, name: str, free: int, owed: int = 0) -> None:
    """A balance of the shard as the projector writes it."""
    await market.rows(
        "insert into engine.balance values ($1, $2, $3, $4, $5, 0, 0, 1, $6)"
        " on conflict (account, tranche, currency, shard)"
        " do update set free = excluded.free, elsewhere = excluded.elsewhere returning 1",
        SHARD, market.account_of_name(name), tranche, int(tranche == 0), free, owed,
    )  # fmt: skip


async def breaks(market: Any) -> list[tuple[str, int, int]]:
    """Open breaks: kind, expected, actual."""
    async with market.database.connection() as connection:
        return [(each.kind, each.expected, each.actual) for each in await open_breaks(connection)]


async def compare(market: Any) -> list[tuple[str, int, int]]:
    """One comparison by a fresh process, and the breaks that are open after it."""
    await market.reconciliation().round()
    return await breaks(market)


async def kinds(market: Any) -> set[str]:
    """The kinds of the breaks that are open after a comparison."""
    return {kind for kind, _, _ in await compare(market)}


async def last_run(market: Any) -> Any:
    """The newest run."""
    return (await market.rows("select * from settlement.reconciliation_run order by run desc limit 1"))[0]


async def undecided(market: Any) -> set[str]:
    """The kinds of which the newest run could not compare all."""
    rows = await market.rows("select kind from settlement.reconciliation_undecided")
    return {row["kind"] for row in rows}


async def status_of(market: Any) -> SettlementStatus:
    """How settlement stands."""
    async with market.database.connection() as connection:
        return await settlement_status(connection)


async def test_nothing_differs_after_fills_were_settled_whose_end_the_engine_was_not_told(
    settled: Any,
) -> None:
    assert await compare(settled) == []
    assert (await last_run(settled))["comparisons"] > 10
    assert (await last_run(settled))["differences"] == 0


async def test_nothing_differs_and_every_kind_is_compared_once_the_engine_has_applied_all(
    applied: Any,
) -> None:
    assert await compare(applied) == []
    run = await last_run(applied)
    assert set(run["compared"]) == set(BreakKind)
    assert run["complete"]
    assert await undecided(applied) == set()


async def test_nothing_is_compared_before_the_chain_was_read(bench: Any) -> None:
    await bench.reconciliation().round()
    assert await bench.rows("select from settlement.reconciliation_run") == []


Plant = Callable[[Any, bool], Awaitable[None]]
"""Makes something wrong, or (False) right again."""


async def deposit_gone(market: Any, wrong: bool) -> None:
    await market.rows(
        "update settlement.chain_event set state = $2 where name = 'Deposited' and address = $1 returning 1",
        address_of(market.traders["b1"]), "gone" if wrong else "final",
    )  # fmt: skip


async def lock_gone(market: Any, wrong: bool) -> None:
    await market.rows(
        "update settlement.chain_event set state = $2 where name = 'Locked' and address = $1 returning 1",
        address_of(market.traders["s1"]), "gone" if wrong else "final",
    )  # fmt: skip


async def vault_robbed(market: Any, wrong: bool) -> None:
    contracts, cash = market.contracts, market.contracts.venue.cash
    vault = contracts.venue.vault
    if wrong:
        contracts.node.rpc("anvil_impersonateAccount", "0x" + vault.hex())
        contracts.node.rpc("anvil_setBalance", "0x" + vault.hex(), hex(10**18))
        call = contracts.abi_at(cash).call("transfer", address_of(market.traders["s1"]), 7)
        sender, target = ("0x" + address.hex() for address in (vault, cash))
        stolen = {"from": sender, "to": target, "data": "0x" + call.hex(), "gasPrice": "0x0"}
        contracts.node.receipt(contracts.node.rpc("eth_sendTransaction", stolen))
    else:
        contracts.act(contracts.keys.administrator, cash, "mint", vault, 7)
    await look(market)


async def end_shown_otherwise(market: Any, wrong: bool) -> None:
    await market.rows(
        "update settlement.transition set status = $1 where fill_number = 2 and status in ('final', 'failed')"
        " and subject = 'instruction' returning 1",
        "failed" if wrong else "final",
    )


async def outcome_lost(market: Any, wrong: bool) -> None:
    await market.rows("update engine.fill set outcome = $1 where fill_number = 1 returning 1", int(not wrong))


async def cash_of_a_shard_short(market: Any, wrong: bool) -> None:
    await set_balance(market, 0, "s2", market.amount_of(2, 9_900) - wrong)


async def cash_of_the_keeper_short(market: Any, wrong: bool) -> None:
    change = "update engine.cash set deposited_minor = deposited_minor + $1 where account = $2 returning 1"
    await market.rows(change, 5 if wrong else -5, market.account_of_name("b1"))


async def cash_nobody_deposited(market: Any, wrong: bool) -> None:
    change = (
        "update engine.cash set deposited_minor = deposited_minor + $1, free_minor = free_minor + $1"
        " where account = $2 returning 1"
    )
    await market.rows(change, 5 if wrong else -5, market.account_of_name("b1"))


async def tokens_of_a_shard_short(market: Any, wrong: bool) -> None:
    await set_balance(market, market.tranche, "s2", 998 - wrong)


async def tokens_nobody_has(market: Any, wrong: bool) -> None:
    await set_balance(market, market.tranche, "b1", 2 + wrong)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (deposit_gone, {BreakKind.VAULT_ENTRY, BreakKind.VAULT_TOTAL}),
        (vault_robbed, {BreakKind.VAULT_BALANCE}),
        (lock_gone, {BreakKind.LOCKED_TOKENS}),
        (end_shown_otherwise, {BreakKind.FILL_BIT}),
        (
            outcome_lost,
            {BreakKind.OUTCOME, BreakKind.LEDGER_CASH, BreakKind.LEDGER_TOKENS},
        ),
        (
            cash_of_a_shard_short,
            {BreakKind.LEDGER_VAULT, BreakKind.LEDGER_CASH, BreakKind.CASH_IN_SHARDS},
        ),
        (cash_of_the_keeper_short, {BreakKind.KEEPER_BOOKS}),
        (cash_nobody_deposited, {BreakKind.LEDGER_VAULT}),
        (tokens_of_a_shard_short, {BreakKind.LEDGER_TOKENS}),
        (tokens_nobody_has, {BreakKind.LEDGER_TOKENS, BreakKind.DELIVERABLE}),
    ],
)
async def test_what_is_wrong_is_a_break_of_its_kind_until_it_is_right(
    applied: Any, plant: Plant, found: set[BreakKind]
) -> None:
    await plant(applied, True)
    assert await kinds(applied) == found
    assert not (await status_of(applied)).is_reconciled
    again = await breaks(applied)
    assert await compare(applied) == again
    await plant(applied, False)
    assert await compare(applied) == []
    assert (await status_of(applied)).is_reconciled


def test_every_kind_has_something_wrong_planted_for_it() -> None:
    marks = test_what_is_wrong_is_a_break_of_its_kind_until_it_is_right.pytestmark
    planted = [found for _, found in next(mark for mark in marks if mark.name == "parametrize").args[1]]
    assert set().union(*planted) == set(BreakKind)


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


async def test_frozen_tokens_are_a_break_as_long_as_the_shard_has_them(applied: Any) -> None:
    contracts, seller = applied.contracts, address_of(applied.traders["s1"])
    contracts.act(contracts.keys.issuer, contracts.tranche.token, "freezePartialTokens", seller, 500)
    await look(applied)
    await answer_all(applied)
    await applied.watcher().round()
    found = await compare(applied)
    await set_balance(applied, applied.tranche, "s1", 498)

    assert (BreakKind.DELIVERABLE, 998, 498) in found
    assert BreakKind.DELIVERABLE not in await kinds(applied)


async def test_tokens_that_the_shard_owes_are_not_among_those_it_has(applied: Any) -> None:
    contracts, seller = applied.contracts, address_of(applied.traders["s1"])
    contracts.act(contracts.keys.issuer, contracts.tranche.token, "forcedTransfer",
                  seller, address_of(applied.traders["s2"]), 500)  # fmt: skip
    await look(applied)
    await answer_all(applied)
    await applied.watcher().round()
    before = await kinds(applied)
    await set_balance(applied, applied.tranche, "s1", 998, owed=500)
    await set_balance(applied, applied.tranche, "s2", 1_498)

    assert before == {BreakKind.LEDGER_TOKENS, BreakKind.DELIVERABLE}
    assert await compare(applied) == []
    assert (await last_run(applied))["complete"]


async def test_a_withdrawal_is_a_break_until_the_ledger_has_deducted_it(applied: Any) -> None:
    contracts, key = applied.contracts, applied.traders["b1"]
    entry = contracts.cash_of(key)
    contracts.act(key, contracts.venue.vault, "registerPayoutAddress", address_of(key), True)
    contracts.act(key, contracts.venue.vault, "requestWithdrawal", contracts.venue.cash, 10, address_of(key))
    contracts.node.pass_time(2 * 24 * 3600)
    contracts.act(key, contracts.venue.vault, "executeWithdrawal", contracts.venue.cash)
    await look(applied)
    found = await compare(applied)
    account = applied.account_of_name("b1")
    await applied.rows("update engine.cash set deposited_minor = deposited_minor - 10 where account = $1"
                       " returning 1", account)  # fmt: skip
    await applied.rows("update engine.cash_transfer set amount_minor = amount_minor - 10 where account = $1"
                       " returning 1", account)  # fmt: skip
    await set_balance(applied, 0, "b1", entry - 10)

    assert found == [(BreakKind.LEDGER_VAULT, entry - 10, entry)]
    assert await compare(applied) == []


async def test_an_account_that_withdraws_above_the_block_is_compared_later(applied: Any) -> None:
    address = address_of(applied.traders["b1"])
    await applied.rows(
        "insert into settlement.chain_event (block_hash, log_index, block_number, transaction_hash, contract,"
        " name, tranche, address, amount, state)"
        " values ('\\x01', 0, 1000000, '\\x02', '\\x03', 'Withdrawn', 0, $1, 10, 'seen') returning 1",
        address,
    )
    await set_balance(applied, 0, "b1", applied.contracts.cash_of(applied.traders["b1"]) - 10)
    assert BreakKind.LEDGER_VAULT not in await kinds(applied)
    assert await undecided(applied) == {BreakKind.LEDGER_VAULT}


async def test_the_ledger_may_be_ahead_of_the_block_by_fills_and_deposits(applied: Any) -> None:
    before = "update settlement.watch_position set block_number = $1 where reader = 'batches' returning 1"
    block = (await applied.rows("select min(block_number) as block from settlement.batch"))[0]["block"]
    await applied.rows(before, block - 1)
    applied.contracts.deposit(applied.traders["s1"], 500)
    applied.mine(2)
    await applied.watcher().round()
    assert await compare(applied) == []
    assert (await last_run(applied))["block_number"] == block - 1
    assert await undecided(applied) == set()


async def test_cash_of_an_address_without_an_account_at_the_keeper_is_not_in_the_ledger(applied: Any) -> None:
    key = applied.contracts.investor("late", cash=700)
    await look(applied)
    await applied.open_account(key)
    assert await compare(applied) == []
    await applied.watcher().round()
    assert await compare(applied) == []
    assert await applied.rows("select from engine.cash where deposited_minor = 700") != []


async def test_cash_is_compared_when_the_keeper_has_taken_what_the_balances_show(applied: Any) -> None:
    transfer = "update engine.cash_transfer set state = $1 where account = $2 returning 1"
    position = "update engine.consumer_position set event = event + $1 returning 1"
    await applied.rows(position, -1)
    assert await compare(applied) == []
    assert await undecided(applied) == set()

    await applied.rows(transfer, "sent", applied.account_of_name("b1"))
    assert await compare(applied) == []
    assert await undecided(applied) == {
        BreakKind.LEDGER_VAULT, BreakKind.LEDGER_CASH, BreakKind.KEEPER_BOOKS, BreakKind.CASH_IN_SHARDS
    }  # fmt: skip
    assert not (await last_run(applied))["complete"]


async def test_an_outcome_is_not_expected_before_the_shard_has_answered(settled: Any) -> None:
    assert await compare(settled) == []
    assert BreakKind.OUTCOME in await undecided(settled)


async def test_an_outcome_that_was_never_told_is_a_break_once_the_shard_has_answered_all(
    settled: Any,
) -> None:
    await settled.rows(
        "delete from engine.command_outbox o using engine.source s where s.source = o.source"
        " and s.name = 'settlement' and number = 2 returning 1"
    )
    await settled.rows("update engine.fill set outcome = 1 where fill_number = 1 returning 1")
    before = await kinds(settled)
    await answer_all(settled)

    assert BreakKind.OUTCOME not in before
    assert (BreakKind.OUTCOME, 0, 1) in await compare(settled)


async def test_an_outcome_that_the_engine_sees_otherwise_is_a_break_at_once(settled: Any) -> None:
    await settled.rows("update engine.fill set outcome = 2 where fill_number = 1 returning 1")
    assert (BreakKind.OUTCOME, 0, 1) in await compare(settled)


async def test_what_stays_undecided_is_shown_and_the_venue_is_not_reconciled(settled: Any) -> None:
    reconciliation = settled.reconciliation()
    for _ in range(RUNS_UNDECIDED_MAX - 1):
        await reconciliation.round()
    before = await status_of(settled)
    await reconciliation.round()
    after = await status_of(settled)

    assert (before.undecided, before.breaks, before.reconciled_block) == ([], [], None)
    assert after.breaks == []
    assert {each.kind for each in after.undecided} >= {BreakKind.OUTCOME, BreakKind.LEDGER_TOKENS}
    assert {each.runs for each in after.undecided} == {RUNS_UNDECIDED_MAX}
    assert not after.is_reconciled


async def test_a_kind_that_is_not_compared_at_all_makes_no_complete_run(settled: Any) -> None:
    equal: dict[BreakKind, list[Comparison]] = {kind: [Comparison(kind, "x", 1, 1)] for kind in BreakKind}
    less = dict(equal)
    del less[BreakKind.LEDGER_CASH]
    async with settled.database.transaction() as connection:
        now = await connection.fetchval("select now()")
        await store_comparisons(connection, less, 1, now)
        assert await undecided(settled) == set()
    assert await undecided(settled) == {BreakKind.LEDGER_CASH}
    assert not (await last_run(settled))["complete"]
    async with settled.database.transaction() as connection:
        await store_comparisons(connection, equal, 1, now)
    assert (await last_run(settled))["complete"]


async def test_a_venue_is_reconciled_when_all_was_compared_since_it_last_did_something(applied: Any) -> None:
    assert await compare(applied) == []
    status = await status_of(applied)
    assert status.is_reconciled
    assert status.reconciled_block is not None
    idle = replace(status, active_age_s=3600.0, begun_age_s=7200.0)
    assert replace(idle, reconciled_age_s=3599.0).is_reconciled
    assert not replace(idle, reconciled_age_s=3601.0).is_reconciled
    assert not replace(idle, reconciled_age_s=None).is_reconciled
    assert replace(idle, active_age_s=None, begun_age_s=None, reconciled_age_s=None).is_reconciled
    assert replace(status, active_age_s=0.0, reconciled_age_s=50.0).is_reconciled
    assert not replace(status, active_age_s=0.0, reconciled_age_s=70.0).is_reconciled


async def test_the_status_counts_what_there_is(applied: Any) -> None:
    fill = await applied.match(applied.buy(applied.traders["b1"]), applied.sell(applied.traders["s1"]))
    await applied.reconciliation().round()
    status = await status_of(applied)

    assert status.batches == {"final": 1}
    assert status.instructions == {"final": 2}
    assert (status.unsettled, status.fails, status.held, status.breaks) == (1, 0, 0, [])
    assert status.oldest_unsettled_s is not None
    assert status.fills_final == 2
    assert status.gas_per_fill is not None
    assert 10_000 < status.gas_per_fill < 400_000
    assert status.reconciled_block is not None
    assert fill == 3
