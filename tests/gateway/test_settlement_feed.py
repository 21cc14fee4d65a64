"""Following settlement's steps by number."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.settlement_feed import NumberTrack


@given(order=st.permutations(range(1, 30)))
def test_numbers_that_appear_late_are_all_handled(order: list[int]) -> None:
    track = NumberTrack(0)
    for number in order:
        track.handled(number)
        assert track.low < 30
    assert (track.low, track.above) == (29, set())


def test_a_number_that_never_comes_is_passed_over_after_a_while() -> None:
    track = NumberTrack(10)
    for number in (11, 13, 14, 16):
        track.handled(number)
    assert track.low == 11
    track.give_up(100.0, 10)
    track.give_up(109.9, 10)
    assert track.low == 11
    track.give_up(110.0, 10)
    assert (track.low, track.above) == (14, {16})


async def test_the_parties_hear_how_their_fill_settles(market: Any) -> None:
    buyer, seller = market.buyer.account, market.seller.account
    heard: dict[str, list[dict[str, Any]]] = {"buyer": [], "seller": [], "stranger": []}
    async with (
        market.client(market.buyer) as buying,
        market.client(market.seller) as selling,
        market.client(market.stranger) as watching,
    ):
        for name, client in (("buyer", buying), ("seller", selling), ("stranger", watching)):
            client.listen("settlement.event", heard[name].append)
        await selling.submit_place(seller, "ABST-A", "sell", 5, "99")
        await buying.submit_place(buyer, "ABST-A", "buy", 5, "99")
        (fill,) = await buying.fills(buyer, "ABST-A")
        pool = market.venue.database.pool
        await pool.execute(
            "insert into settlement.batch (tranche, status, first_fill, last_fill, fill_count, gas_bound,"
            " transaction_hash, block_number) values (1, 'final', 1, 1, 1, 1, $1, 77)",
            b"\xaa" * 32,
        )
        await pool.execute(
            "insert into settlement.instruction (tranche, fill_number, status, batch, matched_at_ns)"
            " values (1, $1, 'final', 1, 0)",
            fill["fill_number"],
        )
        waiting = buying.settled(buyer, "ABST-A", fill["fill_number"])
        await pool.execute(
            "with step as (insert into settlement.transition (subject, tranche, fill_number, batch, status,"
            " actor) values ('instruction', 1, $1, 1, 'final', 'test') returning 1)"
            " select pg_notify('settlement_transition', '') from step",
            fill["fill_number"],
        )
        settled = await waiting
        await market.venue.until(lambda: heard["buyer"] and heard["seller"])
        assert (await selling.settlement_statuses(seller, "ABST-A"))[0]["status"] == "final"
    assert settled["transaction_hash"] == "0x" + "aa" * 32
    assert (settled["status"], settled["block_number"]) == ("final", 77)
    assert heard["buyer"] == heard["seller"]
    assert heard["buyer"][0]["status"] == "final"
    assert heard["stranger"] == []
