"""The chain by JSON-RPC: answers, refusals and silence, against a node that says what the test wants."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from settlement import chain_rpc
from settlement.chain import Call
from settlement.chain_rpc import ChainRpc
from settlement.errors import ChainRefusedError, ChainUnavailableError, WrongChainError

CHAIN_ID = 4_711
Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Node:
    """A node: ``answers`` by method, ``calls`` it got, how many requests it is still ``broken`` for."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"eth_chainId": hex(CHAIN_ID)}
        self.calls: list[str] = []
        self.broken = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        if self.broken:
            self.broken -= 1
            return web.Response(status=503)
        found = [self.answer(each) for each in (body if isinstance(body, list) else [body])]
        return web.json_response(found[::-1] if isinstance(body, list) else found[0])

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(request["method"])
        value = self.answers[request["method"]]
        value = value(request["params"]) if callable(value) else value
        envelope = {"jsonrpc": "2.0", "id": request["id"]}
        return {**envelope, **(value if isinstance(value, dict) and "error" in value else {"result": value})}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between attempts."""
    monkeypatch.setattr(chain_rpc, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node of chain 4711 on a free port."""
    served = Node()
    application = web.Application()
    application.router.add_post("/", served.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


@pytest.fixture
async def chain(node: Node) -> AsyncIterator[ChainRpc]:
    """A connection to it."""
    async with ChainRpc(node.url, CHAIN_ID) as connected:
        yield connected


def block(number: int) -> dict[str, str]:
    """A block as a node shows it."""
    return {
        "number": hex(number),
        "hash": "0x" + number.to_bytes(32, "big").hex(),
        "parentHash": "0x" + (number - 1).to_bytes(32, "big").hex(),
        "timestamp": hex(1_000 + number),
        "baseFeePerGas": hex(7),
    }


async def test_a_node_of_another_chain_is_refused_and_nothing_else_is_asked(node: Node) -> None:
    with pytest.raises(WrongChainError, match="serves chain 4711, configured is 1"):
        async with ChainRpc(node.url, 1):
            pass
    assert node.calls == ["eth_chainId"]


async def test_answers_of_a_batch_in_any_order_are_put_in_the_order_asked(
    node: Node, chain: ChainRpc
) -> None:
    node.answers["eth_getBlockByNumber"] = lambda params: (
        block(int(params[0], 16)) if int(params[0], 16) < 9 else None
    )
    found = await chain.blocks([5, 3, 9])
    assert [each.number if each else None for each in found] == [5, 3, None]


async def test_a_silent_node_is_asked_again_and_first_for_its_chain(node: Node, chain: ChainRpc) -> None:
    node.answers["eth_getBlockByNumber"] = lambda params: block(2)
    node.broken, node.calls = 1, []
    assert (await chain.head()).number == 2
    assert node.calls == ["eth_chainId", "eth_getBlockByNumber"]


async def test_a_node_that_is_swapped_for_one_of_another_chain_is_refused(
    node: Node, chain: ChainRpc
) -> None:
    node.broken = 1
    node.answers["eth_chainId"] = hex(1)
    with pytest.raises(WrongChainError):
        await chain.send_raw(b"\x01")
    assert "eth_sendRawTransaction" not in node.calls


async def test_a_node_that_stays_silent_is_unavailable(node: Node, chain: ChainRpc) -> None:
    node.broken = 1_000
    with pytest.raises(ChainUnavailableError, match="no answer"):
        await chain.head()


async def test_a_node_that_answers_no_json_is_unavailable() -> None:
    async def nonsense(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(ChainUnavailableError):
            async with ChainRpc(f"http://127.0.0.1:{port}", CHAIN_ID):
                pass


async def test_a_revert_carries_its_data(node: Node, chain: ChainRpc) -> None:
    node.answers["eth_call"] = {"error": {"code": 3, "message": "execution reverted", "data": "0xdeadbeef"}}
    with pytest.raises(ChainRefusedError) as refused:
        await chain.calls([Call(bytes(20), b"")])
    assert (refused.value.code, refused.value.data) == (3, b"\xde\xad\xbe\xef")


@pytest.mark.parametrize(
    "message", ["already known", "nonce too low: next nonce 5", "Transaction already imported"]
)
async def test_a_transaction_that_the_node_has_is_no_error(node: Node, chain: ChainRpc, message: str) -> None:
    node.answers["eth_sendRawTransaction"] = {"error": {"code": -32000, "message": message}}
    await chain.send_raw(b"\x01")


async def test_a_transaction_that_the_node_does_not_take_is_refused(node: Node, chain: ChainRpc) -> None:
    node.answers["eth_sendRawTransaction"] = {"error": {"code": -32003, "message": "Insufficient funds"}}
    with pytest.raises(ChainRefusedError, match="Insufficient funds"):
        await chain.send_raw(b"\x01")


async def test_a_chain_without_finality_has_no_finalized_block(node: Node, chain: ChainRpc) -> None:
    node.answers["eth_getBlockByNumber"] = None
    assert await chain.finalized() is None


async def test_a_closed_connection_is_unavailable(chain: ChainRpc) -> None:
    await chain.close()
    with pytest.raises(ChainUnavailableError):
        await chain.head()
