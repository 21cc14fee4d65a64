"""Transactions of set-up and administration: several senders, many transactions in flight, one wait for all.

Not for settlement batches, whose transactions are journalled before they are sent. Nonces are taken from the
chain when a sender is first used, so nobody else may send with the same key meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import Final

from eth_account import Account
from eth_account.signers.local import LocalAccount

from engine.signed_order import keccak256
from settlement.chain import Call, Chain, Receipt
from settlement.errors import ChainError, ChainRefusedError

TRANSACTION_GAS_MAX: Final = 16_777_216
"""EIP-7825."""
CALL_GAS: Final = 1_000_000
_POLL_S: Final = 0.05


class TransactionFailedError(ChainError):
    """A transaction was included and reverted; ``data`` holds the revert bytes of its simulation."""

    def __init__(self, label: str, data: bytes) -> None:
        super().__init__(f"{label} reverted: 0x{data.hex()}")
        self.label = label
        self.data = data


class ChainWriter:
    """Signs and sends transactions for several keys; see the module."""

    def __init__(self, chain: Chain, chain_id: int) -> None:
        self._chain = chain
        self._chain_id = chain_id
        self._accounts: dict[bytes, LocalAccount] = {}
        self._nonces: dict[bytes, int] = {}
        self._pending: dict[bytes, tuple[str, Call]] = {}

    async def call(
        self, private_key: bytes, to: bytes, data: bytes, *, label: str, gas: int = CALL_GAS
    ) -> bytes:
        """Send a call of a contract; returns the transaction hash. ``label`` names it in errors."""
        return await self._send(private_key, to, data, label, gas)

    async def create(self, private_key: bytes, data: bytes, *, label: str) -> bytes:
        """Send the creation of a contract; returns the address (20 bytes) it will have."""
        account = self._account(private_key)
        nonce = await self._nonce(account)
        await self._send(private_key, b"", data, label, TRANSACTION_GAS_MAX)
        return created_address(account_address(account), nonce)

    async def wait(self, timeout_s: float = 120) -> list[Receipt]:
        """Wait until all that was sent is included, in its order. Raises TransactionFailedError,
        TimeoutError."""
        pending, self._pending = self._pending, {}
        async with asyncio.timeout(timeout_s):
            included = await self._included(list(pending))
        for receipt, (label, call) in zip(included, pending.values(), strict=True):
            if not receipt.succeeded:
                raise TransactionFailedError(label, await self._why(call, receipt.block_number))
        return included

    async def _included(self, hashes: list[bytes]) -> list[Receipt]:
        """The receipts of transactions, as soon as all are in blocks."""
        while True:
            receipts = await self._chain.receipts(hashes)
            included = [receipt for receipt in receipts if receipt is not None]
            if len(included) == len(hashes):
                return included
            await asyncio.sleep(_POLL_S)

    async def _why(self, call: Call, block_number: int) -> bytes:
        """The revert data of a call on the state it met."""
        try:
            await self._chain.calls([call], block_number)
        except ChainRefusedError as refusal:
            return refusal.data
        return b""

    async def _send(self, private_key: bytes, to: bytes, data: bytes, label: str, gas: int) -> bytes:
        account = self._account(private_key)
        nonce = await self._nonce(account)
        head = await self._chain.head()
        tip = await self._chain.priority_fee() if head.base_fee else 0
        signed = account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": nonce,
                "to": to,
                "data": data,
                "value": 0,
                "gas": gas,
                "maxFeePerGas": 2 * head.base_fee + tip,
                "maxPriorityFeePerGas": tip,
            }
        )
        sender = account_address(account)
        self._nonces[sender] = nonce + 1
        await self._chain.send_raw(bytes(signed.raw_transaction))
        self._pending[bytes(signed.hash)] = (label, Call(to=to, data=data, sender=sender, gas=gas))
        return bytes(signed.hash)

    def _account(self, private_key: bytes) -> LocalAccount:
        if private_key not in self._accounts:
            self._accounts[private_key] = Account.from_key(private_key)
        return self._accounts[private_key]

    async def _nonce(self, account: LocalAccount) -> int:
        sender = account_address(account)
        if sender not in self._nonces:
            self._nonces[sender] = await self._chain.transaction_count(sender)
        return self._nonces[sender]


def account_address(account: LocalAccount) -> bytes:
    """The address of an account, 20 bytes."""
    return bytes.fromhex(account.address[2:])


def created_address(sender: bytes, nonce: int) -> bytes:
    """The address of the contract that a sender's transaction (or a contract's creation) of this nonce
    makes (RLP)."""
    digits = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    encoded = digits if 0 < nonce < 0x80 else bytes((0x80 + len(digits),)) + digits
    payload = b"\x94" + sender + encoded
    return keccak256(bytes((0xC0 + len(payload),)) + payload)[12:]
