"""Commands to shards that cannot take them: refused, and nothing else happens."""

from typing import Any

import pytest

from engine.reasons import Reason
from engine.shard_link import LinkClosedError, LinkError, LinkFullError, LinkOverError
from engine.sources import SourceIncarnation
from gateway.errors import CommandRefused, OverLimit
from gateway.pending import Pending
from gateway.shard_feeds import ShardFeeds

_LISTED_ELSEWHERE = """
with new as (
    insert into engine.tranche (symbol, shard, document)
    select 'ABST-Z', 9, document || '{"symbol": "ABST-Z"}' from engine.tranche where symbol = 'ABST-A'
    returning tranche
), terms as (insert into engine.terms select tranche, 1, 50000, 1000000000, 0, 20261122 from new)
select pg_notify('engine_directory', '')"""


class Refusing:
    """A link that takes nothing."""

    def __init__(self, error: type[LinkError]) -> None:
        self._error = error

    def send(self, record: bytes, side: bytes) -> int:
        """Refuse."""
        raise self._error("no")


def feeds_with(links: dict[int, Any]) -> ShardFeeds:
    """Feeds whose links are given."""
    none: Any = None
    feeds = ShardFeeds(none, SourceIncarnation(1, 1), Pending(5), none, none, none)
    feeds._links = links
    return feeds


@pytest.mark.parametrize("links", [{}, {1: Refusing(LinkOverError)}, {1: Refusing(LinkClosedError)}])
def test_a_shard_there_is_no_link_to_is_away(links: dict[int, Any]) -> None:
    feeds = feeds_with(links)
    with pytest.raises(CommandRefused) as refusal:
        feeds.send(1, b"", b"", lambda outcome: None)
    assert (refusal.value.reason, refusal.value.final) == (Reason.SHARD_UNAVAILABLE, True)
    assert refusal.value.retry_after_ms
    assert not len(feeds._pending)


def test_a_link_that_is_full_asks_for_patience() -> None:
    with pytest.raises(OverLimit):
        feeds_with({1: Refusing(LinkFullError)}).send(1, b"", b"", lambda outcome: None)


async def test_an_order_for_a_shard_that_is_not_linked_yet_leaves_the_session_open(
    market: Any, raw: Any
) -> None:
    client = await raw(market.venue.url)
    await client.log_on("seller", market.seller.key)
    await market.venue.database.pool.execute(_LISTED_ELSEWHERE)

    async def listed() -> bool:
        listing = await client.call("instruments.list")
        return "ABST-Z" in {row["symbol"] for row in listing["result"]["instruments"]}

    await market.venue.until(listed)
    order = {"account": market.seller.account, "symbol": "ABST-Z", "client_order_id": "c", "order_id": "5"}
    assert (await client.call("order.cancel", **order))["error"]["data"]["reason"] == 707
    assert (await client.call("book.get", symbol="ABST-Z"))["error"]["data"]["reason"] == 707
    assert "result" in await client.call("orders.list", account=market.seller.account)


async def test_the_book_of_a_shard_that_is_linked_later_comes_with_the_link(market: Any, raw: Any) -> None:
    client = await raw(market.venue.url)
    await client.log_on("seller", market.seller.key)
    await market.venue.database.pool.execute(_LISTED_ELSEWHERE)

    async def listed() -> bool:
        return "error" in await client.call("book.get", symbol="ABST-Z") and "ABST-Z" in {
            row["symbol"] for row in (await client.call("instruments.list"))["result"]["instruments"]
        }

    await market.venue.until(listed)
    market.venue.start_shard(9)

    async def here() -> bool:
        return "result" in await client.call("book.get", symbol="ABST-Z")

    await market.venue.until(here)
