"""Trading through a real gateway, real shards and a real database, with the SDK."""

from typing import Any

from gateway.client import VenueClient


async def test_an_order_rests_fills_and_is_reported_to_both_sides(market: Any) -> None:
    venue, who = market
    buyer, seller = who["buyer"], who["seller"]
    events: list[dict[str, Any]] = []
    async with (
        VenueClient(venue.url, "buyer", buyer.key) as buying,
        VenueClient(venue.url, "seller", seller.key) as selling,
    ):
        selling.listen("account.event", events.append)
        resting = await selling.submit_place(seller.account, "ABST-A", "sell", 100, "99.125")
        assert (resting.status, resting.leaves) == ("new", 100)
        taking = await buying.submit_place(buyer.account, "ABST-A", "buy", 40, "99.13")
        assert taking.status in ("new", "filled")
        assert (await buying.final(taking)).cum == 40
        cancelled = await selling.submit_cancel(seller.account, "ABST-A", order_id=resting.order_id)
        assert (cancelled.status, cancelled.cum, cancelled.leaves) == ("canceled", 40, 0)
        fills = await buying.fills(buyer.account, "ABST-A")
        assert [(fill["price"], fill["quantity"]) for fill in fills] == [("99.125", "40")]
        print(events, fills, await buying.balances(buyer.account))
