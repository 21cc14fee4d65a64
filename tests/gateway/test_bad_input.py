"""What a client gets wrong: each a clear error with a numbered reason, and nothing else disturbed."""

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine.money import Terms
from engine.signed_order import address_of
from ext.records import Side
from gateway.client_signing import order_terms, signature_of, wire_terms
from gateway.client_types import Hello, Instrument
from gateway.decimals import TickGrid

ABST_A = Instrument(
    "ABST-A",
    1,
    0,
    TickGrid.of("0.005"),
    bytes.fromhex("70" * 20),
    "continuous",
    Terms(1, 50_000_000_000, 10**9, 0, 20261122),
    0,
    0,
    {"price_max": "200"},
)
HELLO = Hello(b"", "1", 31337, bytes.fromhex("d0" * 20), bytes.fromhex("ca" * 20), bytes(20), "", 1, 0)


def order(
    account: int, key: bytes, *, side: str = "sell", quantity: int = 10, price: str = "99", **changes: Any
) -> dict[str, Any]:
    """A signed order as it stands on the wire, some of it changed after it was signed."""
    words = {"buy": Side.BUY, "sell": Side.SELL}
    name = (changes.pop("signed_nonce", (1 << 40) + 1), 1)
    terms = order_terms(ABST_A, words[side], quantity, price, name, (None, None, None), True)
    signature = signature_of(HELLO, ABST_A, address_of(key), key, terms)
    identity = {
        "account": account,
        "symbol": "ABST-A",
        "side": side,
        "price": price,
        "client_order_id": "c1",
        "time_in_force": "gtc",
    }
    return identity | wire_terms(ABST_A, terms, signature) | changes


def problem(answer: dict[str, Any]) -> tuple[int, str]:
    """Code and reason's name of an error answer, which must be final and speak for itself."""
    error = answer["error"]
    assert error["message"]
    assert error["data"]["final"] is True
    return error["code"], error["data"]["name"]


async def test_frames_that_are_no_request_are_answered_and_the_session_goes_on(market: Any, raw: Any) -> None:
    client = await raw(market.venue.url)
    for frame, code in [
        ("{", -32700),
        ("", -32700),
        ("nonsense", -32700),
        (b"\x00\x01", -32600),
        ("[]", -32600),
        ('[{"jsonrpc":"2.0","id":1,"method":"session.logout"}]', -32600),
        ("7", -32600),
        ('{"jsonrpc":"2.0","method":"order.place"}', -32600),
        ('{"jsonrpc":"2.0","id":null,"method":"order.place"}', -32600),
        ('{"jsonrpc":"2.0","id":1.5,"method":"order.place"}', -32600),
        ('{"jsonrpc":"2.0","id":true,"method":"order.place"}', -32600),
        ("[" * 30_000, -32700),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, -32700),
    ]:
        answer = await client.send(frame)
        assert (answer["id"], answer["error"]["code"]) == (None, code), frame[:60]
    for frame in ('{"id":1,"method":"x"}', '{"jsonrpc":"2.0","id":1,"method":2}'):
        assert (await client.send(frame))["error"]["code"] == -32600
    positional = '{"jsonrpc":"2.0","id":"a","method":"order.place","params":[1]}'
    assert (await client.send(positional))["id"] == "a"
    assert (await client.log_on("seller", market.seller.key))["result"]["role"] == "participant"


async def test_an_oversize_frame_closes_the_session_with_1009(market: Any, raw: Any) -> None:
    client = await raw(market.venue.url)
    with pytest.raises(ConnectionClosed) as closed:
        await client.send('{"x":"' + "y" * 65_536 + '"}')
    assert closed.value.rcvd.code == 1009


async def test_only_the_trading_path_is_served(market: Any, raw: Any) -> None:
    with pytest.raises(InvalidStatus):
        await raw(market.venue.url.replace("/v1", "/v2"))


