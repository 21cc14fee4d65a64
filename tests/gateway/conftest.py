"""A small venue for the gateway's tests: real PostgreSQL, shards without Ray, projectors, real gateways."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

import settlement
from engine.answer import SentCommand, wait_for
from engine.command import cash_allot, eligibility_set, tokens_adjust
from engine.command_outbox import enqueue, outbox_source
from engine.database import ENGINE_SCHEMA, Database
from engine.outbox_sender import send_outboxes
from engine.postgres_projector import PostgresProjector
from engine.shard_incarnation import ShardConfig, ShardIncarnation
from engine.signed_order import address_of
from ext.records import Record, Sourced, encode
from gateway.client import VenueClient
from gateway.configuration import GatewayConfig
from gateway.gateway_process import run_gateway
from gateway.logon import sign_logon
from gateway.metrics import GatewayMetrics
from venue.postgres_embedded import PostgresEmbedded

SHARDS = (0, 1)
_ADMIN = """
insert into engine.participant (login, credential, role) values ('admin', $1, 'administrator')
on conflict do nothing
"""
_copies = count(1)
ADMIN_KEY = b"\xad" * 32
CASH = bytes.fromhex("ca" * 20)
DVP = bytes.fromhex("d0" * 20)
SETTLEMENT_SCHEMA = Path(settlement.__file__).with_name("schema.sql")


def document(symbol: str, **changes: Any) -> dict[str, Any]:
    """An admission document."""
    return {
        "symbol": symbol,
        "filing": {"number": "2026-001", "date": "2026-02-06", "authority": "CSRC"},
        "offering_document_sha256": "ab" * 32,
        "issuer": "Issuer SPV",
        "chain_id": 31337,
        "token": "0x" + "70" * 20,
        "registry": "0x" + "71" * 20,
        "cash_token": "0x" + CASH.hex(),
        "tick_size": "0.005",
        "price_min": "1",
        "price_max": "200",
        "quantity_max": 1_000_000,
        "face_per_lot_minor": 1_000_000,
        "terms": {"id": 1, "factor": "1", "accrued_per_lot": "0", "value_date": "2026-11-22"},
    } | changes


@dataclass(frozen=True)
class Investor:
    """A participant with one account and the key to both."""

    login: str
    account: int
    key: bytes

    @property
    def address(self) -> bytes:
        """The account's address and the participant's credential."""
        return address_of(self.key)


BUYER, SELLER, STRANGER = INVESTORS = (
    Investor("buyer", 1, b"\x01" * 32),
    Investor("seller", 2, b"\x02" * 32),
    Investor("stranger", 3, b"\x03" * 32),
)


class Venue:
    """Everything a gateway meets, running in this process."""

    admin_key = ADMIN_KEY

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.url = ""
        self.metrics: dict[str, GatewayMetrics] = {}
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._stops: dict[str, asyncio.Event] = {}
        self._shards: dict[int, ShardIncarnation] = {}
        self._transfers = 0

    async def start(self) -> None:
        """Start all but gateways."""
        self.database = await Database.open(self.dsn)
        await self.database.apply_schema("engine", ENGINE_SCHEMA)
        await self.database.apply_schema("settlement", SETTLEMENT_SCHEMA)
        await self.database.pool.execute(_ADMIN, address_of(ADMIN_KEY))
        for shard in SHARDS:
            self.start_shard(shard)
            self.start_projector(shard)
        await self.until(lambda: all(shard.status()["phase"] == "serving" for shard in self._shards.values()))
        self._run("outbox", send_outboxes(self.database, ["administration"], SHARDS))

    async def until(self, reached: Callable[[], Any], within_s: float = 60.0) -> None:
        """Wait until something is so; ``reached`` may be asynchronous."""
        async with asyncio.timeout(within_s):
            while True:
                answer = reached()
                if await answer if isawaitable(answer) else answer:
                    return
                await asyncio.sleep(0.005)

    def start_shard(self, shard: int) -> None:
        """Begin a shard's next incarnation."""
        self._shards[shard] = ShardIncarnation(ShardConfig(shard, self.dsn))
        self._run(f"shard {shard}", self._shards[shard].run())

    def start_projector(self, shard: int) -> None:
        """Begin to project a shard's journal."""
        self._run(f"projector {shard}", PostgresProjector(self.database, shard).run())

    def _run(self, name: str, work: Any) -> None:
        self._tasks[name] = asyncio.create_task(work, name=name)

    def take_over(self, name: str) -> asyncio.Task[Any]:
        """Give up a part to the test, which sees to its end."""
        return self._tasks.pop(name)

    async def end(self, name: str) -> None:
        """End one part without goodbye."""
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def stop(self) -> None:
        """End all parts, gateways first."""
        for name in sorted(self._tasks, key=lambda name: not name.startswith("gateway")):
            await self.end(name)
        await self.database.close()

    async def start_gateway(self, name: str = "g1", port: int = 0, **changes: Any) -> str:
        """Start a gateway and return its URL."""
        config = GatewayConfig(
            name=name,
            host="127.0.0.1",
            port=port,
            database_dsn=self.dsn,
            chain_id=31337,
            dvp=DVP,
            cash=CASH,
            vault=b"\x7a" * 20,
            chain_rpc="http://127.0.0.1:8545",
            **changes,
        )
        listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._stops[name] = asyncio.Event()
        self.metrics[name] = GatewayMetrics()
        gateway = run_gateway(
            config, self._stops[name], ready=listening.set_result, metrics=self.metrics[name]
        )
        self._run(f"gateway {name}", gateway)
        await asyncio.wait([listening, self._tasks[f"gateway {name}"]], return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            self._tasks.pop(f"gateway {name}").result()
        self.url = listening.result()
        return self.url

    async def stop_gateway(self, name: str = "g1") -> None:
        """Stop a gateway as an operator does."""
        self._stops[name].set()
        await self._tasks.pop(f"gateway {name}")

    def client(self, login: str, key: bytes, **options: Any) -> VenueClient:
        """A client of the gateway started last."""
        return VenueClient(self.url, login, key, **options)

    def admin(self) -> VenueClient:
        """The administrator's client."""
        return self.client("admin", ADMIN_KEY)

    # What the chain and administrators do ----------------------------------------------------------------

    async def command(self, shard: int, *records: Record) -> list[Record]:
        """Send commands through the outbox and return the last one's events."""
        async with self.database.transaction() as connection:
            source = await outbox_source(connection, "administration")
            numbers = await enqueue(
                connection,
                source,
                shard,
                [Sourced(encode(record)) for record in records],
                cause="test",
                actor="test",
            )
        async with self.database.connection() as connection:
            return await wait_for(connection, SentCommand(source, shard, numbers[-1], 0), timeout_seconds=10)

    async def fund(self, account: int, symbol: str, *, cash: int = 0, lots: int = 0) -> None:
        """Make an account eligible for a tranche and give it cash and locked lots."""
        row = await self.database.pool.fetchrow(
            "select tranche, shard from engine.tranche where symbol = $1", symbol
        )
        tranche, shard = row["tranche"], row["shard"]
        records: list[Record] = [eligibility_set(account, tranche, eligible=True, country=344)]
        if cash:
            self._transfers += 1
            records.append(cash_allot(account, cash, transfer=self._transfers))
        if lots:
            records.append(tokens_adjust(account, tranche, lots))
        await self.command(shard, *records)


@dataclass
class Market:
    """An open market and who is in it."""

    venue: Venue
    buyer: Investor
    seller: Investor
    stranger: Investor

    def client(self, who: Investor, **options: Any) -> VenueClient:
        """A client for one of them."""
        return self.venue.client(who.login, who.key, **options)


async def _open_market(dsn: str) -> None:
    """Set up a market in an empty database and leave it."""
    venue = Venue(dsn)
    await venue.start()
    await venue.start_gateway()
    async with venue.admin() as admin:
        for investor in INVESTORS:
            account = await admin.admin.open_account(investor.address)
            assert account == investor.account
            await admin.admin.set_participant(investor.login, investor.address, [account])
        await admin.admin.list_tranche(document("ABST-A"))
        await venue.fund(BUYER.account, "ABST-A", cash=10**12)
        await venue.fund(SELLER.account, "ABST-A", lots=100_000)
        await admin.admin.set_phase("ABST-A", "continuous")
    await venue.stop()


@pytest.fixture(scope="session")
def market_database(postgres_server: PostgresEmbedded) -> str:
    """Name of a database with an open market in it, to be copied."""
    postgres_server.execute("create database gateway_market")
    asyncio.run(_open_market(postgres_server.dsn("gateway_market")))
    return "gateway_market"


@pytest.fixture
async def market(postgres_server: PostgresEmbedded, market_database: str) -> AsyncIterator[Market]:
    """A venue whose tranche ``ABST-A`` is open, with a rich buyer and seller and a stranger who is nobody."""
    name = f"gateway_{next(_copies)}"
    postgres_server.execute(f"create database {name} template {market_database}")
    venue = Venue(postgres_server.dsn(name))
    await venue.start()
    await venue.start_gateway()
    yield Market(venue, *INVESTORS)
    await venue.stop()
    postgres_server.execute(f"drop database {name} with (force)")


class Raw:
    """A bare WebSocket that speaks frames, to say what the SDK never would."""

    def __init__(self, socket: ClientConnection, challenge: bytes) -> None:
        self.socket = socket
        self.challenge = challenge
        self.notifications: list[dict[str, Any]] = []
        self._ids = 0

    async def send(self, frame: str | bytes) -> dict[str, Any]:
        """Send a frame and return the next answer."""
        await self.socket.send(frame)
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        """Return the next answer; notifications are put aside."""
        while True:
            message: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), 20))
            if "method" not in message:
                return message
            self.notifications.append(message)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and return the whole answer."""
        self._ids += 1
        request = {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}
        answer = await self.send(json.dumps(request))
        assert answer["id"] == self._ids
        return answer

    async def log_on(self, login: str, key: bytes, **params: Any) -> dict[str, Any]:
        """Log on and return the whole answer."""
        signature = "0x" + sign_logon(self.challenge, key).hex()
        return await self.call("session.logon", login=login, signature=signature, **params)


@pytest.fixture
async def raw() -> AsyncIterator[Callable[[str], Awaitable[Raw]]]:
    """Open bare sockets, closed after the test."""
    sockets: list[ClientConnection] = []

    async def opened(url: str) -> Raw:
        socket = await connect(url, compression=None, proxy=None, max_size=None)
        sockets.append(socket)
        hello = json.loads(await socket.recv())
        assert hello["method"] == "hello"
        return Raw(socket, bytes.fromhex(hello["params"]["challenge"][2:]))

    yield opened
    for socket in sockets:
        await socket.close()
