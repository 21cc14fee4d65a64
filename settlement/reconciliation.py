"""Continuous reconciliation: chain, tables and the engine's ledger must say the same (DESIGN 7).

Chain and tables are compared at one final block that both readers of the chain have passed; tables and ledger
in one snapshot of the database, and only where the engine has answered all it was told. So a difference is
never a matter of timing, and each is a break.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from engine.database import Database
from settlement.answered_outcomes import read_answered_outcomes
from settlement.batch_following import READER as RUNNER
from settlement.chain import Call, Chain
from settlement.comparison import BreakKind, Comparison, store_comparisons
from settlement.contract_abi import ContractName, contract_abi
from settlement.ledger_comparison import compare_ledger
from settlement.ledger_holdings import LedgerHolding, cash_holdings, token_holdings
from settlement.settlement_config import SettlementConfig
from settlement.telling import CASH
from settlement.watch_position import read_positions

FILL_BITS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Decided:
    """A fill that ended, as final or failed."""

    token: bytes
    subject: str
    fill_number: int
    final: bool


class Reconciliation:
    """Compares in rounds; every decided fill's bit on chain is looked at once in a process's life."""

    def __init__(self, database: Database, chain: Chain, config: SettlementConfig) -> None:
        self._database = database
        self._chain = chain
        self._config = config
        self._bits_checked = 0

    async def round(self) -> int:
        """Compare once, store what differs; returns 0, so that the next round waits its turn."""
        await read_answered_outcomes(self._database)
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            block = await self._block(connection)
            if block is None:
                return 0
            holdings = await connection.fetch(_EXPECTED_HOLDINGS, block)
            tokens = await _tokens(connection)
            decided, checked = await self._newly_decided(connection, block, tokens)
            compared = await compare_ledger(connection)
            cash = await cash_holdings(connection, block)
            lots = await token_holdings(connection, block)
            as_of = await connection.fetchval("select now()")
        compared |= await self._compare_vault(block, holdings, cash)
        compared[BreakKind.LOCKED_TOKENS] = await self._compare_locks(block, holdings, tokens)
        compared[BreakKind.DELIVERABLE] = await self._compare_deliverable(block, lots, tokens)
        compared[BreakKind.FILL_BIT] = await self._compare_bits(block, decided)
        async with self._database.transaction() as connection:
            await store_comparisons(connection, compared, block, as_of)
        self._bits_checked = checked
        return 0

    async def _block(self, connection: asyncpg.Connection) -> int | None:
        """The newest block that runner and watcher have both passed; None before the first."""
        positions = await read_positions(connection)
        watched = [each.block_number for reader, each in positions.items() if reader != RUNNER]
        if RUNNER not in positions or not watched:
            return None
        return min(positions[RUNNER].block_number, *watched)

    async def _compare_vault(
        self, block: int, holdings: Sequence[Any], cash: Sequence[LedgerHolding]
    ) -> dict[BreakKind, list[Comparison]]:
        """Entries of every account against tables and ledger, their sum, and that the vault covers them."""
        venue, abi = self._config.deployment, contract_abi(ContractName.VAULT)
        expected = {row["address"]: int(row["amount"]) for row in holdings if row["tranche"] == CASH}
        addresses = sorted({*expected, *(holding.address for holding in cash)})
        calls = [Call(venue.vault, abi.call("entryOf", venue.cash, address)) for address in addresses]
        calls.append(Call(venue.vault, abi.call("totalEntries", venue.cash)))
        balance_of = contract_abi(ContractName.TEST_CASH).call("balanceOf", venue.vault)
        *values, total, balance = await self._values([*calls, Call(venue.cash, balance_of)], block)
        entries = dict(zip(addresses, values, strict=True))
        return {
            BreakKind.VAULT_ENTRY: [
                Comparison(BreakKind.VAULT_ENTRY, "0x" + address.hex(), expected.get(address, 0), entry)
                for address, entry in entries.items()
            ],
            BreakKind.VAULT_TOTAL: [
                Comparison(BreakKind.VAULT_TOTAL, "vault", sum(expected.values()), total)
            ],
            BreakKind.VAULT_BALANCE: [
                Comparison(BreakKind.VAULT_BALANCE, "vault", total, balance, at_least=True)
            ],
            BreakKind.LEDGER_VAULT: [_ledger_vault(holding, entries[holding.address]) for holding in cash],
        }

    async def _compare_locks(
        self, block: int, holdings: Sequence[Any], tokens: dict[int, tuple[str, bytes]]
    ) -> list[Comparison]:
        """Locked tokens of every account in every tranche."""
        rows = [row for row in holdings if row["tranche"] in tokens]
        token = contract_abi(ContractName.TRANCHE_TOKEN)
        calls = [Call(tokens[row["tranche"]][1], token.call("lockedOf", row["address"])) for row in rows]
        return [
            Comparison(
                BreakKind.LOCKED_TOKENS,
                f"{tokens[row['tranche']][0]} 0x{row['address'].hex()}",
                int(row["amount"]),
                locked,
            )
            for row, locked in zip(rows, await self._values(calls, block), strict=True)
        ]

    async def _compare_deliverable(
        self, block: int, lots: Sequence[LedgerHolding], tokens: dict[int, tuple[str, bytes]]
    ) -> list[Comparison]:
        """That the contract would deliver what each account has in its shard."""
        token = contract_abi(ContractName.TRANCHE_TOKEN)
        calls = [
            Call(tokens[holding.tranche][1], token.call(function, holding.address))
            for holding in lots
            for function in ("lockedOf", "balanceOf", "getFrozenTokens")
        ]
        words = iter(await self._values(calls, block))
        return [
            Comparison(
                BreakKind.DELIVERABLE,
                f"{tokens[holding.tranche][0]} account {holding.account}",
                holding.held - holding.ahead,
                min(locked, balance - frozen),
                at_least=True,
                decided=holding.decided,
            )
            for holding, locked, balance, frozen in zip(lots, words, words, words, strict=True)
        ]

    async def _compare_bits(self, block: int, decided: Sequence[_Decided]) -> list[Comparison]:
        """The contract's bit of every newly decided fill; undecided while more wait to be looked at."""
        dvp, address = contract_abi(ContractName.DVP), self._config.deployment.dvp
        calls = [Call(address, dvp.call("isSettled", fill.token, fill.fill_number)) for fill in decided]
        found = [
            Comparison(BreakKind.FILL_BIT, fill.subject, int(fill.final), bit)
            for fill, bit in zip(decided, await self._values(calls, block), strict=True)
        ]
        if len(decided) == FILL_BITS_AT_ONCE:
            found.append(Comparison(BreakKind.FILL_BIT, "fills not looked at yet", 0, 0, decided=False))
        return found

    async def _newly_decided(
        self, connection: asyncpg.Connection, block: int, tokens: dict[int, tuple[str, bytes]]
    ) -> tuple[list[_Decided], int]:
        """Fills decided since the last look and, if final, in blocks up to this one; and the transition up to
        which all have been looked at then, which is below the first that must wait for its block.
        """
        rows = await connection.fetch(_NEWLY_DECIDED, self._bits_checked, block, FILL_BITS_AT_ONCE)
        waiting = min((row["transition"] for row in rows if not row["due"]), default=None)
        due = [row for row in rows if row["due"]]
        looked_at = [row["transition"] for row in due if waiting is None or row["transition"] < waiting]
        return [_decided(row, tokens) for row in due], max([self._bits_checked, *looked_at])

    async def _values(self, calls: Sequence[Call], block: int) -> list[int]:
        """What calls return on the state after a block, each one number."""
        return [int.from_bytes(found, "big") for found in await self._chain.calls(calls, block)]


