"""Tests of the projection on what a real shard core makes of orders."""

from typing import Any

from engine.command import cancel, replace, settlement_failed, settlement_final
from engine.journal import JournalRow
from engine.projection import (
    BALANCE_COLUMNS,
    FILL_COLUMNS,
    ORDER_COLUMNS,
    REVISION_COLUMNS,
    Projection,
    commands_with_side,
    project,
)
from ext.records import OrderFlag, OrderPlace, OrderStatus, Side, Sourced, Trade, encode

TRANCHE = 3
ANN, BEN = 1, 2


async def _rows(place: Any) -> list[JournalRow]:
    found = await place.pool.fetch(
        "select shard, row, epoch, first_command, last_command, first_event, last_event, commands, side,"
        " events, previous_hash, hash, state_digest from engine.journal order by shard, row"
    )
    return [JournalRow(*row) for row in found]


def _named(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in rows]


async def _traded(start_shard: Any, meeting_place: Any) -> tuple[Any, Projection]:
    """A shard where Ben sold 40 of his 100 lots to Ann."""
    shard = await start_shard(1)
    await shard.open_market(TRANCHE, [ANN, BEN])
    sell = shard.order(BEN, TRANCHE, Side.SELL, 40_000, 100, flags=OrderFlag.STANDING, signature=b"s" * 65)
    await shard.apply(Sourced(encode(sell), b"s" * 65))
    await shard.apply(shard.order(ANN, TRANCHE, Side.BUY, 40_010, 40))
    return shard, project(await _rows(meeting_place))


async def test_a_fill_is_told_with_its_orders_and_its_row(start_shard: Any, meeting_place: Any) -> None:
    shard, found = await _traded(start_shard, meeting_place)
    (fill,) = _named(FILL_COLUMNS, found.fills)
    rows = await _rows(meeting_place)
    assert (fill["tranche"], fill["fill_number"], fill["journal_row"], fill["shard"]) == (TRANCHE, 1, 3, 1)
    assert (fill["price_ticks"], fill["quantity_lots"], fill["amount_minor"]) == (40_000, 40, 4_000_000)
    assert (fill["buy_account"], fill["sell_account"], fill["aggressor"]) == (ANN, BEN, Side.BUY)
    assert (fill["buy_nonce"] & 0xFF, fill["sell_nonce"] & 0xFF) == (2, 1)
    assert (fill["buyer_fee_minor"], fill["seller_fee_minor"]) == (80, 40)
    assert (found.last_row, found.last_event) == (rows[-1].row, shard.core.last_event)


async def test_orders_stand_as_their_last_report_says(start_shard: Any, meeting_place: Any) -> None:
    _, found = await _traded(start_shard, meeting_place)
    sell, buy = _named(ORDER_COLUMNS, found.orders)
    assert (sell["status"], sell["leaves_lots"], sell["cum_lots"]) == (OrderStatus.PARTIALLY_FILLED, 60, 40)
    assert (sell["client_order_id"], sell["account"], sell["side"]) == ("order-1", BEN, Side.SELL)
    assert sell["placed_at_ns"] < sell["changed_at_ns"] == buy["placed_at_ns"] == buy["changed_at_ns"]
    assert buy["status"] == OrderStatus.FILLED


async def test_every_accepted_revision_is_kept_as_it_was_signed(start_shard: Any, meeting_place: Any) -> None:
    shard = await start_shard(1)
    await shard.open_market(TRANCHE, [ANN])
    first = shard.order(ANN, TRANCHE, Side.BUY, 40_000, 5, flags=OrderFlag.STANDING, signature=b"1" * 65)
    second = replace(
        first, "r", revision=2, original_client_order_id="order-1", quantity_lots=7, signature=b"2" * 65
    )
    refused = replace(first, "x", revision=9, original_client_order_id="order-1", signature=b"9" * 65)
    await shard.apply(*(Sourced(encode(o), bytes([48 + o.revision]) * 65) for o in (first, second, refused)))
    found = project(await _rows(meeting_place))
    revisions = _named(REVISION_COLUMNS, found.revisions)
    assert [(row["revision"], row["quantity_lots"], row["signature"][:1]) for row in revisions] == [
        (1, 5, b"1"),
        (2, 7, b"2"),
    ]
    assert {row["order_id"] for row in revisions} == {row[0] for row in found.orders}
    assert all(row["standing"] and row["journal_row"] == 2 for row in revisions)
    (order,) = _named(ORDER_COLUMNS, found.orders)
    assert (order["revision"], order["quantity_lots"], order["client_order_id"]) == (2, 7, "order-1")


