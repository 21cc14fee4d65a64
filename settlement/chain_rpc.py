"""The chain by JSON-RPC over HTTP (DESIGN D10): one node, one chain id, several calls to a request.

A read that gets no answer is tried again with back-off. So is a transaction, because the same bytes can only
ever take effect once. After any silence of the node its chain id is asked again before anything else, so that
a node swapped behind the same address is refused before something is signed for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from types import TracebackType
from typing import Any, Final

import aiohttp
import orjson

from settlement.chain import Block, Call, Log, Receipt
from settlement.errors import ChainRefusedError, ChainUnavailableError, WrongChainError

ATTEMPTS: Final = 4
FIRST_PAUSE_S: Final = 0.05
CALLS_PER_REQUEST: Final = 100
_HARMLESS: Final = ("already known", "already imported", "known transaction", "nonce too low")
"""What nodes say of a transaction they hold or have mined: whether it took effect, its receipt tells."""
_BAD_GATEWAY: Final = 500

Request = tuple[str, list[Any]]


class ChainRpc:
    """A node's JSON-RPC endpoint, as the port ``settlement.chain.Chain``. Use as an async context manager."""

    def __init__(self, url: str, chain_id: int, *, timeout_s: float = 20.0) -> None:
        self._url = url
        self._chain_id = chain_id
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._ids = count(1)
        self._session: aiohttp.ClientSession | None = None
        self._checked = False

    async def __aenter__(self) -> ChainRpc:
        """Connect; raises WrongChainError when the node serves another chain."""
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            await self.check_chain()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections to the node."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def chain_id(self) -> int:
        """The configured chain id, which is the node's as last checked."""
        return self._chain_id

    async def check_chain(self) -> None:
        """Raise WrongChainError unless the node serves the configured chain."""
        answers = await self._with_retries([("eth_chainId", [])])
        found = int(self._result(answers[0]), 16)
        if found != self._chain_id:
            raise WrongChainError(f"the node serves chain {found}, configured is {self._chain_id}")
        self._checked = True

    async def head(self) -> Block:
        """See Chain."""
        return _block(await self._one("eth_getBlockByNumber", "latest", False))

    async def finalized(self) -> Block | None:
        """See Chain."""
        found = await self._one("eth_getBlockByNumber", "finalized", False)
        return None if found is None else _block(found)

    async def blocks(self, numbers: Sequence[int]) -> list[Block | None]:
        """See Chain."""
        found = await self._many([("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
        return [None if block is None else _block(block) for block in found]

    async def receipts(self, transaction_hashes: Sequence[bytes]) -> list[Receipt | None]:
        """See Chain."""
        found = await self._many([("eth_getTransactionReceipt", [_hex(each)]) for each in transaction_hashes])
        return [None if receipt is None else _receipt(receipt) for receipt in found]

    async def logs(self, addresses: Sequence[bytes], first_block: int, last_block: int) -> list[Log]:
        """See Chain."""
        if not addresses:
            return []
        wanted = {
            "address": [_hex(address) for address in addresses],
            "fromBlock": hex(first_block),
            "toBlock": hex(last_block),
        }
        return [_log(entry) for entry in await self._one("eth_getLogs", wanted)]

    async def transaction_count(self, sender: bytes, block_number: int | None = None) -> int:
        """See Chain."""
        return int(await self._one("eth_getTransactionCount", _hex(sender), _block_tag(block_number)), 16)

    async def priority_fee(self) -> int:
        """See Chain."""
        return int(await self._one("eth_maxPriorityFeePerGas"), 16)

    async def calls(self, calls: Sequence[Call], block_number: int | None = None) -> list[bytes]:
        """See Chain."""
        tag = _block_tag(block_number)
        found = await self._many([("eth_call", [_call(call), tag]) for call in calls])
        return [_bytes(result) for result in found]

    async def send_raw(self, raw: bytes) -> None:
        """See Chain."""
        try:
            await self._one("eth_sendRawTransaction", _hex(raw))
        except ChainRefusedError as refusal:
            if not any(text in refusal.message.lower() for text in _HARMLESS):
                raise

    async def _one(self, method: str, *parameters: Any) -> Any:
        """The result of one request."""
        return (await self._many([(method, list(parameters))]))[0]

    async def _many(self, requests: Sequence[Request]) -> list[Any]:
        """The results of many requests, in order; raises for the first that has none."""
        results: list[Any] = []
        for start in range(0, len(requests), CALLS_PER_REQUEST):
            if not self._checked:
                await self.check_chain()
            answers = await self._with_retries(requests[start : start + CALLS_PER_REQUEST])
            results.extend(self._result(answer) for answer in answers)
        return results

    async def _with_retries(self, requests: Sequence[Request]) -> list[dict[str, Any]]:
        """Post once, and again with back-off while the node gives no answer."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._post(requests)
            except (aiohttp.ClientError, TimeoutError, ChainUnavailableError) as error:
                self._checked = False
                if attempt == ATTEMPTS - 1:
                    raise ChainUnavailableError(f"no answer from {self._url}: {error}") from error
            await asyncio.sleep(FIRST_PAUSE_S * 4**attempt)
            if requests[0][0] != "eth_chainId":
                await self.check_chain()
        raise AssertionError("unreachable")

    async def _post(self, requests: Sequence[Request]) -> list[dict[str, Any]]:
        """One HTTP request; the answers in the order of the requests."""
        if self._session is None:
            raise ChainUnavailableError("the connection to the node is closed")
        numbered = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": parameters}
            for method, parameters in requests
        ]
        body = orjson.dumps(numbered if len(numbered) > 1 else numbered[0])
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._url, data=body, headers=headers) as response:
            text = await response.read()
            if response.status >= _BAD_GATEWAY:
                raise ChainUnavailableError(f"HTTP status {response.status}")
        return _ordered(text, [request["id"] for request in numbered])

    @staticmethod
    def _result(answer: dict[str, Any]) -> Any:
        """The result in an answer; raises ChainRefusedError where it is an error."""
        error = answer.get("error")
        if error is None:
            return answer.get("result")
        raise ChainRefusedError(
            int(error.get("code", 0)), str(error.get("message", "")), _revert_data(error.get("data"))
        )


def _ordered(text: bytes, ids: Sequence[Any]) -> list[dict[str, Any]]:
    """Put a batch's answers, which may come in any order, into the order of the requests."""
    try:
        parsed = orjson.loads(text)
    except ValueError as error:
        raise ChainUnavailableError("the node's answer is not JSON") from error
    answers = parsed if isinstance(parsed, list) else [parsed]
    by_id = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
    if len(ids) == 1 and None in by_id and "error" in by_id[None]:
        return [by_id[None]]
    if not all(each in by_id for each in ids):
        raise ChainUnavailableError("the node left requests of a batch unanswered")
    return [by_id[each] for each in ids]


def _revert_data(data: Any) -> bytes:
    """The revert bytes in an error's data: nodes give a hex string, or an object around one."""
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    if isinstance(data, str) and data.startswith("0x"):
        try:
            return bytes.fromhex(data[2:])
        except ValueError:
            return b""
    return b""


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _block_tag(block_number: int | None) -> str:
    return "latest" if block_number is None else hex(block_number)


def _call(call: Call) -> dict[str, str]:
    fields = {"data": _hex(call.data)}
    if call.to:
        fields["to"] = _hex(call.to)
    if call.sender is not None:
        fields["from"] = _hex(call.sender)
    if call.gas is not None:
        fields["gas"] = hex(call.gas)
    return fields


def _block(found: dict[str, Any]) -> Block:
    return Block(
        number=int(found["number"], 16),
        hash=_bytes(found["hash"]),
        parent_hash=_bytes(found["parentHash"]),
        timestamp=int(found["timestamp"], 16),
        base_fee=int(found.get("baseFeePerGas") or "0x0", 16),
    )


def _receipt(found: dict[str, Any]) -> Receipt:
    return Receipt(
        transaction_hash=_bytes(found["transactionHash"]),
        block_number=int(found["blockNumber"], 16),
        block_hash=_bytes(found["blockHash"]),
        succeeded=int(found["status"], 16) == 1,
        gas_used=int(found["gasUsed"], 16),
    )


def _log(found: dict[str, Any]) -> Log:
    return Log(
        address=_bytes(found["address"]),
        topics=tuple(_bytes(topic) for topic in found["topics"]),
        data=_bytes(found["data"]),
        block_number=int(found["blockNumber"], 16),
        block_hash=_bytes(found["blockHash"]),
        transaction_hash=_bytes(found["transactionHash"]),
        log_index=int(found["logIndex"], 16),
    )
