"""Sends a flow through the gateway: in order, pipelined or session by session, through lost connections.

With one session all commands are pipelined, up to the window, and a command's latency includes the queue of
those before it. With several, each acts for its share of the investors, and whenever the next command
belongs to another session what is under way is waited for first, because two sockets have no common order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from ext.records import Phase, Side, TimeInForce
from gateway.client import VenueClient
from gateway.client_connection import Call
from gateway.client_types import OrderState
from gateway.errors import CommandRefused, ConnectionLost, OutcomeUnknown, WireError
from venue.problems import ProblemNumber, VenueError
from venue.replay.flow import Flow, FlowCommand
from venue.replay.progress import Answered, Progress
from venue.replay.tape import TapeOp

NONCE_TRANCHE_SHIFT = 40
SILENCE_SECONDS_MAX = 90.0
_PHASE_SECONDS_MAX = 30.0
_SIDE_WORDS = {Side.BUY: "buy", Side.SELL: "sell"}
_TIME_IN_FORCE_WORDS = {TimeInForce.GTC: "gtc", TimeInForce.IOC: "ioc"}


class FlowSender:
    """One pass over a flow. ``accounts`` are the investors' account numbers; ``noticed`` hears of every
    answer.
    """

    def __init__(
        self,
        flow: Flow,
        sessions: Sequence[VenueClient],
        administrator: VenueClient,
        accounts: Sequence[int],
        progress: Progress,
        noticed: Callable[[int], None] = lambda answered: None,
    ) -> None:
        self._flow = flow
        self._sessions = sessions
        self._administrator = administrator
        self._accounts = accounts
        self._progress = progress
        self._noticed = noticed
        self._last_session: VenueClient | None = None
        self._under_way = 0
        self._heard = asyncio.Event()

    async def run(self) -> None:
        """Send every command that has no answer yet, and wait for all answers.

        Raises VenueError 911 when the venue stays silent, 914 when it refuses a change of phase.
        """
        try:
            for place, entry in enumerate(self._flow.commands):
                if place not in self._progress.answered:
                    await self._send(place, entry)
            await self._all_answered()
        finally:
            self._progress.flush()

    async def _send(self, place: int, entry: FlowCommand) -> None:
        if entry.command.op is TapeOp.PHASE:
            await self._all_answered()
            await self._change_phase(entry)
            self._answered(place, Answered(0, 0, 0))
            return
        session = self._sessions[entry.command.investor % len(self._sessions)]
        if session is not self._last_session:
            await self._all_answered()
            self._last_session = session
        self._under_way += 1
        self._submit(session, entry).when_done(lambda call: self._done(place, call))
        await self._room(session)

    def _submit(self, session: VenueClient, entry: FlowCommand) -> Call[OrderState]:
        command, symbol = entry.command, entry.market.symbol
        account = self._accounts[command.investor]
        row, order_row = str(command.row), str(command.order_row)
        if command.op is TapeOp.CANCEL:
            return session.submit_cancel(
                account, symbol, client_order_id=row, original_client_order_id=order_row
            )
        assert command.side is not None
        assert command.time_in_force is not None
        instrument = session.instruments[symbol]
        price, side = instrument.grid.text(command.price_ticks), _SIDE_WORDS[command.side]
        nonce = instrument.tranche << NONCE_TRANCHE_SHIFT | command.order_row
        words = _TIME_IN_FORCE_WORDS[command.time_in_force]
        standing = command.time_in_force is not TimeInForce.IOC
        if command.op is TapeOp.NEW:
            return session.submit_place(
                account, symbol, side, command.total_lots, price,
                client_order_id=row, time_in_force=words, nonce=nonce, standing=standing,
            )  # fmt: skip
        return session.submit_replace(
            account, symbol, side, command.total_lots, price,
            client_order_id=row, original_client_order_id=order_row,
            nonce=nonce, version=command.version, time_in_force=words, standing=standing,
        )  # fmt: skip

    def _done(self, place: int, call: Call[OrderState]) -> None:
        error = call.error()
        latency_us = max(0, call.answered_ns - call.sent_ns) // 1000
        self._under_way -= 1
        self._heard.set()
        if error is None:
            self._answered(place, Answered(call.result().order_id, latency_us, 0))
        elif isinstance(error, WireError) and error.final:
            self._answered(place, Answered(0, latency_us, error.reason))

    def _answered(self, place: int, answered: Answered) -> None:
        self._progress.answer(place, answered)
        self._noticed(len(self._progress.answered))

    async def _room(self, session: VenueClient) -> None:
        await self._unless_silent(session.room())

    async def _all_answered(self) -> None:
        while self._under_way:
            self._heard.clear()
            await self._unless_silent(self._heard.wait())

    async def _unless_silent(self, waiting: Coroutine[Any, Any, object]) -> None:
        """Wait, but not for ever: raise VenueError 911 when no command has been answered for 90 s."""
        task = asyncio.ensure_future(waiting)
        try:
            while not task.done():
                answered = len(self._progress.answered)
                done, _ = await asyncio.wait([task], timeout=SILENCE_SECONDS_MAX)
                if not done and answered == len(self._progress.answered):
                    raise VenueError(
                        ProblemNumber.VENUE_GONE,
                        f"the venue has not answered for {SILENCE_SECONDS_MAX:g} s,"
                        f" {self._under_way} commands are under way",
                        "See that it runs (`abst status`), then run the same command with --resume.",
                    )
        finally:
            task.cancel()

    async def _change_phase(self, entry: FlowCommand) -> None:
        """Change the phase; where the answer was lost, see whether it happened before asking again."""
        phase = entry.command.phase
        assert phase is not None
        while await self._phase(entry) is not phase:
            try:
                await self._administrator.admin.set_phase(entry.market.symbol, phase.name.lower())
            except (ConnectionLost, OutcomeUnknown):
                await asyncio.sleep(1)
            except CommandRefused as refusal:
                if await self._phase(entry) is not phase:
                    raise VenueError(
                        ProblemNumber.COMMAND_REFUSED,
                        f"{entry.market.symbol} does not go to {phase.name}: {refusal} ({refusal.reason})",
                    ) from refusal

    async def _phase(self, entry: FlowCommand) -> Phase | None:
        instruments = await self._administrator.refresh_instruments()
        word = instruments[entry.market.symbol].phase
        return None if word is None else Phase[word.upper()]
