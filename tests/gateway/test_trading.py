"""Trading through a real gateway, real shards and a real database, with the SDK."""

from typing import Any

import pytest

from gateway.errors import CommandRefused


async def test_an_order_rests_fills_and_is_reported_to_both_sides(market: Any) -> None:
    buyer, seller = market.buyer.account, market.seller.account
    events: list[dict[str, Any]] = []
    async with market.client(market.buyer) as buying, market.client(market.seller) as selling:
        selling.listen("account.event", events.append)
        resting = await selling.submit_place(seller, "ABST-A", "sell", 100, "99.125")
        assert (resting.status, resting.leaves) == ("new", 100)
        taking = await buying.submit_place(buyer, "ABST-A", "buy", 40, "99.13")
        assert (await buying.final(taking)).cum == 40
        cancelled = await selling.submit_cancel(seller, "ABST-A", order_id=resting.order_id)
        assert (cancelled.status, cancelled.cum, cancelled.leaves) == ("canceled", 40, 0)
        (fill,) = await buying.fills(buyer, "ABST-A")
        assert (fill["price"], fill["quantity"], fill["status"]) == ("99.125", "40", "matched")
        assert (await selling.fills(seller, "ABST-A"))[0]["fill_number"] == fill["fill_number"]
    reports = [event for event in events if event["type"] == "execution_report"]
    assert [report["exec_type"] for report in reports] == ["new", "trade", "canceled"]
    assert reports[1]["last_quantity"] == "40"
    assert reports[1]["amount"] == fill["amount"]


async def test_a_replacement_keeps_the_order_and_raises_its_revision(market: Any) -> None:
    seller = market.seller.account
    async with market.client(market.seller) as selling:
        nonce = (1 << 40) + 7
        placed = await selling.submit_place(
            seller, "ABST-A", "sell", 100, "99.125", nonce=nonce, client_order_id="first"
        )
        replaced = await selling.submit_replace(
            seller, "ABST-A", "sell", 150, "99.5", nonce=nonce, version=2, original_client_order_id="first"
        )
        assert replaced.order_id == placed.order_id
        assert (replaced.revision, replaced.quantity, replaced.price) == (2, 150, "99.500")
        assert [order.revision for order in await selling.orders(seller, open_only=True)] == [2]


async def test_a_repeated_client_order_id_answers_with_the_order_as_it_is_now(market: Any) -> None:
    buyer, seller = market.buyer.account, market.seller.account
    async with market.client(market.buyer) as buying, market.client(market.seller) as selling:
        first = await selling.submit_place(
            seller, "ABST-A", "sell", 100, "99", client_order_id="one", nonce=(1 << 40) + 1
        )
        await buying.submit_place(buyer, "ABST-A", "buy", 30, "99")
        again = await selling.submit_place(
            seller, "ABST-A", "sell", 100, "99", client_order_id="one", nonce=(1 << 40) + 1
        )
        assert again.duplicate
        assert (again.order_id, again.cum, again.status) == (first.order_id, 30, "partially_filled")


async def test_an_order_can_be_found_by_the_id_its_owner_gave_it(market: Any) -> None:
    seller = market.seller.account
    async with market.client(market.seller) as selling:
        placed = await selling.submit_place(seller, "ABST-A", "sell", 5, "99", client_order_id="mine")
        found = await selling.order(seller, "ABST-A", client_order_id="mine")
        assert found.order_id == placed.order_id
        with pytest.raises(CommandRefused) as refusal:
            await selling.order(seller, "ABST-A", client_order_id="not mine")
        assert refusal.value.name == "unknown_order"


async def test_a_broker_acts_for_several_accounts_over_one_session(market: Any) -> None:
    admin = market.venue.admin()
    async with admin:
        accounts = [market.buyer.account, market.seller.account]
        await admin.admin.set_participant("broker", market.buyer.address, accounts)
    async with market.venue.client("broker", market.buyer.key, signing_keys=[market.seller.key]) as broker:
        assert sorted(broker.accounts) == sorted(accounts)
        selling = broker.submit_place(market.seller.account, "ABST-A", "sell", 10, "99")
        buying = broker.submit_place(market.buyer.account, "ABST-A", "buy", 10, "99")
        assert (await selling).leaves == 10
        assert (await broker.final(await buying)).status == "filled"


