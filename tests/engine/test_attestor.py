"""Tests of the attestor over a real journal: what it signs, and everything it must not sign."""

from typing import Any

import asyncpg
import pytest

from engine.attestor import Attestor
from engine.command import replace, settlement_failed
from engine.fill_proof import signed_order
from engine.journal import row_hash
from engine.postgres_projector import PostgresProjector
from engine.settlement_batch import FillFact, attestation_digest, compose_batch
from engine.signed_order import Domain, address_of, order_digest, recover_signer, sign_digest
from ext.records import OrderFlag, OrderPlace, Side, Sourced, encode

TRANCHE = 3
ANN, BEN = 1, 2
KEYS = {ANN: b"\x0a" * 32, BEN: b"\x0b" * 32}
ENGINE_KEY = b"\x0e" * 32
DOMAIN = Domain(31337, b"\xd0" * 20)
TOKEN, CASH = b"\x11" * 20, b"\x33" * 20


def _signature(order: OrderPlace, key: bytes) -> bytes:
    return sign_digest(order_digest(DOMAIN, _signed(order)), key)


def _signed(order: OrderPlace) -> Any:
    return signed_order(order, address_of(KEYS[order.header.account]), TOKEN, CASH)


def _sourced(order: OrderPlace, key: bytes | None = None) -> Sourced:
    """The command with its account's signature (or another key's)."""
    return Sourced(encode(order), _signature(order, key or KEYS[order.header.account]))


@pytest.fixture
async def market(start_shard: Any, connection: asyncpg.Connection) -> Any:
    """A shard with one open tranche, and two accounts with keys."""
    shard = await start_shard(1)
    await shard.open_market(TRANCHE, [ANN, BEN])
    for account, key in KEYS.items():
        await connection.execute(
            "insert into engine.account (account, address, owner) values ($1, $2, $1)",
            account, address_of(key),
        )  # fmt: skip
    await connection.execute(
        "insert into engine.tranche (tranche, symbol, shard, document)"
        " overriding system value values ($1, 'SOLAR-A', 1, $2)",
        TRANCHE, f'{{"token": "0x{TOKEN.hex()}", "cash_token": "0x{CASH.hex()}"}}',
    )  # fmt: skip
    return shard


@pytest.fixture
def attestor(meeting_place: Any) -> Attestor:
    """The engine's attestor."""
    return Attestor(meeting_place, DOMAIN, ENGINE_KEY)


async def _project(meeting_place: Any) -> None:
    while await PostgresProjector(meeting_place, 1).step():
        pass


async def _ask(connection: asyncpg.Connection, attestor: Attestor, *fills: int) -> Any:
    batch = 1 + await connection.fetchval("select coalesce(max(batch), 0) from engine.attestation")
    await connection.execute(
        "insert into engine.attestation values ($1, $2, $3)", batch, TRANCHE, list(fills)
    )
    assert await attestor.step() == 1
    return await connection.fetchrow("select * from engine.attestation where batch = $1", batch)


async def _two_fills(market: Any, meeting_place: Any) -> tuple[OrderPlace, OrderPlace]:
    """Ben offers 100; Ann takes 40, and 10 under a second revision."""
    sell = market.order(BEN, TRANCHE, Side.SELL, 40_000, 100, flags=OrderFlag.STANDING)
    buy = market.order(ANN, TRANCHE, Side.BUY, 40_000, 140, flags=OrderFlag.STANDING)
    await market.apply(_sourced(sell))
    await market.apply(_sourced(buy))
    more = market.order(BEN, TRANCHE, Side.SELL, 40_000, 10, flags=OrderFlag.STANDING)
    await market.apply(_sourced(more))
    await _project(meeting_place)
    return buy, sell


async def test_a_batch_of_matched_fills_is_signed_with_the_row_of_its_last(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection
) -> None:
    await _two_fills(market, meeting_place)
    answer = await _ask(connection, attestor, 1, 2)
    assert answer["refusal"] is None
    rows = await connection.fetch(
        "select f.*, j.hash from engine.fill f join engine.journal j on j.row = journal_row"
    )
    last = max(rows, key=lambda row: row["fill_number"])
    assert (answer["shard"], answer["journal_row"], answer["row_hash"]) == (
        1,
        last["journal_row"],
        last["hash"],
    )


async def test_the_signature_is_the_engines_over_what_was_matched_and_signed(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection
) -> None:
    buy, sell = await _two_fills(market, meeting_place)
    answer = await _ask(connection, attestor, 1)
    row = await connection.fetchrow("select * from engine.fill where fill_number = 1")
    fact = FillFact(1, 100, 40_000, row["matched_at_ns"], 1, _signed(buy), _signed(sell))
    batch = compose_batch([fact])
    digest = attestation_digest(DOMAIN, 1, row["journal_row"], answer["row_hash"], TOKEN, CASH, batch)
    assert recover_signer(digest, answer["signature"]) == address_of(ENGINE_KEY)


async def test_fills_settle_under_the_revision_that_matched(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection
) -> None:
    first = market.order(ANN, TRANCHE, Side.BUY, 39_000, 50, flags=OrderFlag.STANDING)
    second = replace(first, "r", revision=2, original_client_order_id="order-1", price_ticks=40_000)
    await market.apply(_sourced(first))
    await market.apply(_sourced(second))
    await market.apply(_sourced(market.order(BEN, TRANCHE, Side.SELL, 40_000, 50)))
    await _project(meeting_place)
    assert (await _ask(connection, attestor, 1))["refusal"] is None
    assert await connection.fetchval("select buy_revision from engine.fill") == 2