async def test_a_repeated_client_order_id_changes_no_order(start_shard: Any, meeting_place: Any) -> None:
    shard, before = await _traded(start_shard, meeting_place)
    await shard.apply(cancel(ANN, TRANCHE, "order-2", original_client_order_id="order-2"))
    after = project(await _rows(meeting_place))
    assert after.orders == before.orders
    assert len(after.stream_events) == len(before.stream_events) + 1


async def test_private_streams_are_dense_and_hold_the_records(start_shard: Any, meeting_place: Any) -> None:
    _, found = await _traded(start_shard, meeting_place)
    streams: dict[tuple[int, int], list[int]] = {}
    for shard, account, tranche, sequence, event, record in found.stream_events:
        assert shard == 1
        assert len(record) % 64 == 0
        assert int.from_bytes(record[24:32], "little") == event
        streams.setdefault((account, tranche), []).append(sequence)
    assert streams.keys() == {(ANN, TRANCHE), (BEN, TRANCHE), (ANN, 0), (BEN, 0)}
    assert all(sorted(numbers) == list(range(1, len(numbers) + 1)) for numbers in streams.values())


async def test_a_refusal_of_a_stranger_is_in_no_stream(start_shard: Any, meeting_place: Any) -> None:
    shard = await start_shard(1)
    await shard.open_market(TRANCHE, [ANN])
    before = project(await _rows(meeting_place))
    await shard.apply(shard.order(77, TRANCHE, Side.BUY, 40_000, 1))
    after = project(await _rows(meeting_place))
    assert after.stream_events == before.stream_events
    assert after.last_event == before.last_event + 1


async def test_balances_stand_where_they_ended(start_shard: Any, meeting_place: Any) -> None:
    _, found = await _traded(start_shard, meeting_place)
    balances = {
        (row["account"], row["tranche"]): (row["free"], row["earmarked"], row["in_settlement"])
        for row in _named(BALANCE_COLUMNS, found.balances)
    }
    assert balances[ANN, 0] == (10**12 - 4_000_080, 0, 4_000_080)
    assert balances[BEN, TRANCHE] == (10**6 - 100, 60, 40)


async def test_final_and_failed_fills_are_told_apart(start_shard: Any, meeting_place: Any) -> None:
    shard, _ = await _traded(start_shard, meeting_place)
    await shard.apply(shard.order(ANN, TRANCHE, Side.BUY, 40_000, 10))
    await shard.apply(settlement_failed(TRANCHE, 2, reason=5), settlement_final(TRANCHE, 1))
    found = project(await _rows(meeting_place))
    assert sorted(found.outcomes) == [(TRANCHE, 1, 1), (TRANCHE, 2, 2)]


async def test_terms_count_once_they_are_applied(start_shard: Any, meeting_place: Any) -> None:
    _, found = await _traded(start_shard, meeting_place)
    assert found.terms == [(TRANCHE, 1, 2_500_000_000, 10**9, 0, 20260331)]


async def test_the_parts_of_a_journal_project_to_the_whole(start_shard: Any, meeting_place: Any) -> None:
    _, whole = await _traded(start_shard, meeting_place)
    rows = await _rows(meeting_place)
    parts = [project([row]) for row in rows]
    assert [fill for part in parts for fill in part.fills] == whole.fills
    assert sorted(e for part in parts for e in part.stream_events) == sorted(whole.stream_events)
    assert [revision for part in parts for revision in part.revisions] == whole.revisions


async def test_commands_are_read_with_their_own_side_data(start_shard: Any, meeting_place: Any) -> None:
    await _traded(start_shard, meeting_place)
    listing, *others = commands_with_side((await _rows(meeting_place))[0])
    assert listing.side == b"{}"
    assert not any(command.side for command in others)
    (sell,) = commands_with_side((await _rows(meeting_place))[1])
    assert sell.side == b"s" * 65


def test_the_columns_of_a_fill_are_fields_of_a_trade() -> None:
    elsewhere = {"tranche", "shard", "journal_row", "matched_at_ns"}
    assert set(FILL_COLUMNS) - elsewhere <= set(Trade._fields)
    assert "nonce" in OrderPlace._fields
