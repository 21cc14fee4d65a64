"""Running a flow from the command line: in an embedded venue or at a URL, new or resumed, with its report
printed.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from venue.configuration import Configuration
from venue.data_directory import DataDirectory
from venue.deployed_contracts import keys_of
from venue.embedded_stack import EmbeddedStack
from venue.replay.flow import Flow
from venue.replay.progress import Progress, RunRecord
from venue.replay.report import Report
from venue.replay.run import RunTarget, run_flow
from venue.run_display import RunDisplay


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run: at ``url`` (None: in an embedded venue), over how many sessions, anew or resumed."""

    url: str | None = None
    connections: int = 1
    resume: bool = False
    as_json: bool = False


def run_from_command_line(
    flow: Flow, source: str, prefix: str, configuration: Configuration, options: RunOptions
) -> bool:
    """Run a flow, print its report, and say whether it succeeded.

    ``source`` is what --resume recognises the flow by. ``prefix`` begins the run's name; the name of a new
    run ends in its time, and so do the symbols of its tranches, so that no run meets another's orders.
    Raises VenueError.
    """
    report = asyncio.run(_run(flow, source, prefix, configuration, options))
    if options.as_json:
        print(json.dumps(report.as_json_object()))
    else:
        Console().print(report.as_table())
    return report.succeeded


async def _run(
    flow: Flow, source: str, prefix: str, configuration: Configuration, options: RunOptions
) -> Report:
    with RunDisplay() as display:
        if options.url:
            progress = _progress(
                flow, source, prefix, DataDirectory(configuration.data_directory).replays, options
            )
            target = RunTarget(options.url, keys_of(configuration), options.connections)
            return await run_flow(flow, progress, target, display)
        display.step("starting the embedded venue")
        async with EmbeddedStack(configuration, display.say) as stack:
            progress = _progress(flow, source, prefix, stack.data.replays, options)
            target = RunTarget(stack.url, keys_of(configuration), options.connections)
            memory_bytes = await asyncio.to_thread(stack.memory_bytes)
            report = await run_flow(flow, progress, target, display)
            report.venue_ready_seconds = stack.started_in_seconds
            report.venue_memory_mib = memory_bytes / 2**20
            display.step("stopping the embedded venue")
        return report


def _progress(flow: Flow, source: str, prefix: str, folder: Path, options: RunOptions) -> Progress:
    """Begin a run, or take one up; gives the flow's markets the symbols of the run."""
    if options.resume:
        progress = Progress.resume(folder, source)
    else:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        symbols = [f"{market.symbol}-{stamp}".upper() for market in flow.markets]
        progress = Progress.begin(folder, RunRecord(f"{prefix}-{stamp}", source, symbols))
    for market, symbol in zip(flow.markets, progress.record.symbols, strict=True):
        market.symbol = symbol
    return progress