def _ledger_vault(holding: LedgerHolding, entry: int) -> Comparison:
    return Comparison(
        BreakKind.LEDGER_VAULT,
        f"account {holding.account}",
        entry + holding.ahead,
        holding.held,
        decided=holding.decided,
    )


def _decided(row: Any, tokens: dict[int, tuple[str, bytes]]) -> _Decided:
    symbol, token = tokens[row["tranche"]]
    return _Decided(token, f"{symbol} {row['fill_number']}", row["fill_number"], row["status"] == "final")


async def _tokens(connection: asyncpg.Connection) -> dict[int, tuple[str, bytes]]:
    """Symbol and token address of every tranche."""
    rows = await connection.fetch("select tranche, symbol, document ->> 'token' as token from engine.tranche")
    return {row["tranche"]: (row["symbol"], bytes.fromhex(row["token"].removeprefix("0x"))) for row in rows}


_EXPECTED_HOLDINGS: Final = """
with moved as (
    select address, tranche, case name
        when 'Deposited' then amount when 'Locked' then amount
        when 'Withdrawn' then -amount when 'Unlocked' then -amount when 'LockBroken' then -amount
        when 'DeliveredUnlocked' then -amount else 0 end as amount
    from settlement.chain_event where state = 'final' and block_number <= $1
), settled as (
    select f.tranche, f.buy_account, f.sell_account, f.quantity_lots, f.amount_minor
    from settlement.batch b
    join settlement.instruction i using (batch)
    join engine.fill f on f.tranche = i.tranche and f.fill_number = i.fill_number
    where b.status = 'final' and b.block_number <= $1
), legs as (
    select buy_account as account, tranche, quantity_lots as amount from settled
    union all select sell_account, tranche, -quantity_lots from settled
    union all select buy_account, 0, -amount_minor from settled
    union all select sell_account, 0, amount_minor from settled
), parts as (
    select address, tranche, sum(amount) as amount from moved group by address, tranche
    union all
    select a.address, l.tranche, sum(l.amount) from legs l join engine.account a using (account)
    group by a.address, l.tranche
)
select address, tranche, sum(amount) as amount from parts group by address, tranche
"""

_NEWLY_DECIDED: Final = """
select t.transition, t.tranche, t.fill_number, t.status,
    t.status = 'failed' or coalesce(b.block_number <= $2, false) as due
from settlement.transition t
join engine.tranche r on r.tranche = t.tranche
left join settlement.batch b on b.batch = t.batch
where (t.transition > $1 or exists (
        select from settlement.reconciliation_break k
        where k.kind = 'fill_bit' and k.subject = r.symbol || ' ' || t.fill_number and k.cleared_at is null))
    and t.subject = 'instruction' and t.status in ('final', 'failed')
order by t.transition <= $1, t.transition limit $3
"""
