"""A real Anvil for the whole run, the contracts on it, and a bench to act on them in one line each.

``anvil``: the node (session). ``contracts``: bench with everything deployed and one tranche listed; whatever
a test does on the chain is taken back after it (``evm_snapshot``).
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from engine.money import Terms
from engine.settlement_batch import ComposedBatch, FillFact, attestation_digest, compose_batch
from engine.signed_order import (
    KIND_STANDING,
    SIDE_BUY,
    SIDE_SELL,
    SignedOrder,
    address_of,
    compact_signature,
    keccak256,
    order_digest,
    order_struct_hash,
    sign_digest,
    sign_order,
)
from settlement.chain_rpc import ChainRpc
from settlement.chain_writer import created_address
from settlement.compile_contracts import compile_contracts, run_compiler
from settlement.contract_abi import (
    ContractAbi,
    ContractName,
    DecodedEvent,
    contract_abi,
    decode_event,
    parse_artifact,
)
from settlement.deployment import (
    Deployment,
    DeploymentKeys,
    TrancheDeployment,
    TrancheSpec,
    deploy,
    deploy_tranche,
)
from settlement.dvp_calldata import Attestation, Refusal, decode_refusal, encode_settle
from venue.toolchain import find_anvil

CHAIN_ID = 31337
ROW_HASH = keccak256(b"a row of the journal")
TERMS = Terms(
    terms_id=1,
    tick_value_e9=10_000_000_000,
    factor_e9=800_000_000,
    accrued_e9_per_lot=123_500_000_000,
    value_date=20261124,
)


def key_of(name: str) -> bytes:
    """A private key that belongs to a name."""
    return keccak256(b"key of " + name.encode())


KEYS = DeploymentKeys(
    administrator=key_of("administrator"),
    issuer=key_of("issuer"),
    operator=address_of(key_of("operator")),
    attestor=address_of(key_of("attestor")),
)


class Reverted(Exception):  # noqa: N818
    """A transaction or call was refused by a contract; ``refusal`` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.error} {dict(refusal.arguments)}")
        self.refusal = refusal


class NodeError(Exception):
    """The node itself refused: what it said."""