async def test_nothing_is_done_for_who_is_not_logged_on_or_not_allowed(market: Any, raw: Any) -> None:
    client = await raw(market.venue.url)
    assert problem(await client.call("order.fly")) == (-32601, "bad_parameters")
    assert problem(await client.call("orders.list", account=1)) == (-32000, "not_logged_on")
    assert problem(await client.log_on("seller", market.buyer.key)) == (-32000, "bad_credential")
    assert problem(await client.log_on("nobody", market.buyer.key)) == (-32000, "bad_credential")
    bad_signature = await client.call("session.logon", login="seller", signature="0x" + "00" * 65)
    assert problem(bad_signature) == (-32000, "bad_credential")
    strange = await client.log_on("seller", market.seller.key, accounts=[market.buyer.account])
    assert problem(strange) == (-32000, "account_not_of_session")
    assert "result" in await client.log_on("seller", market.seller.key)
    assert problem(await client.log_on("seller", market.seller.key)) == (-32602, "bad_parameters")
    assert problem(await client.call("admin.status")) == (-32000, "not_an_administrator")
    theirs = order(market.buyer.account, market.buyer.key)
    assert problem(await client.call("order.place", **theirs)) == (-32000, "account_not_of_session")
    for method in ("orders.list", "balances.get"):
        reading = await client.call(method, account=market.buyer.account)
        assert problem(reading) == (-32000, "account_not_of_session")
    streams = {f"{market.buyer.account}:ABST-A": 0}
    assert problem(await client.call("session.resume", streams=streams)) == (-32000, "account_not_of_session")
    for name in ("x", "1:NONE", "1:@9", "²:ABST-A", ":ABST-A"):
        resumed = await client.call("session.resume", streams={name: 0})
        assert resumed["error"]["data"]["name"] in ("unknown_stream", "unknown_tranche")


async def test_a_session_that_only_reads_places_nothing(market: Any, raw: Any) -> None:
    client = await raw(market.venue.url)
    await client.log_on("seller", market.seller.key, trading=False)
    placed = await client.call("order.place", **order(market.seller.account, market.seller.key))
    assert problem(placed) == (-32000, "not_logged_on")
    assert "result" in await client.call("orders.list", account=market.seller.account)


async def test_parameters_that_do_not_fit_are_named(market: Any, raw: Any) -> None:
    client = await raw(market.venue.url)
    await client.log_on("seller", market.seller.key)
    good = order(market.seller.account, market.seller.key)
    bad = (-32602, "bad_parameters")
    for name, value, expected in [
        ("price", 99, bad),
        ("price", 99.5, bad),
        ("price", "1e2", bad),
        ("price", "-1", bad),
        ("price", "", bad),
        ("price", "٩٩", bad),
        ("price", "99.001", (-32602, "price_off_tick")),
        ("quantity", 10, bad),
        ("quantity", "10.5", bad),
        ("quantity", "0", bad),
        ("quantity", str(2**63), bad),
        ("side", "short", bad),
        ("time_in_force", "day", bad),
        ("account", "1", bad),
        ("account", True, bad),
        ("nonce", str(2**64), bad),
        ("valid_until", "99999999999999999", bad),
        ("signature", "0x00", bad),
        ("signature", "0x" + "zz" * 65, bad),
        ("client_order_id", "x" * 37, bad),
        ("client_order_id", "ü", bad),
        ("client_order_id", 7, bad),
        ("standing", "yes", bad),
        ("symbol", "NONE", (-32000, "unknown_tranche")),
        ("peak", "5", bad),
    ]:
        answer = await client.call("order.place", **good | {name: value})
        assert problem(answer) == expected, (name, value)
        if expected == bad:
            assert name in answer["error"]["message"]
    for name in good:
        without = {key: value for key, value in good.items() if key != name}
        answer = await client.call("order.place", **without)
        assert problem(answer) == bad
        assert answer["error"]["message"] == f"{name} is missing"
    unnamed = await client.call(
        "order.cancel", account=market.seller.account, symbol="ABST-A", client_order_id="c2"
    )
    assert problem(unnamed) == bad
    assert problem(await client.call("market.subscribe", channels=["book"])) == bad
    assert problem(await client.call("market.subscribe", channels="book.ABST-A")) == bad


