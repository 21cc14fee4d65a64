"""Market data: whoever listens, from whenever on, has the same true book."""

import random
from contextlib import suppress
from typing import Any

from gateway.errors import CommandRefused

NONCE = 1 << 40


async def test_every_listener_builds_the_same_book_with_the_venues_checksum(market: Any) -> None:
    buyer, seller = market.buyer.account, market.seller.account
    rnd = random.Random(5)
    trades: list[dict[str, Any]] = []
    async with (
        market.client(market.buyer) as buying,
        market.client(market.seller) as selling,
        market.client(market.stranger) as late,
    ):
        buying.listen("trade", trades.append)
        await buying.subscribe("book.ABST-A", "trades.ABST-A")
        for number in range(1, 61):
            side = rnd.choice(["buy", "sell"])
            client, account = (buying, buyer) if side == "buy" else (selling, seller)
            price = f"{100 + rnd.randint(-20, 20) * 0.005:.3f}"
            call = client.submit_place(
                account, "ABST-A", side, rnd.randint(1, 9), price, nonce=NONCE + number
            )
            placed = await call
            if number % 5 == 0 and placed.leaves:
                with suppress(CommandRefused):  # it may have filled since
                    await client.submit_cancel(account, "ABST-A", order_id=placed.order_id)
            if number == 30:
                await late.subscribe("book.ABST-A")
        raw_book = await _book_of(selling)
        for client in (buying, late):
            await market.venue.until(
                lambda client=client: client.book("ABST-A").checksum() == raw_book["checksum"]
            )
            assert client.book_drifts == 0
        fills = await buying.fills(buyer, "ABST-A")
    assert len(raw_book["bids"]) + len(raw_book["asks"]) > 3
    assert [trade["fill_id"] for trade in trades] == [fill["fill_id"] for fill in fills]


async def _book_of(client: Any) -> dict[str, Any]:
    """The book as ``book.get`` gives it."""
    book: dict[str, Any] = await client._connection.submit("book.get", {"symbol": "ABST-A"}, dict)
    return book


async def test_a_book_that_does_not_fit_is_taken_anew(market: Any) -> None:
    seller = market.seller.account
    async with market.client(market.seller) as client:
        await client.subscribe("book.ABST-A")
        await market.venue.until(lambda: "ABST-A" in client._copies)
        client.book("ABST-A").sequence += 1
        await client.submit_place(seller, "ABST-A", "sell", 3, "101")
        await market.venue.until(lambda: client.book_drifts == 1)
        await market.venue.until(lambda: "ABST-A" in client._copies and len(client.book("ABST-A").asks) == 1)


async def test_books_and_subscriptions_come_back_with_the_gateway(market: Any) -> None:
    seller, port = market.seller.account, int(market.venue.url.rpartition(":")[2].removesuffix("/v1"))
    async with market.client(market.seller) as client:
        await client.subscribe("book.ABST-A")
        await client.submit_place(seller, "ABST-A", "sell", 3, "101")
        await market.venue.end("gateway g1")
        await market.venue.start_gateway("g1", port=port)
        await client.submit_place(seller, "ABST-A", "sell", 4, "102")
        await market.venue.until(lambda: _asks(client) == [(20_200, 3), (20_400, 4)])


def _asks(client: Any) -> list[tuple[int, int]]:
    if "ABST-A" not in client._copies:
        return []
    return [(level.price_ticks, level.quantity_lots) for level in client.book("ABST-A").asks]


async def test_a_tranche_listed_later_is_known_at_once(market: Any) -> None:
    async with market.venue.admin() as admin, market.client(market.seller) as client:
        document = dict(client.instruments["ABST-A"].document) | {"symbol": "ABST-B"}
        tranche, shard = await admin.admin.list_tranche(document)
        assert (tranche, shard) == (2, 1)
        assert await admin.admin.list_tranche(document) == (tranche, shard)

        async def listed() -> bool:
            return "ABST-B" in await client.refresh_instruments()

        await market.venue.until(listed)
        await client.subscribe("book.ABST-B")
        await market.venue.until(lambda: "ABST-B" in client._copies)