@dataclass(frozen=True)
class Anvil:
    """A running Anvil. ``url`` is its JSON-RPC endpoint."""

    url: str
    chain_id: int = CHAIN_ID

    def rpc(self, method: str, *parameters: Any) -> Any:
        """One JSON-RPC call; raises Reverted or NodeError."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        headers = {"Content-Type": "application/json"}
        post = urllib.request.Request(self.url, json.dumps(request).encode(), headers)
        with urllib.request.urlopen(post, timeout=60) as answer:
            found = json.load(answer)
        if "error" not in found:
            return found["result"]
        data = found["error"].get("data")
        if isinstance(data, str) and data.startswith("0x"):
            raise Reverted(decode_refusal(bytes.fromhex(data[2:])))
        raise NodeError(found["error"]["message"])

    def receipt(self, transaction_hash: str) -> dict[str, Any]:
        """The receipt of a transaction sent; Anvil mines it within milliseconds of its answer."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found: dict[str, Any] | None = self.rpc("eth_getTransactionReceipt", transaction_hash)
            if found is not None:
                return found
            time.sleep(0.001)
        raise TimeoutError(f"{transaction_hash} was not mined")

    @property
    def head(self) -> int:
        """Number of the newest block."""
        return int(self.rpc("eth_blockNumber"), 16)

    @property
    def now(self) -> int:
        """Time of the newest block, unix seconds."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def pass_time(self, seconds: int) -> None:
        """Let time pass and mine a block."""
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")


@pytest.fixture(scope="session")
def anvil() -> Iterator[Anvil]:
    """A running node of its own, mining a block for every transaction."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--chain-id", str(CHAIN_ID), "--block-base-fee-per-gas", "0", "--silent"]
    flags = ["--enable-tx-gas-limit", "--disable-min-priority-fee", "--prune-history=64"]
    process = subprocess.Popen([find_anvil(), *options, *flags])
    node = Anvil(f"http://127.0.0.1:{port}")
    try:
        _wait_for(node, process)
        yield node
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(node: Anvil, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            node.rpc("eth_chainId")
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@dataclass(frozen=True)
class Outcome:
    """A transaction that took effect: gas used, and the events in order, each with its emitter."""

    gas_used: int
    events: list[tuple[bytes, DecodedEvent]]
    block_number: int

    def named(self, name: str) -> list[DecodedEvent]:
        """The events of one name."""
        return [event for _, event in self.events if event.name == name]


@dataclass
class Contracts:
    """The deployed contracts and what tests do with them; addresses and keys are bytes, amounts integers."""

    node: Anvil
    venue: Deployment
    tranche: TrancheDeployment
    keys: DeploymentKeys = KEYS
    terms: Terms = TERMS
    nonces: dict[bytes, int] = field(default_factory=dict)
    strangers: dict[bytes, ContractAbi] = field(default_factory=dict)

    def abi_at(self, address: bytes) -> ContractAbi:
        """The ABI of one of our contracts, or of a stranger that a test deployed."""
        if address in self.strangers:
            return self.strangers[address]
        return contract_abi(
            {
                self.venue.dvp: ContractName.DVP,
                self.venue.vault: ContractName.VAULT,
                self.tranche.registry: ContractName.IDENTITY_REGISTRY,
                self.tranche.compliance: ContractName.COUNTRY_COMPLIANCE,
                self.tranche.token: ContractName.TRANCHE_TOKEN,
            }.get(address, ContractName.TEST_CASH)
        )

    def read(self, to: bytes, function: str, *arguments: Any) -> Any:
        """What a view returns."""
        abi = self.abi_at(to)
        call = {"to": _hex(to), "data": _hex(abi.call(function, *arguments))}
        return abi.result(function, bytes.fromhex(self.node.rpc("eth_call", call, "latest")[2:]))

    def act(self, key: bytes, to: bytes, function: str, *arguments: Any) -> Outcome:
        """Send a call as the owner of ``key``; raises Reverted with the decoded error."""
        return self.send(key, to, self.abi_at(to).call(function, *arguments))

    def send(self, key: bytes, to: bytes | None, data: bytes, gas: int = 16_777_216) -> Outcome:
        """Send a transaction (``to`` None: a creation) and see it mined; raises Reverted with the decoded
        error."""
        account = Account.from_key(key)
        transaction = {"from": account.address, "data": _hex(data), **({"to": _hex(to)} if to else {})}
        self.node.rpc("eth_call", {**transaction, "gas": hex(gas)}, "latest")
        nonce = int(self.node.rpc("eth_getTransactionCount", account.address, "latest"), 16)
        envelope = {"nonce": nonce, "gas": gas, "gasPrice": 0, "value": 0, "chainId": CHAIN_ID, "data": data}
        signed = account.sign_transaction({**envelope, "to": to or b""})
        sent = self.node.rpc("eth_sendRawTransaction", _hex(bytes(signed.raw_transaction)))
        return self._outcome(self.node.receipt(sent))

    def create(self, key: bytes, abi: ContractAbi, *arguments: Any) -> bytes:
        """Deploy a contract of a test; returns its address, which the bench knows from then on."""
        nonce = int(self.node.rpc("eth_getTransactionCount", _hex(address_of(key)), "latest"), 16)
        self.send(key, None, abi.creation(*arguments))
        address = created_address(address_of(key), nonce)
        self.strangers[address] = abi
        return address

    def investor(self, name: str, *, lots: int = 0, cash: int = 0, country: int = 344) -> bytes:
        """A registered investor with locked lots and cash in the vault; returns the private key."""
        key, token = key_of(name), self.tranche.token
        account = address_of(key)
        self.act(self.keys.issuer, self.tranche.registry, "registerIdentity", account, account, country)
        self.act(key, token, "setReceiveLocked", True)
        if lots:
            self.act(self.keys.issuer, token, "mint", account, lots)
        if cash:
            self.deposit(key, cash)
        return key

    def deposit(self, key: bytes, cash: int) -> Outcome:
        """Mint cash to an account and enter it in the vault."""
        self.act(self.keys.administrator, self.venue.cash, "mint", address_of(key), cash)
        self.act(key, self.venue.cash, "approve", self.venue.vault, cash)
        return self.act(key, self.venue.vault, "deposit", self.venue.cash, cash)

    def order(self, key: bytes, side: int, **changes: Any) -> SignedOrder:
        """An order of the owner of ``key`` with wide limits."""
        account = address_of(key)
        if "nonce" not in changes:
            changes["nonce"] = self.nonces[account] = self.nonces.get(account, 0) + 1
        values: dict[str, Any] = {
            "account": account,
            "tranche_token": self.tranche.token,
            "cash_token": self.venue.cash,
            "side": side,
            "kind": KIND_STANDING,
            "quantity_lots": 1_000_000,
            "limit_price_ticks": 1 << 30 if side == SIDE_BUY else 0,
            "cash_limit_per_lot": 1 << 60 if side == SIDE_BUY else 0,
            "fee_limit": 0,
            "valid_until": 1 << 40,
            "version": 1,
        }
        return SignedOrder(**{**values, **changes})

    def buy(self, key: bytes, **changes: Any) -> SignedOrder:
        """A buy of the owner of ``key``."""
        return self.order(key, SIDE_BUY, **changes)

    def sell(self, key: bytes, **changes: Any) -> SignedOrder:
        """A sell of the owner of ``key``."""
        return self.order(key, SIDE_SELL, **changes)

    def fill(self, number: int, buy: SignedOrder, sell: SignedOrder, **changes: Any) -> FillFact:
        """A fill matched now: one lot at 9,900 ticks unless changed."""
        values = {"lots": 1, "price_ticks": 9_900, "match_time_ns": self.node.now * 10**9, "terms_id": 1}
        return FillFact(fill_number=number, buy=buy, sell=sell, **{**values, **changes})

    def attest(self, batch: ComposedBatch, key: bytes | None = None, **changes: Any) -> Attestation:
        """The engine's attestation of a batch (journal row 7 of shard 3)."""
        facts = {"shard": 3, "journal_row": 7, "row_hash": ROW_HASH, **changes}
        digest = attestation_digest(
            self.venue.domain, tranche=batch.tranche_token, cash=batch.cash_token, batch=batch, **facts
        )
        return Attestation(signature=sign_digest(digest, key or key_of("attestor")), **facts)

    def signatures(self, batch: ComposedBatch, *signers: bytes) -> list[bytes]:
        """Signatures of a batch's orders by whichever of ``signers`` is each order's account."""
        key_by_account = {address_of(key): key for key in signers}
        return [
            sign_order(order_digest(self.venue.domain, order), key_by_account[order.account])
            for order in batch.orders
        ]

    def settle(self, fills: list[FillFact], *signers: bytes) -> Outcome:
        """Compose, attest and settle a batch as venue and operator do."""
        return self.settle_signed(fills, {address_of(key): key for key in signers})

    def settle_signed(self, fills: list[FillFact], key_by_account: dict[bytes, bytes]) -> Outcome:
        """As ``settle``, each account's orders signed by the key named for it."""
        batch = compose_batch(fills)
        signatures = [
            sign_order(order_digest(self.venue.domain, order), key_by_account[order.account])
            for order in batch.orders
        ]
        return self.submit(encode_settle(batch, signatures, self.attest(batch)))

    @staticmethod
    def struct_hash(order: SignedOrder) -> bytes:
        """The EIP-712 struct hash of an order."""
        return order_struct_hash(order)

    def compact_signatures(self, batch: ComposedBatch, *signers: bytes) -> list[bytes]:
        """The signatures as they lie in the calldata."""
        return [compact_signature(signature) for signature in self.signatures(batch, *signers)]

    def submit(self, calldata: bytes, key: bytes | None = None) -> Outcome:
        """Send a call to the DvP contract as the operator."""
        return self.send(key or key_of("operator"), self.venue.dvp, calldata)

    def cash_of(self, key: bytes) -> int:
        """Cash of an account in the vault."""
        return int(self.read(self.venue.vault, "entryOf", self.venue.cash, address_of(key)))

    def lots_of(self, key: bytes) -> int:
        """Balance of an account in the tranche."""
        return int(self.read(self.tranche.token, "balanceOf", address_of(key)))

    def locked_of(self, key: bytes) -> int:
        """Locked lots of an account."""
        return int(self.read(self.tranche.token, "lockedOf", address_of(key)))

    def _outcome(self, receipt: dict[str, Any]) -> Outcome:
        assert receipt["status"] == "0x1"
        events = []
        for log in receipt["logs"]:
            address = bytes.fromhex(log["address"][2:])
            topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
            event = decode_event(self.abi_at(address), topics, bytes.fromhex(log["data"][2:]))
            assert event is not None
            events.append((address, event))
        return Outcome(int(receipt["gasUsed"], 16), events, int(receipt["blockNumber"], 16))


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


@contextmanager
def _expect_refusal(error: str, **arguments: Any) -> Iterator[None]:
    """Within it a contract must refuse with exactly this error, and these of its arguments."""
    with pytest.raises(Reverted) as caught:
        yield
    refusal = caught.value.refusal
    assert (refusal.error, {name: refusal.arguments.get(name) for name in arguments}) == (error, arguments)


@pytest.fixture(scope="session")
def refused() -> Callable[..., AbstractContextManager[None]]:
    """``with refused("ErrorName", argument=value): ...``"""
    return _expect_refusal


@pytest.fixture(scope="session")
def mocks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ContractAbi]:
    """Contracts that exist for tests only, compiled once for the run, by name."""
    out = tmp_path_factory.mktemp("mocks")
    run_compiler(out, Path(__file__).parent / "contracts" / "mocks")
    return lambda name: parse_artifact(json.loads((out / f"{name}.json").read_text()))


@pytest.fixture(scope="session")
def compiled() -> None:
    """The contracts, compiled."""
    compile_contracts()


@pytest.fixture(scope="session")
def deployed(anvil: Anvil, compiled: None) -> Contracts:
    """Everything deployed once for the run; tests use ``contracts``, which takes back what they do."""

    async def deploy_all() -> Contracts:
        async with ChainRpc(anvil.url, CHAIN_ID) as chain:
            venue = await deploy(chain, CHAIN_ID, KEYS)
            spec = TrancheSpec("Harbour Receivables 2026-1 A", "HBR1A", TERMS)
            return Contracts(anvil, venue, await deploy_tranche(chain, venue, KEYS, spec))

    return asyncio.run(deploy_all())


@pytest.fixture
def contracts(anvil: Anvil, deployed: Contracts) -> Iterator[Contracts]:
    """The deployed contracts as they were when the run began; what the test does is taken back after it."""
    snapshot = anvil.rpc("evm_snapshot")
    deployed.nonces.clear()
    deployed.strangers.clear()
    yield deployed
    anvil.rpc("evm_revert", snapshot)
