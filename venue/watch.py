"""`abst watch`: the venue's status as a live board, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from venue.configuration import Configuration
from venue.problems import VenueError
from venue.status import StatusReader, board

_REFRESH_SECONDS = 1.0


def run_watch(configuration: Configuration) -> None:
    """Show the board until Ctrl-C, also while parts of the venue are away; VenueError 910 when none runs at
    first.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(StatusReader(configuration)))


async def _watch(reader: StatusReader) -> None:
    shown = board(await reader.read())
    with Live(shown, console=Console(), screen=True, auto_refresh=False) as live:
        while True:
            try:
                shown = board(await reader.read())
                live.update(shown, refresh=True)
            except VenueError as problem:
                live.update(Group(Text(str(problem), "bold red"), shown), refresh=True)
            await asyncio.sleep(_REFRESH_SECONDS)
