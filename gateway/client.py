"""The client SDK: one asynchronous object that trades, keeps books, and survives reconnects.

::

    async with VenueClient("ws://127.0.0.1:8460/v1", "maker-1", credential_key) as venue:
        order = await venue.submit_place(7, "ABST-A", "buy", 100, "99.125")
        order = await venue.final(order)
        print(order.status, order.cum)

``submit_*`` send at once (or as soon as the venue's in-flight limit leaves room), in the order of the
calls, and return a :class:`~gateway.client_connection.Call`: await it now, later, or never. After a lost
connection the client logs on again, resends what was not answered with the same ids (the venue answers a
command it knows with ``duplicate``), resumes its private streams without gap or double, and takes new
snapshots of its books. Errors are those of :mod:`gateway.errors`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

import structlog

from engine.signed_order import address_of
from gateway.books import PublicBook
from gateway.client_admin import VenueAdministration
from gateway.client_connection import Call, VenueConnection
from gateway.client_market import BookCopies
from gateway.client_signing import Limits, NonceSource, order_terms, signature_of, wire_terms
from gateway.client_streams import Resumption, StreamPositions
from gateway.client_types import Hello, Instrument, OrderState, SessionAccount
from gateway.client_watch import Watch
from gateway.errors import ConnectionLost
from gateway.logon import sign_logon
from gateway.words import SIDES

log = structlog.get_logger()

Listener = Callable[[dict[str, Any]], None]
WINDOW: Final = 1024
CONNECT_WITHIN_S: Final = 30.0
ASK_SETTLEMENT_S: Final = 2.0
SETTLED: Final = frozenset({"final", "failed"})


class VenueClient:
    """A participant's (or administrator's) session with the venue.

    ``key`` (32 bytes) signs the log-on; ``signing_keys`` and ``key`` sign orders, each for the account
    whose address is its own. ``accounts`` narrows the session to some of the participant's accounts. With
    ``trading=False`` the session only reads and takes over nothing. ``window`` bounds the calls under way
    (the venue's own limit does too); a wider one adds more to the latency of each than to what passes.
    """

    accounts: dict[int, SessionAccount]
    """The accounts this session acts for, by id, as of the last log-on."""
    instruments: dict[str, Instrument]
    """The listed tranches by symbol, as of the last log-on or :meth:`refresh_instruments`."""
    admin: VenueAdministration

    def __init__(
        self,
        url: str,
        login: str,
        key: bytes,
        *,
        signing_keys: Iterable[bytes] = (),
        accounts: Iterable[int] | None = None,
        trading: bool = True,
        window: int = WINDOW,
    ) -> None:
        self.accounts = {}
        self.instruments = {}
        self._login = login
        self._key = key
        self._keys = {address_of(each): each for each in (key, *signing_keys)}
        self._wanted_accounts = None if accounts is None else list(accounts)
        self._trading = trading
        self._connection = VenueConnection(url, self._log_on, self._notified, window)
        self.admin = VenueAdministration(self._connection)
        self._nonces = NonceSource()
        self._streams = StreamPositions()
        self._resumption = Resumption(self._streams, self._resume)
        self._listeners: dict[str, list[Listener]] = {}
        self._hello: Hello | None = None
        self._copies = BookCopies(self.instruments, self._snapshot_again)
        self._orders: Watch[int, OrderState] = Watch()
        self._fills: Watch[tuple[str, int], None] = Watch()

    # The session ------------------------------------------------------------------------------------------

    async def start(self, timeout_s: float = CONNECT_WITHIN_S) -> None:
        """Connect and log on. Raises WireError when refused, ConnectionLost after ``timeout_s``."""
        await self._connection.start(timeout_s)

    async def close(self) -> None:
        """End the session; calls under way end with ConnectionLost, orders stay as they are."""
        await self._connection.close()
        self._orders.fail(ConnectionLost("the client was closed"))
        self._fills.fail(ConnectionLost("the client was closed"))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def hello(self) -> Hello:
        """What the venue said on the last connect. Raises ConnectionLost before the first."""
        if self._hello is None:
            raise ConnectionLost("not connected yet")
        return self._hello

    @property
    def connections(self) -> int:
        """How often the client has logged on so far."""
        return self._connection.connections

    def listen(self, method: str, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with the parameters of every notification of ``method``; return what ends that.

        Methods: ``account.event`` (each event of a private stream once and in order), ``settlement.event``,
        ``book``, ``trade``, ``status``, ``replay_complete``. The listener runs on the loop and must not
        block.
        """
        listeners = self._listeners.setdefault(method, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    async def room(self) -> None:
        """Wait until all that was submitted has left the client (not: has been answered)."""
        await self._connection.room()

    # Orders -----------------------------------------------------------------------------------------------

    def submit_place(
        self,
        account: int,
        symbol: str,
        side: str,
        quantity: int,
        price: str,
        *,
        client_order_id: str | None = None,
        time_in_force: str = "gtc",
        nonce: int | None = None,
        valid_until: int | None = None,
        cash_limit: int | None = None,
        fee_limit: int | None = None,
        standing: bool = True,
    ) -> Call[OrderState]:
        """Sign and send a new limit order of ``quantity`` lots at the clean ``price``.

        Omitted: ``client_order_id`` is made up, ``nonce`` comes from the clock, ``valid_until`` (unix
        seconds) is 90 days from now, ``cash_limit`` and ``fee_limit`` (minor units, a lot and the order)
        follow from the price, the terms in force and the fee rates. Give your own nonce to be able to
        repeat the order later. Raises KeyError for an account, symbol or side that the session does not
        know, ValueError for a price off the tick.
        """
        if nonce is None:
            nonce = self._nonces.next(account, self.instruments[symbol].tranche)
        limits = (valid_until, cash_limit, fee_limit)
        signed = self._signed(account, symbol, side, quantity, price, (nonce, 1), limits, standing)
        identity = {"client_order_id": client_order_id or _made_up(), "time_in_force": time_in_force}
        return self._connection.submit("order.place", signed | identity, OrderState.of)

    def submit_replace(
        self,
        account: int,
        symbol: str,
        side: str,
        quantity: int,
        price: str,
        *,
        nonce: int,
        version: int,
        order_id: int | None = None,
        original_client_order_id: str | None = None,
        client_order_id: str | None = None,
        time_in_force: str = "gtc",
        valid_until: int | None = None,
        cash_limit: int | None = None,
        fee_limit: int | None = None,
        standing: bool = True,
    ) -> Call[OrderState]:
        """Sign and send a replacement: ``quantity`` is the new total, what filled included (FIX OrderQty).

        ``nonce`` is the order's, ``version`` one more than its last. Name the order by its id or by the
        client order id it was placed under. The rest as :meth:`submit_place`.
        """
        limits = (valid_until, cash_limit, fee_limit)
        signed = self._signed(account, symbol, side, quantity, price, (nonce, version), limits, standing)
        identity = {"client_order_id": client_order_id or _made_up(), "time_in_force": time_in_force}
        named = _naming(order_id, original_client_order_id)
        return self._connection.submit("order.replace", signed | identity | named, OrderState.of)

    def submit_cancel(
        self,
        account: int,
        symbol: str,
        *,
        order_id: int | None = None,
        original_client_order_id: str | None = None,
        client_order_id: str | None = None,
    ) -> Call[OrderState]:
        """Cancel an order named by its id or client order id; the answer is its final state.

        ``client_order_id`` is the cancel's own id, made up when omitted.
        """
        params = {"account": account, "symbol": symbol, "client_order_id": client_order_id or _made_up()}
        named = _naming(order_id, original_client_order_id)
        return self._connection.submit("order.cancel", params | named, OrderState.of)

    async def order(
        self, account: int, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None
    ) -> OrderState:
        """Return how an order stands. Raises CommandRefused with reason 109 when there is no such order."""
        params: dict[str, Any] = {"account": account, "symbol": symbol}
        if order_id is not None:
            params["order_id"] = str(order_id)
        else:
            params["client_order_id"] = client_order_id
        return await self._connection.submit("order.get", params, OrderState.of)

    async def final(self, order: OrderState) -> OrderState:
        """Wait until nothing more can happen to the order and return it."""
        account, _, symbol = order.stream.partition(":")
        with self._orders.wait(order.order_id) as ended:
            now = await self.order(int(account), symbol, order_id=order.order_id)
            return now if now.closed else await ended

    # What the venue recorded ------------------------------------------------------------------------------

    async def orders(
        self, account: int, symbol: str | None = None, *, open_only: bool = False
    ) -> list[OrderState]:
        """Return the account's orders, oldest first, all pages."""
        params = {"account": account, "open": open_only} | ({"symbol": symbol} if symbol else {})
        rows = await self._pages("orders.list", params, "orders", "after_order_id", "order_id")
        return [OrderState.of(row) for row in rows]

    async def fills(self, account: int, symbol: str, after_fill_number: int = 0) -> list[dict[str, Any]]:
        """Return the account's fills in a tranche above a fill number, with settlement status, all
        pages.
        """
        params = {"account": account, "symbol": symbol, "after_fill_number": after_fill_number}
        return await self._pages("fills.list", params, "fills", "after_fill_number", "fill_number")

    async def balances(self, account: int) -> dict[str, Any]:
        """Return ``cash`` (minor units) and ``tokens`` by symbol (lots): free, earmarked, in_settlement."""
        return await self._connection.submit("balances.get", {"account": account}, dict)

    async def settlement_status(self, account: int, symbol: str, fill_number: int) -> dict[str, Any]:
        """Return a fill's settlement: status, batch, transaction hash, block."""
        params = {"account": account, "symbol": symbol, "fill_number": fill_number}
        result = await self._connection.submit("settlement.status", params, dict)
        return dict(result["fills"][0])

    async def settlement_statuses(
        self, account: int, symbol: str, after_fill_number: int = 0
    ) -> list[dict[str, Any]]:
        """Return the settlement of the account's fills above a fill number, all pages."""
        params = {"account": account, "symbol": symbol, "after_fill_number": after_fill_number}
        return await self._pages("settlement.status", params, "fills", "after_fill_number", "fill_number")

    async def settled(self, account: int, symbol: str, fill_number: int) -> dict[str, Any]:
        """Wait until a fill is final or failed on chain and return its settlement."""
        with self._fills.wait((symbol, fill_number)) as decided:
            while True:
                status = await self.settlement_status(account, symbol, fill_number)
                if status["status"] in SETTLED:
                    return status
                await asyncio.wait([decided], timeout=ASK_SETTLEMENT_S)

    async def refresh_instruments(self) -> dict[str, Instrument]:
        """Read the listed tranches again, after a listing or a change of terms."""
        rows = await self._connection.submit("instruments.list", {}, dict)
        self._take_instruments(rows)
        return self.instruments

    # Market data ------------------------------------------------------------------------------------------

    async def subscribe(self, *channels: str) -> None:
        """Subscribe to ``book.SYM``, ``trades.SYM``, ``status.SYM``; kept across reconnects."""
        if not {channel.partition(".")[2] for channel in channels} <= self.instruments.keys():
            await self.refresh_instruments()
        self._copies.channels.update(dict.fromkeys(channels))
        await self._connection.submit("market.subscribe", {"channels": list(channels)}, dict)

    async def unsubscribe(self, *channels: str) -> None:
        """End subscriptions."""
        for channel in channels:
            self._copies.channels.pop(channel, None)
        await self._connection.submit("market.unsubscribe", {"channels": list(channels)}, dict)

    def book(self, symbol: str) -> PublicBook:
        """Return the copy of a subscribed book, true as of its last notification. Raises KeyError if
        none.
        """
        return self._copies[symbol]

    @property
    def book_drifts(self) -> int:
        """How often a book did not fit its sequence or checksum and was taken anew."""
        return self._copies.drifts

    # How it works -----------------------------------------------------------------------------------------

    def _signed(
        self,
        account: int,
        symbol: str,
        side: str,
        quantity: int,
        price: str,
        name: tuple[int, int],
        limits: Limits,
        standing: bool,
    ) -> dict[str, Any]:
        """The parameters of an order that are signed, and the signature."""
        instrument, address = self.instruments[symbol], self.accounts[account].address
        terms = order_terms(instrument, SIDES[side], quantity, price, name, limits, standing)
        signature = signature_of(self.hello, instrument, address, self._keys[address], terms)
        identity = {"account": account, "symbol": symbol, "side": side, "price": price}
        return identity | wire_terms(instrument, terms, signature)

    async def _pages(
        self, method: str, params: dict[str, Any], key: str, after: str, last: str
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            result = await self._connection.submit(method, params, dict)
            rows += result[key]
            if not result["more"]:
                return rows
            params = params | {after: result[key][-1][last]}

    async def _log_on(self, hello: Hello) -> None:
        """Log on over a new connection, learn what there is, and catch up with what was missed."""
        self._hello = hello
        self._copies.forget()
        self._resumption.forget()
        call = self._connection.call_now
        params: dict[str, Any] = {
            "login": self._login,
            "signature": "0x" + sign_logon(hello.challenge, self._key).hex(),
            "trading": self._trading,
        }
        if self._wanted_accounts is not None:
            params["accounts"] = self._wanted_accounts
        logging_on = call("session.logon", params, self._logged_on)
        listing = call("instruments.list", {}, self._take_instruments)
        await logging_on
        await listing
        if self._copies.channels:
            await call("market.subscribe", {"channels": list(self._copies.channels)}, dict)

    def _logged_on(self, result: dict[str, Any]) -> None:
        for row in result["accounts"]:
            address = bytes.fromhex(row["address"][2:])
            self.accounts[row["account"]] = SessionAccount(row["account"], address, row["session_epoch"])
        self._resumption.want(self._streams.log_on(result["streams"]))

    def _take_instruments(self, result: dict[str, Any]) -> None:
        self.instruments.update((row["symbol"], Instrument.of(row)) for row in result["instruments"])

    def _notified(self, method: str, params: dict[str, Any]) -> None:
        if method == "account.event":
            if not self._in_order(params):
                return
            self._account_event(params)
        elif method == "book":
            self._copies.notified(params)
        elif method == "status":
            self._copies.status(params)
        elif method == "settlement.event":
            if params["status"] in SETTLED:
                self._fills.tell((params["symbol"], params["fill_number"]), None)
        elif method == "replay_complete":
            self._resumption.complete(params["streams"])
        for listener in tuple(self._listeners.get(method, ())):
            try:
                listener(params)
            except Exception:
                log.exception("a listener failed", method=method)

    def _in_order(self, params: dict[str, Any]) -> bool:
        """Whether the event is the next of its stream; a gap has the stream resumed."""
        name = params["stream"]
        verdict = self._streams.take(name, params["seq"])
        if verdict is None:
            self._resumption.want([name])
        return bool(verdict)

    def _resume(self, streams: dict[str, int]) -> None:
        self._connection.call_now("session.resume", {"streams": streams}, dict)

    def _account_event(self, params: dict[str, Any]) -> None:
        if params["type"] == "execution_report":
            order_id = int(params["order_id"])
            if self._orders.awaited(order_id):
                state = OrderState.of(params)
                if state.closed:
                    self._orders.tell(order_id, state)

    def _snapshot_again(self, symbol: str) -> None:
        channel = f"book.{symbol}"
        self._connection.call_now("market.unsubscribe", {"channels": [channel]}, dict)
        self._connection.call_now("market.subscribe", {"channels": [channel]}, dict)


def _made_up() -> str:
    return uuid.uuid4().hex


def _naming(order_id: int | None, original_client_order_id: str | None) -> dict[str, str]:
    if order_id is not None:
        return {"order_id": str(order_id)}
    if original_client_order_id is None:
        raise ValueError("name the order by order_id or original_client_order_id")
    return {"original_client_order_id": original_client_order_id}
