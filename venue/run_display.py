"""Shows how a run goes, on standard error: progress bars on a terminal, a line per step elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


class RunDisplay:
    """The steps of a run, one after the other; a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Show a line about something beside the run."""
        self._console.print(line, style="dim", highlight=False, markup=False)

    def step(self, text: str, total: int | None = None) -> None:
        """A new step begins; ``total`` is how much there is to do, if that is known."""
        if self._task is not None:
            self._progress.update(self._task, total=1, completed=1)
        self._task = self._progress.add_task(text, total=total)
        if not self._console.is_terminal:
            self.say(text)

    def done(self, count: int) -> None:
        """So much of the step is done."""
        if self._task is not None:
            self._progress.update(self._task, completed=count)
