"""What settlement needs of an EVM chain: the port that ``chain_rpc.py`` serves from a node.

Hashes have 32 bytes, addresses 20, amounts are in wei, times in the chain's seconds. Every method raises
ChainUnavailableError when the node gives no answer and ChainRefusedError when it answers with an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Block:
    """The header fields that settlement uses. ``base_fee``: wei per gas (EIP-1559)."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    base_fee: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a transaction was included and whether it took effect."""

    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    succeeded: bool
    gas_used: int


@dataclass(frozen=True, slots=True)
class Log:
    """One event as a contract emitted it."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    transaction_hash: bytes
    log_index: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call to simulate; ``to`` empty: a creation. ``gas``: its limit, None for the node's own."""

    to: bytes
    data: bytes
    sender: bytes | None = None
    gas: int | None = None


class Chain(Protocol):
    """One EVM chain, as a node of it answers."""

    async def head(self) -> Block:
        """The newest block."""

    async def finalized(self) -> Block | None:
        """The block behind the ``finalized`` tag; None while the chain has none."""

    async def blocks(self, numbers: Sequence[int]) -> list[Block | None]:
        """The canonical blocks at these heights, in order; None beyond the head."""

    async def receipts(self, transaction_hashes: Sequence[bytes]) -> list[Receipt | None]:
        """The receipts of these transactions, in order; None for one in no block."""

    async def logs(self, addresses: Sequence[bytes], first_block: int, last_block: int) -> list[Log]:
        """All events of these contracts in a range of blocks, both ends included, in the chain's order."""

    async def transaction_count(self, sender: bytes, block_number: int | None = None) -> int:
        """How many transactions of ``sender`` are in blocks up to one (None: the newest); the next nonce."""

    async def priority_fee(self) -> int:
        """Priority fee per gas that the node suggests, wei."""

    async def calls(self, calls: Sequence[Call], block_number: int | None = None) -> list[bytes]:
        """What calls would return on the state after a block (None: the newest), in order.

        Raises ChainRefusedError, with the revert data, for the first that reverts.
        """

    async def send_raw(self, raw: bytes) -> None:
        """Hand a signed transaction to the node; one it knows already, or has mined, is no error."""
