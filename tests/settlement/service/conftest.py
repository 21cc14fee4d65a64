"""A settlement service on a real PostgreSQL and a real Anvil, with a bench that plays the engine beside it.

``bench``: the schemas applied, the tranche of ``contracts`` in the directory, and one line each to open an
account, to match a fill (as the projector writes it), to attest (as the attestor does), to see what is
stored.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import settlement
from engine.command import account_open, numbered, phase_set, place, stamped, tranche_list
from engine.database import Database, apply_engine_schema
from engine.money import cost_minor
from engine.settlement_batch import FillFact, attestation_digest, compose_batch
from engine.shard_core import ShardCore
from engine.signed_order import (
    KIND_ONCE,
    KIND_STANDING,
    SignedOrder,
    address_of,
    keccak256,
    order_digest,
    sign_digest,
)
from ext.records import OrderFlag, OrderPlace, Phase, Side, decode, decode_all, encode
from settlement.batch_runner import BatchRunner
from settlement.batching import BatchingPolicy
from settlement.chain_rpc import ChainRpc
from settlement.chain_watcher import ChainWatcher
from settlement.errors import ChainUnavailableError
from settlement.fill_facts import batch_facts
from settlement.finality import FinalityRule
from settlement.reconciliation import Reconciliation
from settlement.settlement_config import SettlementConfig
from settlement.signer import Signer

SHARD = 1
ROW_HASH = bytes(32)
VALID_UNTIL_S = 4_000_000_000


def key_of(name: str) -> bytes:
    """A private key that belongs to a name."""
    return keccak256(b"key of " + name.encode())


class Deaf:
    """A chain that does as told and whose answer to ``method`` is lost, once."""

    def __init__(self, chain: Any, method: str) -> None:
        self._chain, self._method, self.lost = chain, method, False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._chain, name)
        if name != self._method or self.lost:
            return found

        async def loses(*arguments: Any) -> None:
            await found(*arguments)
            self.lost = True
            raise ChainUnavailableError("the answer was lost")

        return loses


@dataclass
class Bench:
    """The engine's side of settlement's tables, and the service under test."""

    database: Database
    chain: ChainRpc
    contracts: Any
    config: SettlementConfig
    tranche: int
    account_of: dict[bytes, int] = field(default_factory=dict)
    key_by_address: dict[bytes, bytes] = field(default_factory=dict)
    traders: dict[str, bytes] = field(default_factory=dict)
    fill_number: int = 0

    def runner(self, chain: Any = None, database: Any = None, **changes: Any) -> BatchRunner:
        """A runner as a fresh process would have it."""
        config = replace(self.config, **changes)
        signer = Signer(config.operator_key, config.chain_id)
        return BatchRunner(database or self.database, chain or self.chain, signer, config)

    def watcher(self, chain: Any = None, database: Any = None, **changes: Any) -> ChainWatcher:
        """A watcher as a fresh process would have it."""
        return ChainWatcher(database or self.database, chain or self.chain, replace(self.config, **changes))

    def reconciliation(self) -> Reconciliation:
        """A reconciliation as a fresh process would have it."""
        return Reconciliation(self.database, self.chain, self.config)

    def mine(self, blocks: int = 1) -> None:
        """Let blocks pass."""
        for _ in range(blocks):
            self.contracts.node.rpc("evm_mine")

    async def investor(self, name: str, *, lots: int = 0, cash: int = 0) -> bytes:
        """An investor on chain with an open account; returns the private key."""
        key: bytes = self.contracts.investor(name, lots=lots, cash=cash)
        await self.open_account(key)
        return key

    async def account(self, key: bytes) -> int:
        """The account of the owner of a key."""
        return self.account_of[address_of(key)]

    async def open_account(self, key: bytes) -> int:
        """Open an account for the owner of a key, as administration does."""
        async with self.database.connection() as connection:
            account: int = await connection.fetchval(
                "insert into engine.account (address, owner) values ($1, 1) returning account",
                address_of(key),
            )
        self.account_of[address_of(key)], self.key_by_address[address_of(key)] = account, key
        return account

    def buy(self, key: bytes, **changes: Any) -> SignedOrder:
        """A buy with wide limits."""
        order: SignedOrder = self.contracts.buy(key, **{"valid_until": VALID_UNTIL_S, **changes})
        return order

    def sell(self, key: bytes, **changes: Any) -> SignedOrder:
        """A sell with wide limits."""
        order: SignedOrder = self.contracts.sell(key, **{"valid_until": VALID_UNTIL_S, **changes})
        return order

    async def match(
        self, buy: SignedOrder, sell: SignedOrder, *, signer: bytes | None = None, **changes: Any
    ) -> int:
        """A fill as the projector writes it, one lot at 9,900 ticks unless changed; returns its number."""
        self.fill_number += 1
        fact: FillFact = self.contracts.fill(self.fill_number, buy, sell, **changes)
        amount = self.amount_of(fact.lots, fact.price_ticks)
        async with self.database.transaction() as connection:
            order_ids = [await self._revision(connection, order, signer) for order in (buy, sell)]
            await connection.execute(
                "insert into engine.fill (tranche, fill_number, fill_id, shard, journal_row, price_ticks,"
                " quantity_lots, amount_minor, terms_id, aggressor, mode, buy_order_id, sell_order_id,"
                " buy_account, sell_account, buy_nonce, sell_nonce, buy_revision, sell_revision,"
                " buyer_fee_minor, seller_fee_minor, matched_at_ns)"
                " values ($1, $2, $2, $3, 1, $4, $5, $6, $7, 1, 1, $8, $9, $10, $11, $12, $13, $14, $15,"
                " 0, 0, $16)",
                self.tranche, self.fill_number, SHARD, fact.price_ticks, fact.lots, amount, fact.terms_id,
                *order_ids,
                self.account_of[buy.account], self.account_of[sell.account], buy.nonce, sell.nonce,
                buy.version, sell.version, fact.match_time_ns,
            )  # fmt: skip
        return self.fill_number

    async def _revision(self, connection: Any, order: SignedOrder, signer: bytes | None) -> int:
        account = self.account_of[order.account]
        key = signer or self.key_by_address[order.account]
        order_id = account * 1_000_000 + order.nonce
        await connection.execute(
            "insert into engine.order_revision (account, nonce, revision, order_id, tranche, side, standing,"
            " quantity_lots, price_ticks, cash_limit_minor, fee_limit_minor, valid_until_ns, signature)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) on conflict do nothing",
            account, order.nonce, order.version, order_id, self.tranche, order.side,
            order.kind == KIND_STANDING,
            order.quantity_lots, order.limit_price_ticks, order.cash_limit_per_lot, order.fee_limit,
            order.valid_until * 10**9, sign_digest(order_digest(self.contracts.venue.domain, order), key),
        )  # fmt: skip
        return order_id

    def other_chain(self) -> ChainRpc:
        """A connection to the node, configured for another chain."""
        return ChainRpc(self.contracts.node.url, self.contracts.venue.chain_id + 1)

    async def matched(self, count: int, lots: int = 2) -> list[int]:
        """Fills of fresh orders between changing parties of the market."""
        parties = [("b1", "s1"), ("b2", "s2")]
        fills = []
        for n in range(count):
            buyer, seller = (self.traders[name] for name in parties[n % 2])
            fills.append(await self.match(self.buy(buyer), self.sell(seller), lots=lots))
        return fills

    async def matched_across_a_once_order(self) -> list[int]:
        """Three fills: the first and the last of a once-order, the other between strangers to it."""
        once = self.buy(self.traders["b1"], kind=KIND_ONCE, quantity_lots=4)
        return [
            await self.match(once, self.sell(self.traders["s1"]), lots=2),
            await self.match(self.buy(self.traders["b2"]), self.sell(self.traders["s2"]), lots=2),
            await self.match(once, self.sell(self.traders["s2"]), lots=2),
        ]

    async def refuse_to_attest(self, fill_number: int) -> None:
        """Answer what settlement asked about a fill as the attestor does that found it to differ."""
        await self.rows(
            "update engine.attestation set refusal = 'differs from the journal'"
            " where $1 = any(fill_numbers) and signature is null returning batch",
            fill_number,
        )

    def account_of_name(self, name: str) -> int:
        """The account of a trader of the market."""
        return self.account_of[address_of(self.traders[name])]

    @property
    def shallow(self) -> FinalityRule:
        """Finality at once."""
        return FinalityRule(depth_blocks=0)

    def deaf(self, method: str) -> Deaf:
        """The chain, the first answer to ``method`` of which is lost."""
        return Deaf(self.chain, method)

    def amount_of(self, lots: int, price_ticks: int) -> int:
        """Cash of a fill in minor units."""
        return cost_minor(lots, price_ticks, self.contracts.terms)

    async def attest(self, key: bytes | None = None) -> int:
        """Answer what settlement asked, as the attestor does; returns how many batches were attested."""
        async with self.database.transaction() as connection:
            asked = await connection.fetch(
                "select batch, tranche, fill_numbers from engine.attestation"
                " where signature is null and refusal is null order by batch"
            )
            for row in asked:
                await self._attest_one(connection, row, key or key_of("attestor"))
        return len(asked)

    async def _attest_one(self, connection: Any, row: Any, key: bytes) -> None:
        venue, token = self.contracts.venue, self.contracts.tranche.token
        facts = await batch_facts(connection, row["tranche"], list(row["fill_numbers"]))
        digest = attestation_digest(
            venue.domain, SHARD, 1, ROW_HASH, token, venue.cash, compose_batch(facts.fills)
        )
        await connection.execute(
            "update engine.attestation set shard = $2, journal_row = 1, row_hash = $3, signature = $4"
            " where batch = $1",
            row["batch"], SHARD, ROW_HASH, sign_digest(digest, key),
        )  # fmt: skip

    async def settle_all(self, runner: BatchRunner, rounds: int = 60) -> None:
        """Run, attest and mine until every fill is decided; fails the test when that takes too long."""
        for _ in range(rounds):
            await runner.round()
            await self.attest()
            self.mine()
            if await self.undecided() == 0:
                return
        raise AssertionError(f"undecided: {await self.statuses()}")

    async def undecided(self) -> int:
        """Fills whose instruction is missing or neither final nor failed."""
        async with self.database.connection() as connection:
            count: int = await connection.fetchval(
                "select count(*) from engine.fill f"
                " left join settlement.instruction i using (tranche, fill_number)"
                " where i.status is null or i.status not in ('final', 'failed')"
            )
        return count

    async def statuses(self) -> dict[int, str]:
        """Status of every instruction by fill number."""
        rows = await self.rows("select fill_number, status from settlement.instruction order by fill_number")
        return {row["fill_number"]: row["status"] for row in rows}

    async def steps_of(self, fill_number: int) -> list[str]:
        """The statuses that a fill went through."""
        rows = await self.rows(
            "select status from settlement.transition where subject = 'instruction' and fill_number = $1"
            " order by transition",
            fill_number,
        )
        return [row["status"] for row in rows]

    async def rows(self, query: str, *values: Any) -> list[Any]:
        """Rows of a query."""
        async with self.database.connection() as connection:
            found: list[Any] = await connection.fetch(query, *values)
        return found

    def decoded(self, record: bytes) -> Any:
        """A record."""
        return decode(record)

    async def commands(self, source: str) -> list[Any]:
        """Commands that a source has written for the shard, decoded, in order."""
        rows = await self.rows(
            "select record from engine.command_outbox join engine.source using (source) where name = $1"
            " order by shard, number",
            source,
        )
        return [decode(row["record"]) for row in rows]


@pytest.fixture
async def bench(database: str, contracts: Any) -> AsyncIterator[Bench]:
    """See the module."""
    await apply_engine_schema(database)
    opened = await Database.open(database, name="test", size_max=3)
    await opened.apply_schema("settlement", Path(settlement.__file__).with_name("schema.sql"))
    document = {
        "token": "0x" + contracts.tranche.token.hex(),
        "registry": "0x" + contracts.tranche.registry.hex(),
        "cash_token": "0x" + contracts.venue.cash.hex(),
    }
    async with opened.connection() as connection:
        await connection.execute("insert into engine.lease (shard) values ($1)", SHARD)
        tranche = await connection.fetchval(
            "insert into engine.tranche (symbol, shard, document) values ('HBR1A', $1, $2) returning tranche",
            SHARD, json.dumps(document),
        )  # fmt: skip
    config = SettlementConfig(
        database_dsn=database,
        rpc_url=contracts.node.url,
        operator_key=key_of("operator"),
        deployment=contracts.venue,
        shards=[SHARD],
        finality=FinalityRule(depth_blocks=2),
        batching=BatchingPolicy(age_max_ns=-(10**18)),
    )
    async with ChainRpc(contracts.node.url, contracts.venue.chain_id) as chain:
        yield Bench(opened, chain, contracts, config, tranche)
    await opened.close()


@pytest.fixture
async def market(bench: Bench) -> Bench:
    """The bench with two buyers (b1, b2) and two sellers (s1, s2) that have funds."""
    for name in ("b1", "b2"):
        bench.traders[name] = await bench.investor(name, cash=100_000_000)
    for name in ("s1", "s2"):
        bench.traders[name] = await bench.investor(name, lots=1_000)
    return bench


class ShardBeside:
    """A real shard core that takes what settlement and the watcher of a bench have written for it."""

    SOURCE = 900

    def __init__(self, bench: Bench) -> None:
        self.core = ShardCore(SHARD)
        self._bench = bench
        self._nonce = bench.tranche << 40
        listing = tranche_list(
            bench.tranche, bench.contracts.terms, document=b"{}", price_min_ticks=1, price_max_ticks=100_000,
            quantity_max_lots=10**6,
        )  # fmt: skip
        self.send(listing)
        self.send(phase_set(bench.tranche, Phase.CONTINUOUS))

    def send(self, command: Any) -> list[Any]:
        """Apply a command of nobody in particular; returns its events."""
        return self._apply(numbered(command, self.SOURCE, 1, self._next(self.SOURCE)))

    def order(self, account: int, side: Side, lots: int) -> OrderPlace:
        """A standing order at 9,900 ticks."""
        self._nonce += 1
        return place(
            account, self._bench.tranche, str(self._nonce), side=side, price_ticks=9_900, quantity_lots=lots,
            nonce=self._nonce, valid_until_ns=2**62, cash_limit_minor=2**40 if side == Side.BUY else 0,
            fee_limit_minor=2**40, flags=OrderFlag.STANDING,
        )  # fmt: skip

    async def take(self, source: str, *, journal_from: int | None = None) -> list[Any]:
        """Apply what a source has written and this has not taken; returns the events, journalled as rows from
        ``journal_from`` on if that is given.
        """
        for account in self._bench.account_of.values():
            self.send(account_open(account, account))
        events = []
        for command in await self._bench.commands(source):
            if command.header.number >= self._next(command.header.source):
                events += self._apply(command)
                if journal_from is not None:
                    await self._journal(journal_from, events[-1])
                    journal_from += 1
        return events

    def _next(self, source: int) -> int:
        return (self.core.source_number(source, 1) or 0) + 1

    def _apply(self, command: Any) -> list[Any]:
        sequence = self.core.last_command + 1
        return list(decode_all(self.core.apply(encode(stamped(command, sequence, 10**18 + sequence)))))

    async def _journal(self, row: int, answer: Any) -> None:
        await self._bench.rows(
            "insert into engine.journal (shard, row, epoch, first_command, last_command, first_event,"
            " last_event, commands, side, events, previous_hash, hash)"
            " values ($1, $2, 1, $2, $2, $2, $2, '', '', $3, '', '') returning 1",
            SHARD, row, encode(answer),
        )  # fmt: skip


@pytest.fixture
def shard(bench: Bench) -> ShardBeside:
    """A shard that plays with the bench."""
    return ShardBeside(bench)
