"""When a gateway, a shard or a connection ends: no command lost, none done twice, no gap, no double."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from engine.shard_link import LinkOverError
from gateway.errors import CommandRefused, OutcomeUnknown

NONCE = 1 << 40


def sells(client: Any, account: int, numbers: Any) -> list[Any]:
    """Submit one-lot sells named by their number."""
    return [
        client.submit_place(
            account, "ABST-A", "sell", 1, "150", nonce=NONCE + number, client_order_id=str(number)
        )
        for number in numbers
    ]


async def test_commands_survive_the_kill_of_the_gateway_and_take_effect_once(market: Any) -> None:
    account, port = market.seller.account, int(market.venue.url.rpartition(":")[2].removesuffix("/v1"))
    events: list[dict[str, Any]] = []
    async with market.client(market.seller) as client:
        client.listen("account.event", events.append)
        calls = sells(client, account, range(1, 401))
        await calls[100]
        await market.venue.end("gateway g1")
        calls += sells(client, account, range(401, 501))
        await market.venue.start_gateway("g1", port=port)
        states = [await call for call in calls]
        assert client.connections == 2
        assert {state.original_client_order_id for state in states} == set(map(str, range(1, 501)))
        assert len(await client.orders(account)) == 500
        balance = (await client.balances(account))["tokens"]["ABST-A"]
        assert balance["earmarked"] == "500"
        await market.venue.until(lambda: any(event.get("earmarked") == "500" for event in events))
    placed = [event for event in events if event.get("exec_type") == "new"]
    assert len(placed) == 500
    sequences = [event["seq"] for event in events if event["stream"] == f"{account}:ABST-A"]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


async def test_commands_wait_for_a_shard_that_is_away(market: Any) -> None:
    account = market.seller.account
    async with market.client(market.seller) as client:
        await market.venue.end("shard 0")
        calls = sells(client, account, range(1, 51))
        market.venue.start_shard(0)
        states = [await call for call in calls]
    assert [state.duplicate for state in states] == [False] * 50


async def test_an_outcome_not_known_in_time_is_said_and_asking_again_finds_it(market: Any, raw: Any) -> None:
    url = await market.venue.start_gateway("hasty", answer_within_s=0.3)
    account = market.seller.account
    async with market.venue.client("seller", market.seller.key) as client:
        await market.venue.end("shard 0")
        heard: list[Any] = []
        connection = client._connection
        problem = connection._problem
        connection._problem = lambda call, error: (heard.append(error), problem(call, error))
        call = sells(client, account, [1])[0]
        await market.venue.until(lambda: heard)
        assert isinstance(heard[0], OutcomeUnknown)
        assert (heard[0].reason, heard[0].final) == (710, False)
        market.venue.start_shard(0)
        assert (await call).leaves == 1
        assert len(await client.orders(account)) == 1
    assert url


async def test_a_second_log_on_takes_the_account_over(market: Any) -> None:
    account = market.seller.account
    async with market.client(market.seller) as first, market.client(market.seller) as second:
        assert second.accounts[account].session_epoch > first.accounts[account].session_epoch
        with pytest.raises(CommandRefused) as refusal:
            await sells(first, account, [1])[0]
        assert refusal.value.name == "session_superseded"
        assert (await sells(second, account, [1])[0]).leaves == 1


async def test_a_log_on_through_another_gateway_takes_the_account_over_too(market: Any) -> None:
    account = market.seller.account
    async with market.client(market.seller) as first:
        await market.venue.start_gateway("g2")
        async with market.client(market.seller) as second:
            assert (await sells(second, account, [1])[0]).leaves == 1
            with pytest.raises(CommandRefused):
                await sells(first, account, [2])[0]


async def test_a_session_that_only_reads_takes_nothing_over(market: Any) -> None:
    account = market.seller.account
    events: list[dict[str, Any]] = []
    async with market.client(market.seller) as trading, market.client(market.seller, trading=False) as other:
        other.listen("account.event", events.append)
        await sells(trading, account, [1])[0]
        await market.venue.until(lambda: any(event["type"] == "execution_report" for event in events))


async def test_a_stream_is_replayed_from_where_the_client_says_and_goes_on_live(
    market: Any, raw: Any
) -> None:
    account, stream = market.seller.account, f"{market.seller.account}:ABST-A"
    async with market.client(market.seller) as client:
        await asyncio.gather(*sells(client, account, range(1, 21)))
        reader = await raw(market.venue.url)
        answer = await reader.log_on("seller", market.seller.key, trading=False)
        last = answer["result"]["streams"][stream]
        assert "result" in await reader.call("session.resume", streams={stream: 5, f"{account}:@0": 0})
        later = sells(client, account, range(21, 41))
        await asyncio.gather(*later)
        sequences: list[int] = []
        complete: dict[str, int] = {}
        received = reader.notifications
        while not complete or not sequences or sequences[-1] < last + 40:
            received, pending = [], received
            for message in pending or [await _next(reader)]:
                if message["method"] == "replay_complete":
                    complete = message["params"]["streams"]
                elif message["params"]["stream"] == stream:
                    sequences.append(message["params"]["seq"])
        assert sequences == list(range(6, last + 41))
        assert complete[stream] >= last


async def test_a_session_resumes_once_at_a_time(market: Any, raw: Any) -> None:
    account = market.seller.account
    reader = await raw(market.venue.url)
    await reader.log_on("seller", market.seller.key, trading=False)
    async with market.client(market.seller) as client:
        await market.venue.end("projector 0")
        await sells(client, account, [1])[0]
        streams = {f"{account}:ABST-A": 0}
        assert "result" in await reader.call("session.resume", streams=streams)
        reader.notifications.clear()
        for _ in range(3):
            problem = (await reader.call("session.resume", streams=streams))["error"]
            assert (problem["code"], problem["data"]["reason"]) == (-32029, 708)
            assert problem["data"]["retry_after_ms"] > 0
        market.venue.start_projector(0)
        received = reader.notifications
        while not received or received[-1]["method"] != "replay_complete":
            received.append(await _next(reader))
        sequences = [message["params"]["seq"] for message in received[:-1]]
        assert sequences == list(range(1, len(sequences) + 1))
        assert "result" in await reader.call("session.resume", streams=streams)


async def _next(reader: Any) -> Any:
    return json.loads(await asyncio.wait_for(reader.socket.recv(), 20))


async def test_a_stopping_gateway_says_so_and_the_client_comes_back(market: Any, raw: Any) -> None:
    client = await raw(market.venue.url)
    await client.log_on("seller", market.seller.key)
    await market.venue.stop_gateway("g1")
    with pytest.raises(ConnectionClosed) as closed:
        await client.socket.recv()
    assert closed.value.rcvd.code == 1012


async def test_a_second_gateway_of_one_name_ends_the_first(market: Any) -> None:
    async with market.client(market.seller) as client:
        first = market.venue.take_over("gateway g1")
        await market.venue.start_gateway("g1")
        async with market.venue.client("buyer", market.buyer.key):
            order = sells(client, market.seller.account, [1])[0]
            with pytest.raises(LinkOverError):
                await asyncio.wait_for(first, 20)
        assert not order.done()


async def test_a_client_that_does_not_read_is_closed_and_may_resume(market: Any, raw: Any) -> None:
    url = await market.venue.start_gateway("narrow", send_buffer_bytes=20_000)
    async with market.client(market.seller) as client:
        await asyncio.gather(*sells(client, market.seller.account, range(1, 201)))
    reader = await raw(url)
    await reader.log_on("seller", market.seller.key, trading=False)
    reader.socket.transport.pause_reading()
    asking = {"jsonrpc": "2.0", "method": "orders.list", "params": {"account": market.seller.account}}
    for number in range(150):
        await reader.socket.send(json.dumps(asking | {"id": number}))
    registry = market.venue.metrics["narrow"].registry
    await market.venue.until(lambda: registry.get_sample_value("abst_gateway_slow_consumers_total"))
    reader.socket.transport.resume_reading()
    with suppress(ConnectionClosed):
        while True:
            await reader.socket.recv()
    assert reader.socket.close_code in (4008, 1006)


async def test_a_busy_port_is_said_and_nothing_else_is_disturbed(market: Any) -> None:
    port = int(market.venue.url.rpartition(":")[2].removesuffix("/v1"))
    url = market.venue.url
    with pytest.raises(OSError, match=str(port)):
        await market.venue.start_gateway("other", port=port)
    async with market.venue.client("seller", market.seller.key) as client:
        assert (await sells(client, market.seller.account, [1])[0]).leaves == 1
    assert market.venue.url == url