async def test_an_invented_fill_is_refused(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection
) -> None:
    await _two_fills(market, meeting_place)
    assert "fill 3 is not in the journal" in (await _ask(connection, attestor, 1, 3))["refusal"]
    await connection.execute(
        "create temp table f as select * from engine.fill where fill_number = 1;"
        " update f set fill_number = 3, fill_id = 77; insert into engine.fill select * from f"
    )
    answer = await _ask(connection, attestor, 1, 3)
    assert "fill 3 is not in journal row" in answer["refusal"]
    assert answer["signature"] is None


@pytest.mark.parametrize(
    "change",
    [
        "price_ticks = price_ticks - 1",
        "quantity_lots = 1",
        "buy_account = 2",
        "matched_at_ns = 5",
        "terms_id = 2",
    ],
)
async def test_a_fill_that_was_changed_in_the_tables_is_refused(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection, change: str
) -> None:
    await _two_fills(market, meeting_place)
    await connection.execute(f"update engine.fill set {change} where fill_number = 1")
    assert "fill 1 differs from the journal" in (await _ask(connection, attestor, 1))["refusal"]


@pytest.mark.parametrize(
    "change",
    ["price_ticks = price_ticks + 1", "quantity_lots = 10^6", "valid_until_ns = 0", "signature = '\\x00'"],
)
async def test_an_order_that_was_changed_in_the_tables_is_refused(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection, change: str
) -> None:
    await _two_fills(market, meeting_place)
    await connection.execute(f"update engine.order_revision set {change} where account = $1", ANN)
    assert "the buy order of fill 1 differs" in (await _ask(connection, attestor, 1))["refusal"]


async def test_an_order_that_is_gone_from_the_tables_is_refused(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection
) -> None:
    await _two_fills(market, meeting_place)
    await connection.execute("delete from engine.order_revision where account = $1", BEN)
    assert (
        "the sell order of fill 1 is not in the journal" in (await _ask(connection, attestor, 1))["refusal"]
    )


async def test_a_journal_row_that_was_altered_is_refused_even_with_a_hash_that_fits(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection
) -> None:
    await _two_fills(market, meeting_place)
    row = await connection.fetchrow(
        "select j.* from engine.journal j join engine.fill on journal_row = row where fill_number = 1"
    )
    price = (40_000).to_bytes(8, "little")
    events = row["events"].replace(price, (40_001).to_bytes(8, "little"))
    await connection.execute("update engine.journal set events = $2 where row = $1", row["row"], events)
    assert "does not chain" in (await _ask(connection, attestor, 1))["refusal"]
    forged = row_hash(row["previous_hash"], 1, row["row"], row["epoch"], row["commands"], row["side"], events)
    await connection.execute("update engine.journal set hash = $2 where row = $1", row["row"], forged)
    assert "does not chain" in (await _ask(connection, attestor, 1))["refusal"]


async def test_an_order_that_its_account_did_not_sign_is_refused(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection
) -> None:
    await market.apply(_sourced(market.order(BEN, TRANCHE, Side.SELL, 40_000, 5)))
    await market.apply(_sourced(market.order(ANN, TRANCHE, Side.BUY, 40_000, 5), KEYS[BEN]))
    await _project(meeting_place)
    assert "the buy order of fill 1 was not signed" in (await _ask(connection, attestor, 1))["refusal"]


async def test_a_directory_that_names_another_token_or_account_gets_no_signature(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection
) -> None:
    await _two_fills(market, meeting_place)
    document = f'{{"token": "0x{CASH.hex()}", "cash_token": "0x{CASH.hex()}"}}'
    before = await connection.fetchval("select document::text from engine.tranche")
    await connection.execute("update engine.tranche set document = $1", document)
    assert "was not signed" in (await _ask(connection, attestor, 1))["refusal"]
    await connection.execute("update engine.tranche set document = $1", before)
    await connection.execute("update engine.account set address = $1 where account = $2", b"\x99" * 20, ANN)
    assert "was not signed" in (await _ask(connection, attestor, 1))["refusal"]


async def test_a_fill_that_failed_is_never_signed_again(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection
) -> None:
    await _two_fills(market, meeting_place)
    await market.apply(settlement_failed(TRANCHE, 1))
    await _project(meeting_place)
    assert "fill 1 is already decided" in (await _ask(connection, attestor, 1, 2))["refusal"]


async def test_a_batch_of_nothing_or_of_an_unknown_tranche_is_refused(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection
) -> None:
    assert (await _ask(connection, attestor))["refusal"] == "no fill was named"
    await _two_fills(market, meeting_place)
    await connection.execute("delete from engine.tranche")
    assert "not listed" in (await _ask(connection, attestor, 1))["refusal"]


async def test_an_answer_is_given_once(
    market: Any, meeting_place: Any, attestor: Attestor, connection: asyncpg.Connection
) -> None:
    await _two_fills(market, meeting_place)
    await _ask(connection, attestor, 1)
    assert await attestor.step() == 0
