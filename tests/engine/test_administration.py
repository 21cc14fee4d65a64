"""Tests of the acts of administration on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from engine.administration import Administration, AdministrationError
from engine.command_outbox import commands_above, outbox_source
from engine.database import Database
from engine.directory import Directory
from engine.money import Terms
from engine.reasons import Reason
from engine.settlement_facts import SettlementFacts
from ext.records import AccountOpen, Phase, PhaseSet, Record, TermsSet, TrancheList, decode

ADDRESS = bytes.fromhex("aa" * 20)
OTHER = bytes.fromhex("bb" * 20)
VENUE = SettlementFacts(chain_id=31337, cash=b"\x33" * 20)


@pytest.fixture
async def administration(
    engine_database: str, connection: asyncpg.Connection
) -> AsyncIterator[Administration]:
    """Administration of a venue of two shards."""
    await connection.execute("insert into engine.lease (shard) values (1), (2)")
    database = await Database.open(engine_database)
    yield Administration(database)
    await database.close()


def _document(symbol: str = "SOLAR-A", **changes: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "filing": {"number": "2026-017", "date": "2026-02-06", "authority": "Registrar"},
        "offering_document_sha256": "ab" * 32,
        "issuer": "Solar Receivables 2026-1",
        "chain_id": 31337,
        "token": "0x" + "11" * 20,
        "registry": "0x" + "22" * 20,
        "cash_token": "0x" + "33" * 20,
        "tick_size": "0.0025",
        "price_min": "50",
        "price_max": "150",
        "quantity_max": "1000000",
        "face_per_lot_minor": "100000",
        "terms": {"id": 1, "factor": "1", "accrued_per_lot": "0", "value_date": "2026-03-31"},
        **changes,
    }


async def _commands(connection: asyncpg.Connection, shard: int) -> list[Record]:
    source = await outbox_source(connection, "administration")
    return [decode(command.record) for command in await commands_above(connection, source, shard, 0, 99)]


async def test_an_account_is_opened_in_every_shard(
    administration: Administration, connection: asyncpg.Connection
) -> None:
    account, sent = await administration.open_account(ADDRESS, actor="ann")
    assert [(command.shard, command.number) for command in sent] == [(1, 1), (2, 1)]
    for shard in (1, 2):
        (command,) = await _commands(connection, shard)
        assert isinstance(command, AccountOpen)
        assert (command.header.account, command.owner) == (account, account)


async def test_opening_an_account_again_gives_the_same_and_sends_nothing(
    administration: Administration, connection: asyncpg.Connection
) -> None:
    account, _ = await administration.open_account(ADDRESS, 5, actor="ann")
    assert await administration.open_account(ADDRESS, actor="ben") == (account, [])
    assert await administration.open_account(ADDRESS, 5, actor="ben") == (account, [])
    with pytest.raises(AdministrationError) as refusal:
        await administration.open_account(ADDRESS, 6, actor="ben")
    assert refusal.value.reason == Reason.WRONG_OWNER
    assert len(await _commands(connection, 1)) == 1


async def test_an_account_opened_by_many_at_once_is_one(
    administration: Administration, connection: asyncpg.Connection
) -> None:
    opened = await asyncio.gather(*(administration.open_account(ADDRESS, actor="ann") for _ in range(4)))
    assert len({one.account for one in opened}) == 1
    assert len(await _commands(connection, 2)) == 1


async def test_an_address_of_the_wrong_length_is_refused(administration: Administration) -> None:
    with pytest.raises(AdministrationError, match="20 bytes"):
        await administration.open_account(ADDRESS[1:], actor="ann")


async def test_a_shard_added_later_is_told_of_all_accounts_once(
    administration: Administration, connection: asyncpg.Connection
) -> None:
    first, _ = await administration.open_account(ADDRESS, 9, actor="ann")
    second, _ = await administration.open_account(OTHER, actor="ann")
    await connection.execute("insert into engine.lease (shard) values (3)")
    assert await administration.introduce_accounts() == 2
    assert await administration.introduce_accounts() == 0
    commands = await _commands(connection, 3)
    assert [command.header.account for command in commands] == [first, second]
    assert isinstance(commands[0], AccountOpen)
    assert commands[0].owner == 9


async def test_tranches_go_to_the_shard_with_the_fewest(administration: Administration) -> None:
    shards = [
        (await administration.list_tranche(_document(f"T{n}"), VENUE, actor="ann")).shard for n in range(4)
    ]
    assert shards == [1, 2, 1, 2]


async def test_a_listing_carries_the_document_to_its_shard(
    administration: Administration, connection: asyncpg.Connection
) -> None:
    tranche, shard, sent = await administration.list_tranche(_document(), VENUE, actor="ann")
    source = await outbox_source(connection, "administration")
    (command,) = await commands_above(connection, source, shard, 0, 9)
    listing = decode(command.record)
    assert isinstance(listing, TrancheList)
    assert (listing.header.tranche, listing.tick_value_e9) == (tranche, 2_500_000_000)
    assert b'"symbol":"SOLAR-A"' in command.side
    assert sent is not None
    assert sent[:3] == (source, shard, 1)


async def test_listing_again_by_the_same_document_is_the_same_and_by_another_is_refused(
    administration: Administration,
) -> None:
    tranche, shard, _ = await administration.list_tranche(_document(), VENUE, actor="ann")
    again = await administration.list_tranche(dict(reversed(_document().items())), VENUE, actor="ben")
    assert again == (tranche, shard, None)
    with pytest.raises(AdministrationError) as refusal:
        await administration.list_tranche(_document(issuer="Somebody else"), VENUE, actor="ben")
    assert refusal.value.reason == Reason.ALREADY_EXISTS


async def test_a_document_that_the_gate_refuses_leaves_nothing(
    administration: Administration, connection: asyncpg.Connection
) -> None:
    for wrong in ({"issuer": ""}, {"chain_id": 1}, {"cash_token": "0x" + "34" * 20}):
        with pytest.raises(AdministrationError) as refusal:
            await administration.list_tranche(_document(**wrong), VENUE, actor="ann")
        assert refusal.value.reason == Reason.NOT_ADMITTED
    assert await connection.fetchval("select count(*) from engine.tranche") == 0


async def test_phase_and_terms_go_to_the_shard_of_their_tranche(
    administration: Administration, connection: asyncpg.Connection
) -> None:
    await administration.list_tranche(_document("FIRST"), VENUE, actor="ann")
    tranche, shard, _ = await administration.list_tranche(_document("SECOND"), VENUE, actor="ann")
    await administration.set_phase("SECOND", Phase.CALL, actor="ann")
    await administration.set_terms("SECOND", Terms(2, 2_500_000_000, 10**9, 0, 20260401), actor="ann")
    _, phase, terms = await _commands(connection, shard)
    assert isinstance(phase, PhaseSet)
    assert (phase.header.tranche, phase.phase) == (tranche, Phase.CALL)
    assert isinstance(terms, TermsSet)
    assert (terms.header.tranche, terms.terms_id) == (tranche, 2)


async def test_terms_whose_number_is_used_are_refused(
    administration: Administration, connection: asyncpg.Connection
) -> None:
    tranche, _, _ = await administration.list_tranche(_document(), VENUE, actor="ann")
    await connection.execute("insert into engine.terms values ($1, 2, 1, 1, 0, 20260101)", tranche)
    with pytest.raises(AdministrationError) as refusal:
        await administration.set_terms("SOLAR-A", Terms(2, 5, 10**9, 0, 20260401), actor="ann")
    assert refusal.value.reason == Reason.BAD_TERMS


async def test_an_unknown_symbol_is_refused(administration: Administration) -> None:
    with pytest.raises(AdministrationError) as refusal:
        await administration.set_phase("NOWHERE", Phase.CALL, actor="ann")
    assert refusal.value.reason == Reason.UNKNOWN_TRANCHE


async def test_a_participant_is_set_and_set_anew(
    engine_database: str, administration: Administration
) -> None:
    account, _ = await administration.open_account(ADDRESS, actor="ann")
    await administration.set_participant("mm", OTHER, [account], actor="ann")
    await administration.set_participant("mm", ADDRESS, [], "administrator", actor="ann")
    directory = Directory()
    reader = await asyncpg.connect(engine_database)
    await directory.refresh(reader)
    reader.terminate()
    participant = directory.participant("mm")
    assert participant is not None
    assert (participant.credential, participant.accounts) == (ADDRESS, frozenset())
    assert participant.is_administrator


async def test_a_participant_acts_for_accounts_that_exist_only(administration: Administration) -> None:
    with pytest.raises(AdministrationError) as refusal:
        await administration.set_participant("mm", OTHER, [77], actor="ann")
    assert refusal.value.reason == Reason.UNKNOWN_ACCOUNT


async def test_each_log_on_raises_the_session_epoch(administration: Administration) -> None:
    first, _ = await administration.open_account(ADDRESS, actor="ann")
    second, _ = await administration.open_account(OTHER, actor="ann")
    assert await administration.raise_session_epoch([first]) == {first: 1}
    assert await administration.raise_session_epoch([second, first, 99]) == {first: 2, second: 1}


async def test_every_act_says_who_did_it(
    administration: Administration, connection: asyncpg.Connection
) -> None:
    await administration.open_account(ADDRESS, actor="ann")
    await administration.list_tranche(_document(), VENUE, actor="ben")
    await administration.set_participant("mm", OTHER, [], actor="cyd")
    await administration.set_phase("SOLAR-A", Phase.CALL, actor="dan")
    rows = await connection.fetch("select actor, what from engine.administration_act order by act")
    assert [tuple(row) for row in rows] == [
        ("ann", "open account"),
        ("ben", "list tranche"),
        ("cyd", "set participant"),
        ("dan", "set phase"),
    ]
    assert (
        await connection.fetchval("select actor from engine.command_outbox order by written_at desc limit 1")
        == "dan"
    )
