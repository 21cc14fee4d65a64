"""What becomes of a request: orders go to their shard at once, reads to the records, answers to the
session.

Orders, subscriptions and resumes are taken on without waiting, so a session's requests are worked in order;
reads run beside them; log-on and administration hold up what follows them in their session until done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import asyncpg
import structlog

from engine.reasons import Reason
from ext.records import ExecutionReport, Refused
from gateway.admin_methods import AdminMethods
from gateway.database_errors import DATABASE_ERRORS
from gateway.errors import BadParameters, CommandRefused, OutcomeUnknown, WireError
from gateway.fan_out import FanOut
from gateway.listing import Listings
from gateway.log_on import LogOn
from gateway.market_data import read_channel
from gateway.metrics import GatewayMetrics
from gateway.order_entry import OrderEntry
from gateway.pending import Outcome
from gateway.protocol import Parameters, Request
from gateway.session import Session
from gateway.shard_feeds import ShardFeeds
from gateway.streams import Streams
from gateway.views import Views
from gateway.wire_events import order_state, reason_name, refusal

log = structlog.get_logger()

CHANNELS_MAX: Final = 1024
RETRY_AFTER_MS: Final = 500

Drained = Callable[[], Awaitable[None]]
Read = Callable[[Session, Mapping[str, Any]], Awaitable[dict[str, Any]]]
Now = Callable[[Session, Mapping[str, Any], Drained], dict[str, Any]]


class RequestDesk:
    """Works the requests of all sessions."""

    def __init__(
        self,
        feeds: ShardFeeds,
        fan_out: FanOut,
        listings: Listings,
        orders: OrderEntry,
        streams: Streams,
        views: Views,
        log_on: LogOn,
        administration: AdminMethods,
        metrics: GatewayMetrics,
    ) -> None:
        self._feeds = feeds
        self._fan_out = fan_out
        self._listings = listings
        self._orders = orders
        self._streams = streams
        self._views = views
        self._metrics = metrics
        self._tasks: dict[Session, set[asyncio.Task[None]]] = {}
        self._at_once: dict[str, Now] = {
            "instruments.list": self._instruments,
            "book.get": self._book,
            "market.subscribe": self._subscribe,
            "market.unsubscribe": self._unsubscribe,
            "session.resume": self._resume,
        }
        self._beside: dict[str, Read] = {
            "orders.list": views.orders_list,
            "order.get": views.order_get,
            "fills.list": views.fills_list,
            "balances.get": views.balances_get,
            "settlement.status": views.settlement_status,
            "admin.status": administration.status,
        }
        self._in_turn: dict[str, Read] = {
            "session.logon": log_on.log_on,
            "admin.account.open": administration.account_open,
            "admin.participant.set": administration.participant_set,
            "admin.tranche.list": administration.tranche_list,
            "admin.phase.set": administration.phase_set,
        }

    def work(self, session: Session, request: Request, drained: Drained) -> Awaitable[None] | None:
        """Work a request; an awaitable, if returned, is to be awaited before the session's next one."""
        method = request.method
        if method.startswith("order.") and method != "order.get":
            self._order(session, request)
        elif method in self._at_once:
            self._now(session, request, drained)
        elif method in self._in_turn:
            return self._answer(session, request, self._in_turn[method])
        else:
            self._task(session, self._answer(session, request, self._beside[method]))
        return None

    def gone(self, session: Session) -> None:
        """A session ended: stop what runs for it and deliver nothing more to it."""
        session.ended()
        self._fan_out.leave(session, session.identity.epochs)
        self._feeds.market.forget(session)
        session.replays.clear()
        for task in self._tasks.pop(session, ()):
            task.cancel()

    # Orders -----------------------------------------------------------------------------------------------

    def _order(self, session: Session, request: Request) -> None:
        try:
            command = self._orders.command(session, request.method, request.params)

            def answered(outcome: Outcome) -> None:
                self._order_answered(session, request, outcome)

            self._feeds.send(command.shard, command.record, command.side, answered)
        except WireError as problem:
            self._refuse(session, request, problem)

    def _order_answered(self, session: Session, request: Request, outcome: Outcome) -> None:
        if isinstance(outcome, ExecutionReport):
            listing = self._listings.get(outcome.header.tranche)
            assert listing is not None, "the command was for a listed tranche"
            self._metrics.results.inc()
            session.answer(request.id, order_state(outcome, listing))
        elif isinstance(outcome, Refused) and outcome.reason == Reason.ORDER_CLOSED:
            self._task(session, self._refuse_with_order(session, request, outcome))
        elif isinstance(outcome, Refused):
            self._refuse(session, request, refusal(outcome))
        else:
            assert isinstance(outcome, WireError), "a participant's command has no other answer"
            self._refuse(session, request, outcome)

    async def _refuse_with_order(self, session: Session, request: Request, refused: Refused) -> None:
        """Say how the order ended that could not be cancelled or replaced, if the records can be read."""
        listing, order = self._listings.get(refused.header.tranche), None
        assert listing is not None, "the command was for a listed tranche"
        try:
            order = await self._views.order_that_ended(request.params, refused, listing)
        except (*DATABASE_ERRORS, WireError) as problem:
            log.warning("how an order ended cannot be looked up", error=repr(problem))
        self._refuse(session, request, refusal(refused, order))

    def _refuse(self, session: Session, request: Request, problem: WireError) -> None:
        self._metrics.answers.labels(reason_name(problem.reason)).inc()
        session.refuse(request.id, problem)

    # At once ----------------------------------------------------------------------------------------------

    def _now(self, session: Session, request: Request, drained: Drained) -> None:
        try:
            result = self._at_once[request.method](session, request.params, drained)
        except WireError as problem:
            self._refuse(session, request, problem)
        else:
            self._metrics.results.inc()
            session.answer(request.id, result)

    def _instruments(self, session: Session, params: Mapping[str, Any], drained: Drained) -> dict[str, Any]:
        Parameters(params).finish()
        market = self._feeds.market
        market.listed(self._listings.all())
        return {
            "instruments": [listing.row(market.market(listing).phase) for listing in self._listings.all()]
        }

    def _book(self, session: Session, params: Mapping[str, Any], drained: Drained) -> dict[str, Any]:
        given = Parameters(params)
        listing = self._listings.of_symbol(given.text("symbol"))
        given.finish()
        return self._feeds.market.snapshot(listing)

    def _subscribe(self, session: Session, params: Mapping[str, Any], drained: Drained) -> dict[str, Any]:
        return self._change_channels(params, "subscribe", session)

    def _unsubscribe(self, session: Session, params: Mapping[str, Any], drained: Drained) -> dict[str, Any]:
        return self._change_channels(params, "unsubscribe", session)

    def _change_channels(self, params: Mapping[str, Any], change: str, session: Session) -> dict[str, Any]:
        given = Parameters(params)
        channels = given.value("channels")
        given.finish()
        if not isinstance(channels, list) or len(channels) > CHANNELS_MAX:
            raise BadParameters(f"channels must be an array of at most {CHANNELS_MAX} channels")
        wanted = []
        for channel in channels:
            feed, symbol = read_channel(channel)
            listing = self._listings.of_symbol(symbol)
            self._feeds.market.listed([listing])
            wanted.append((feed, self._feeds.market.market(listing)))
        for feed, market in wanted:
            getattr(market, change)(feed, session)
        return {"channels": channels}

    def _resume(self, session: Session, params: Mapping[str, Any], drained: Drained) -> dict[str, Any]:
        given = Parameters(params)
        streams = self._streams.read_resume(session, given.value("streams"))
        given.finish()
        session.begin_resume()
        self._streams.hold(session, streams)
        self._task(session, self._replay(session, list(streams), drained))
        return {}

    async def _replay(self, session: Session, keys: list[Any], drained: Drained) -> None:
        while True:
            try:
                await self._streams.replay(session, keys, drained)
            except DATABASE_ERRORS as problem:
                self._metrics.resumes.labels("retried").inc()
                log.warning("replay waits for the records", error=repr(problem))
                await asyncio.sleep(RETRY_AFTER_MS / 1000)
            else:
                session.end_resume()
                self._metrics.resumes.labels("complete").inc(len(keys))
                return

    # Beside and in turn -----------------------------------------------------------------------------------

    async def _answer(self, session: Session, request: Request, read: Read) -> None:
        try:
            result = await read(session, request.params)
        except WireError as problem:
            self._refuse(session, request, problem)
        except asyncpg.DataError as problem:
            self._refuse(session, request, BadParameters(f"a value cannot be kept: {problem}"))
        except DATABASE_ERRORS as problem:
            log.warning("records unreachable", method=request.method, error=repr(problem))
            self._refuse(session, request, _unreachable(request.method))
        except Exception:
            log.exception("request failed", method=request.method)
            self._refuse(session, request, OutcomeUnknown("the gateway failed; this was written down"))
        else:
            self._metrics.results.inc()
            session.answer(request.id, result)

    def _task(self, session: Session, work: Any) -> None:
        tasks = self._tasks.setdefault(session, set())
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def _unreachable(method: str) -> WireError:
    """The error while PostgreSQL does not answer; an act of administration may have gone through."""
    if method.startswith("admin."):
        return OutcomeUnknown("the records cannot be reached now", retry_after_ms=RETRY_AFTER_MS)
    return CommandRefused(
        "the records cannot be reached now",
        Reason.RECORDS_BEHIND,
        final=False,
        retry_after_ms=RETRY_AFTER_MS,
    )
