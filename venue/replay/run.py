"""One run of a flow against a venue: prepare, send, read back, compare, follow to finality, reconcile,
report.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.client import VenueClient
from gateway.errors import ConnectionLost, WireError
from settlement.chain_rpc import ChainRpc
from settlement.deployment import DeploymentKeys
from settlement.errors import SettlementError
from venue.investors import ADMINISTRATOR_LOGIN, BROKER_LOGIN, broker_key
from venue.problems import ProblemNumber, VenueError
from venue.replay.finality import FinalityFollower, Settled
from venue.replay.flow import Flow
from venue.replay.outcome import MarketOutcome, VenueFill, compare, read_fills, read_order_rows
from venue.replay.plan import BUYERS
from venue.replay.preparation import Preparation
from venue.replay.progress import Progress
from venue.replay.report import Report, count_reasons, quantiles
from venue.replay.sender import FlowSender

PIPELINE_WINDOW = 512
_RECONCILE_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class RunTarget:
    """Where to run: the gateway's URL, and the keys of administrator and issuer."""

    url: str
    keys: DeploymentKeys
    connections: int = 1


class Watching(Protocol):
    """Who is shown how a run goes."""

    def step(self, text: str, total: int | None = None) -> None:
        """A new step begins; ``total`` is how much there is to do, if that is known."""

    def done(self, count: int) -> None:
        """So much of the step is done."""


@dataclass(slots=True)
class _Measured:
    """What is timed while a run goes: when the engine told each fill final, by (symbol, fill number)."""

    final_at_ns: dict[tuple[str, int], int] = field(default_factory=dict)
    sending_seconds: float = 0.0
    sent: int = 0

    def heard(self, event: dict[str, Any]) -> None:
        """Take one ``account.event``."""
        if event["type"] == "settlement" and event["status"] == "final":
            symbol = event["stream"].partition(":")[2]
            self.final_at_ns[symbol, event["fill_number"]] = int(event["time_ns"])


async def run_flow(flow: Flow, progress: Progress, target: RunTarget, watching: Watching) -> Report:
    """Run a flow, or what an interrupted run left of it, to its report.

    Raises VenueError; the run can then be resumed.
    """
    try:
        return await _Run(flow, progress, target, watching).run()
    except ConnectionLost as lost:
        raise VenueError(
            ProblemNumber.VENUE_GONE, f"the venue at {target.url} is gone: {lost}", "Run again with --resume."
        ) from lost
    except WireError as refusal:
        raise VenueError(ProblemNumber.COMMAND_REFUSED, f"{refusal} (reason {refusal.reason})") from refusal
    except SettlementError as refusal:
        raise VenueError(ProblemNumber.CHAIN_REFUSED, str(refusal)) from refusal
    finally:
        progress.close()


