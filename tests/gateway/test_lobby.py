"""Sockets that do not log on: for a while, and not too many."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.exceptions import ConnectionClosed

from gateway.lobby import Lobby


def test_a_guest_that_left_makes_room() -> None:
    lobby = Lobby(1)
    assert lobby.enter("a")
    assert not lobby.enter("b")
    lobby.leave("b")
    assert not lobby.enter("b")
    lobby.leave("a")
    assert lobby.enter("b")


async def code_of_close(ask: Callable[[], Awaitable[Any]]) -> int:
    """Ask until the socket is closed; return the code."""
    while True:
        try:
            await ask()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 0


async def test_a_socket_that_does_not_log_on_is_closed_and_one_that_did_is_not(market: Any, raw: Any) -> None:
    url = await market.venue.start_gateway("strict", log_on_within_s=1.5)
    member = await raw(url)
    await member.log_on("seller", market.seller.key)
    idle, talker, liar = await raw(url), await raw(url), await raw(url)
    asking = (
        idle.socket.recv,
        lambda: talker.call("book.get", symbol="ABST-A"),
        lambda: liar.log_on("seller", b"\x77" * 32),
    )
    assert await asyncio.gather(*map(code_of_close, asking)) == [4009] * 3
    assert "result" in await member.call("book.get", symbol="ABST-A")


async def test_a_log_on_under_way_is_finished(market: Any, raw: Any) -> None:
    await market.venue.end("shard 0")
    url = await market.venue.start_gateway("strict", log_on_within_s=1.0, answer_within_s=2.5)
    client = await raw(url)
    assert (await client.log_on("seller", market.seller.key))["result"]["unconfirmed_shards"] == [0]
    assert "result" in await client.call("orders.list", account=market.seller.account)


async def test_too_many_that_have_not_logged_on_are_sent_away(market: Any, raw: Any) -> None:
    url = await market.venue.start_gateway("small", not_logged_on_max=2)
    first, second = await raw(url), await raw(url)
    assert await code_of_close(lambda: raw(url)) == 1013
    assert "result" in await first.log_on("seller", market.seller.key)
    third = await raw(url)
    await second.socket.close()
    assert "result" in await third.log_on("buyer", market.buyer.key)
    request = {"jsonrpc": "2.0", "id": 1, "method": "session.logout"}
    assert "result" in await third.send(json.dumps(request))
