"""The key that pays for settlement transactions and signs them; it holds no allowance and no balance (D8)."""

from __future__ import annotations

from dataclasses import dataclass

from eth_account import Account
from eth_utils.address import to_checksum_address

from settlement.fees import Fees


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction as it is sent: its bytes and their hash (32 bytes)."""

    raw: bytes
    hash: bytes


class Signer:
    """Signs with one private key for one chain."""

    def __init__(self, private_key: bytes, chain_id: int) -> None:
        self._account = Account.from_key(private_key)
        self._chain_id = chain_id
        self.address = bytes.fromhex(self._account.address[2:])

    def sign(self, *, nonce: int, to: bytes, data: bytes, gas_limit: int, fees: Fees) -> SignedTransaction:
        """Sign an EIP-1559 call of a contract; the same arguments give the same bytes (RFC 6979)."""
        signed = self._account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": nonce,
                "to": to_checksum_address(to),
                "value": 0,
                "data": data,
                "gas": gas_limit,
                "maxFeePerGas": fees.max_fee,
                "maxPriorityFeePerGas": fees.priority_fee,
            }
        )
        return SignedTransaction(bytes(signed.raw_transaction), bytes(signed.hash))