async def test_many_orders_are_pipelined_and_answered_each(market: Any) -> None:
    seller = market.seller.account
    async with market.client(market.seller, window=64) as selling:
        calls = [
            selling.submit_place(
                seller, "ABST-A", "sell", 1, "150", nonce=(1 << 40) + number, client_order_id=f"n{number}"
            )
            for number in range(1, 501)
        ]
        await selling.room()
        states = [await call for call in calls]
    assert [state.client_order_id for state in states] == [f"n{number}" for number in range(1, 501)]
    assert len({state.order_id for state in states}) == 500


async def test_balances_count_cash_and_lots_in_their_places(market: Any) -> None:
    buyer, seller = market.buyer.account, market.seller.account
    async with market.client(market.buyer) as buying, market.client(market.seller) as selling:
        await selling.submit_place(seller, "ABST-A", "sell", 10, "100")
        await buying.submit_place(buyer, "ABST-A", "buy", 4, "100")
        assert (await selling.balances(seller))["tokens"]["ABST-A"] == {
            "free": "99990",
            "earmarked": "6",
            "in_settlement": "4",
        }
        cash = (await buying.balances(buyer))["cash"]
        assert (cash["earmarked"], cash["in_settlement"]) == ("0", "4000000")


async def test_a_call_auction_uncrosses_and_tells_price_and_volume(market: Any) -> None:
    buyer, seller = market.buyer.account, market.seller.account
    async with (
        market.venue.admin() as admin,
        market.client(market.buyer) as buying,
        market.client(market.seller) as selling,
    ):
        statuses: list[dict[str, Any]] = []
        buying.listen("status", statuses.append)
        await buying.subscribe("status.ABST-A")
        await admin.admin.set_phase("ABST-A", "call")
        await selling.submit_place(seller, "ABST-A", "sell", 10, "99")
        await buying.submit_place(buyer, "ABST-A", "buy", 10, "101")
        opened = await admin.admin.set_phase("ABST-A", "continuous")
        assert opened["auction"]["volume"] == "10"
        await buying.order(buyer, "ABST-A", client_order_id=(await buying.orders(buyer))[0].client_order_id)
    assert statuses[0]["phase"] == "continuous"
    assert any(status.get("indicative", {}).get("volume") == "10" for status in statuses)
    assert statuses[-1]["auction"] == opened["auction"]


async def test_the_cancel_of_an_order_that_ended_says_how_it_ended(market: Any) -> None:
    buyer, seller = market.buyer.account, market.seller.account
    async with market.client(market.buyer) as buying, market.client(market.seller) as selling:
        sold = await selling.submit_place(seller, "ABST-A", "sell", 10, "99", client_order_id="sold")
        await buying.submit_place(buyer, "ABST-A", "buy", 10, "99")
        gone = await selling.submit_place(seller, "ABST-A", "sell", 7, "99")
        await selling.submit_cancel(seller, "ABST-A", order_id=gone.order_id)
        for order_id, named, ended in (
            (sold.order_id, {"order_id": sold.order_id}, ("filled", "10", "0")),
            (sold.order_id, {"original_client_order_id": "sold"}, ("filled", "10", "0")),
            (gone.order_id, {"order_id": gone.order_id}, ("canceled", "0", "0")),
        ):
            with pytest.raises(CommandRefused) as refusal:
                await selling.submit_cancel(seller, "ABST-A", **named)
            order = refusal.value.order
            assert (refusal.value.reason, refusal.value.final) == (110, True)
            assert order is not None
            assert (order["status"], order["cum"], order["leaves"]) == ended
            assert order["order_id"] == str(order_id)
        with pytest.raises(CommandRefused) as refusal:
            await selling.submit_cancel(seller, "ABST-A", order_id=1)
        assert (refusal.value.reason, refusal.value.order) == (109, None)
