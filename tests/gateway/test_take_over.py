"""A log-on ends earlier sessions in every shard, also in one that hears of the account after it."""

import json
from itertools import count
from typing import Any

from engine.administration import Administration
from engine.outbox_sender import send_outboxes
from engine.signed_order import address_of
from gateway.logon import sign_logon

KEY = b"\x0d" * 32
_ids = count(1)


async def open_late(market: Any) -> int:
    """Open an account that no shard hears of until the outbox is sent again."""
    await market.venue.end("outbox")
    administration = Administration(market.venue.database)
    opened = await administration.open_account(address_of(KEY), actor="test")
    await administration.set_participant("late", address_of(KEY), [opened.account], actor="test")
    return int(opened.account)


def send_outbox(market: Any) -> None:
    """Let the shards hear of it."""
    market.venue._run("outbox", send_outboxes(market.venue.database, ["administration"], (0, 1)))


async def refusal(client: Any, account: int) -> int:
    """Why the engine refuses the session's cancel of an order there is not."""
    named = {"client_order_id": f"c-{next(_ids)}", "order_id": "5"}
    answer = await client.call("order.cancel", account=account, symbol="ABST-A", **named)
    return int(answer["error"]["data"]["reason"])


async def test_a_shard_that_did_not_know_the_account_hears_of_the_session_once_it_does(
    market: Any, raw: Any
) -> None:
    url = await market.venue.start_gateway("hasty", answer_within_s=0.3)
    account = await open_late(market)
    first, second = await raw(url), await raw(url)
    assert (await first.log_on("late", KEY))["result"]["unconfirmed_shards"] == [0, 1]
    assert (await second.log_on("late", KEY))["result"]["unconfirmed_shards"] == [0, 1]
    send_outbox(market)

    async def superseded() -> bool:
        return await refusal(first, account) == 202

    await market.venue.until(superseded, within_s=20)
    assert await refusal(second, account) == 109


async def test_a_log_on_waits_a_while_for_an_account_that_is_being_opened(market: Any, raw: Any) -> None:
    url = await market.venue.start_gateway("patient", answer_within_s=30)
    account = await open_late(market)
    client = await raw(url)
    shard_events = "select count(*) from engine.journal"
    before = await market.venue.database.pool.fetchval(shard_events)

    async def asked() -> bool:
        return bool(await market.venue.database.pool.fetchval(shard_events) >= before + 2)

    await client.socket.send(log_on(client))
    await market.venue.until(asked)
    send_outbox(market)
    assert (await client.answer())["result"]["unconfirmed_shards"] == []
    assert await refusal(client, account) == 109


def log_on(client: Any) -> str:
    """A log-on's frame."""
    signature = "0x" + sign_logon(client.challenge, KEY).hex()
    params = {"login": "late", "signature": signature}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "session.logon", "params": params})


async def test_a_shard_that_is_linked_later_hears_of_the_sessions_there_are(market: Any, raw: Any) -> None:
    client = await raw(market.venue.url)
    await client.log_on("seller", market.seller.key)
    market.venue.start_shard(9)
    opened = "select count(*) from engine.journal where shard = 9"

    async def asked() -> bool:
        return bool(await market.venue.database.pool.fetchval(opened))

    await market.venue.until(asked)