async def test_the_signature_must_be_the_accounts_over_just_these_fields(market: Any, raw: Any) -> None:
    client = await raw(market.venue.url)
    await client.log_on("seller", market.seller.key)
    account, key = market.seller.account, market.seller.key
    for name, value in [
        ("price", "98"),
        ("quantity", "11"),
        ("side", "buy"),
        ("nonce", str((1 << 40) + 2)),
        ("version", 2),
        ("cash_limit", "1"),
        ("fee_limit", "1"),
        ("valid_until", "1900000000"),
        ("standing", False),
    ]:
        answer = await client.call("order.place", **order(account, key) | {name: value})
        assert problem(answer) == (-32000, "signed_fields_differ"), name
    by_another = await client.call("order.place", **order(account, market.buyer.key))
    assert problem(by_another) == (-32000, "signed_fields_differ")
    address = market.seller.address
    terms = order_terms(ABST_A, Side.SELL, 10, "99", ((1 << 40) + 1, 1), (None, None, None), True)
    stolen = signature_of(HELLO, ABST_A, address, market.buyer.key, terms)
    answer = await client.call("order.place", **order(account, key) | wire_terms(ABST_A, terms, stolen))
    assert problem(answer) == (-32000, "wrong_signature")
    malleable = await client.call("order.place", **order(account, key, signature="0x" + "ff" * 65))
    assert problem(malleable) == (-32000, "wrong_signature")
    assert "result" in await client.call("order.place", **order(account, key))


async def test_the_engine_refuses_what_the_market_does_not_allow(market: Any, raw: Any) -> None:
    client = await raw(market.venue.url)
    await client.log_on("stranger", market.stranger.key)
    stranger = order(market.stranger.account, market.stranger.key)
    assert problem(await client.call("order.place", **stranger)) == (-32000, "not_eligible")
    selling = await raw(market.venue.url)
    await selling.log_on("seller", market.seller.key)
    account, key = market.seller.account, market.seller.key
    answer = await selling.call("order.place", **order(account, key, quantity=100_001))
    assert problem(answer) == (-32000, "insufficient_tokens")
    assert answer["error"]["data"]["limit"] == "100000"
    assert answer["error"]["data"]["actual"] == "100001"
    answer = await selling.call("order.place", **order(account, key, price="0.5"))
    assert problem(answer) == (-32000, "price_out_of_range")
    answer = await selling.call(
        "order.cancel", account=account, symbol="ABST-A", client_order_id="x", order_id="99999"
    )
    assert problem(answer) == (-32000, "unknown_order")
    buying = await raw(market.venue.url)
    await buying.log_on("buyer", market.buyer.key)
    rich = order(market.buyer.account, market.buyer.key, side="buy", quantity=1_000_000, price="200")
    assert problem(await buying.call("order.place", **rich)) == (-32000, "insufficient_cash")


async def test_too_much_in_flight_is_refused_with_the_budget_and_the_socket_stays_open(
    market: Any, raw: Any
) -> None:
    url = await market.venue.start_gateway("small", in_flight_limit=3)
    client = await raw(url)
    await client.log_on("seller", market.seller.key)
    for number in range(6):
        request = {"jsonrpc": "2.0", "id": number, "method": "balances.get"}
        await client.socket.send(json.dumps(request | {"params": {"account": market.seller.account}}))
    answers = [await client.answer() for _ in range(6)]
    refused = [answer for answer in answers if "error" in answer]
    assert refused
    for answer in refused:
        assert problem(answer) == (-32029, "too_many_in_flight")
        assert answer["error"]["data"]["retry_after_ms"] > 0
        assert answer["error"]["data"]["limit"] == "3"
    assert "result" in await client.call("balances.get", account=market.seller.account)


async def test_an_administrator_is_told_what_is_wrong_with_a_document(market: Any, raw: Any) -> None:
    client = await raw(market.venue.url)
    admin = b"\xad" * 32
    await client.log_on("admin", admin)
    assert problem(await client.call("admin.tranche.list", document={"symbol": "X"})) == (
        -32000,
        "not_admitted",
    )
    assert problem(await client.call("admin.tranche.list", document=[])) == (-32602, "bad_parameters")
    assert problem(await client.call("admin.phase.set", symbol="NONE", phase="call")) == (
        -32000,
        "unknown_tranche",
    )
    phase = await client.call("admin.phase.set", symbol="ABST-A", phase="lunch")
    assert problem(phase) == (-32602, "bad_parameters")
    unknown = await client.call(
        "admin.participant.set",
        login="x",
        credential="0x" + "ab" * 20,
        accounts=[999],
        role="participant",
    )
    assert problem(unknown) == (-32000, "unknown_account")
    status = (await client.call("admin.status"))["result"]
    assert [shard["shard"] for shard in status["shards"]] == [0, 1]
    assert (status["fails"], status["breaks"], status["batches"]) == (0, 0, {})