class _Run:
    def __init__(self, flow: Flow, progress: Progress, target: RunTarget, watching: Watching) -> None:
        self._flow = flow
        self._progress = progress
        self._target = target
        self._watching = watching
        self._measured = _Measured()
        self._began = time.monotonic()

    async def run(self) -> Report:
        async with AsyncExitStack() as stack:
            administrator = await stack.enter_async_context(
                VenueClient(
                    self._target.url, ADMINISTRATOR_LOGIN, self._target.keys.administrator, trading=False
                )
            )
            hello = administrator.hello
            chain = await stack.enter_async_context(ChainRpc(hello.chain_rpc, hello.chain_id))
            preparation = Preparation(
                self._flow, self._progress, administrator, chain, self._target.keys, self._watching.step
            )
            await preparation.admit()
            sessions = [await stack.enter_async_context(session) for session in self._sessions(preparation)]
            reader = await stack.enter_async_context(self._reader())
            await preparation.fund(reader)
            await self._refresh(sessions)
            await self._send(sessions, administrator, preparation.accounts)
            fills, outcomes = await self._read_back(reader, preparation.accounts)
            settled = await self._settle(reader, preparation.accounts[:BUYERS], fills)
            breaks, reconciled = await self._reconciled(administrator, settled)
            gas = await chain.receipts([bytes.fromhex(each[2:]) for each in sorted(settled.transactions)])
        report = self._report(fills, outcomes, settled, sum(each.gas_used for each in gas if each))
        report.breaks, report.reconciled = breaks, reconciled
        self._progress.record.finished = report.succeeded
        self._progress.save()
        return report

    def _sessions(self, preparation: Preparation) -> list[VenueClient]:
        """The broker's sessions, each for its share of the investors; the one alone acts for all."""
        count = self._target.connections
        shares = [preparation.accounts[number::count] for number in range(count)]
        keys = [investor.key for investor in preparation.investors]
        return [
            VenueClient(
                self._target.url,
                BROKER_LOGIN,
                broker_key(),
                signing_keys=keys,
                accounts=share,
                window=PIPELINE_WINDOW,
            )
            for share in shares
        ]

    def _reader(self) -> VenueClient:
        """A session that reads for all investors and trades for none."""
        reader = VenueClient(self._target.url, BROKER_LOGIN, broker_key(), trading=False)
        reader.listen("account.event", self._measured.heard)
        return reader

    async def _refresh(self, sessions: list[VenueClient]) -> None:
        for session in sessions:
            await session.refresh_instruments()

    async def _send(
        self, sessions: list[VenueClient], administrator: VenueClient, accounts: list[int]
    ) -> None:
        total, before = len(self._flow.commands), len(self._progress.answered)
        self._watching.step("sending orders", total)
        sender = FlowSender(
            self._flow, sessions, administrator, accounts, self._progress, self._watching.done
        )
        began = time.monotonic()
        await sender.run()
        self._measured.sending_seconds = time.monotonic() - began
        self._measured.sent = len(self._progress.answered) - before

    async def _read_back(
        self, reader: VenueClient, accounts: list[int]
    ) -> tuple[dict[str, list[VenueFill]], list[MarketOutcome]]:
        self._watching.step("comparing fills")
        fills, outcomes = {}, []
        for market in self._flow.markets:
            rows = await read_order_rows(reader, accounts, market.symbol)
            fills[market.symbol] = await read_fills(reader, accounts, market.symbol)
            outcomes.append(compare(market, fills[market.symbol], rows))
        return fills, outcomes

    async def _settle(
        self, reader: VenueClient, buyers: list[int], fills: dict[str, list[VenueFill]]
    ) -> Settled:
        total = sum(map(len, fills.values()))
        self._watching.step("settling on chain", total)
        follower = FinalityFollower(
            reader, buyers, list(fills), lambda settled: self._watching.done(settled.count("final", "failed"))
        )
        return await follower.run(total)

    async def _reconciled(self, administrator: VenueClient, settled: Settled) -> tuple[int, bool]:
        """Wait for a reconciliation that compared everything, ledger included, as it is from now on and at or
        after the last batch's block; return its breaks, and whether it came.
        """
        self._watching.step("reconciling")
        deadline = time.monotonic() + _RECONCILE_SECONDS_MAX
        projected_at = math.inf
        while True:
            asked_at = time.monotonic()
            status = await administrator.admin.status()
            done = _is_reconciled(status, settled.last_block, asked_at - projected_at)
            if done or time.monotonic() > deadline:
                return status["breaks"], done
            if not any(shard["projector_lag"] for shard in status["shards"]):
                projected_at = min(projected_at, time.monotonic())
            await asyncio.sleep(_POLL_SECONDS)

    def _report(
        self, fills: dict[str, list[VenueFill]], outcomes: list[MarketOutcome], settled: Settled, gas: int
    ) -> Report:
        answers = self._progress.answered.values()
        all_fills = [(symbol, fill) for symbol, of_symbol in fills.items() for fill in of_symbol]
        final_us = [
            (self._measured.final_at_ns[symbol, fill.number] - fill.matched_at_ns) // 1000
            for symbol, fill in all_fills
            if (symbol, fill.number) in self._measured.final_at_ns
        ]
        differences = [outcome.first_difference for outcome in outcomes if outcome.first_difference]
        final, seconds = settled.count("final"), self._measured.sending_seconds
        return Report(
            run=self._progress.record.name,
            symbols=[market.symbol for market in self._flow.markets],
            commands=len(self._flow.commands),
            unanswered=len(self._flow.commands) - len(answers),
            rejects=count_reasons([answer.reason for answer in answers]),
            fills=len(all_fills),
            volume_lots=sum(fill.lots for _, fill in all_fills),
            auction_price=[str(price) for outcome in outcomes for price in sorted(outcome.auction_prices)],
            auction_volume_lots=sum(outcome.auction_volume_lots for outcome in outcomes),
            fills_equal=not differences,
            first_difference=differences[0] if differences else "",
            compared_with=self._compared_with(),
            batches=len(settled.transactions),
            final=final,
            failed=settled.count("failed"),
            gas_used=gas,
            gas_per_fill=gas / final if final else None,
            latency_kind="serial" if self._target.connections > 1 else "open pipeline",
            acknowledgement=quantiles([answer.latency_us for answer in answers if answer.latency_us]),
            commands_per_second=self._measured.sent / seconds if seconds and self._measured.sent else None,
            match_to_final=quantiles(final_us),
            breaks=0,
            reconciled=False,
            seconds=time.monotonic() - self._began,
            fail_reasons=sorted(set(settled.reasons.values())),
        )

    def _compared_with(self) -> str:
        from_file = any(market.fills is not None for market in self._flow.markets)
        return "the files" if from_file else "the naive book"


def _is_reconciled(status: dict[str, Any], last_block: int, within_seconds: float) -> bool:
    """Whether all was compared at or after a block, on a snapshot of the tables that is not older."""
    block, age_ms = status["reconciled_block"], status["reconciled_age_ms"]
    return block is not None and block >= last_block and age_ms < within_seconds * 1000
