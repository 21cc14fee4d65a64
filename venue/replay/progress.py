"""What a run keeps on disk so that it can go on after an interruption: which run it is, and what was
acknowledged.

Two files per run: ``NAME.json``, written whole, and ``NAME.acks``, one line per answered command (its place
in the flow, the order id, the latency in microseconds, the reason if it was refused). A line cut short by a
crash is left out; its command is then sent again, and the venue knows it by its client order id.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self, TextIO

from venue.data_directory import write_whole
from venue.problems import ProblemNumber, VenueError

_LINES_BUFFERED = 64


class Answered(NamedTuple):
    """How a command was answered: the order's id, how long that took (0: not measured), the reason if
    refused.
    """

    order_id: int
    latency_us: int
    reason: int


@dataclass(slots=True)
class RunRecord:
    """Which run it is and how far its preparation came.

    ``source`` names what is sent (a digest of the tape, or the seed of a generated flow); ``tranches`` per
    symbol are the tranche's addresses; ``vault_before_minor`` and ``free_before_minor`` are each investor's
    cash in the vault, and free in the engine, before the run deposited any.
    """

    name: str
    source: str
    symbols: list[str]
    tranches: dict[str, dict[str, Any]] = field(default_factory=dict)
    vault_before_minor: list[int] = field(default_factory=list)
    free_before_minor: list[int] = field(default_factory=list)
    funded: bool = False
    finished: bool = False


class Progress:
    """A run's two files."""

    def __init__(self, folder: Path, record: RunRecord) -> None:
        self.record = record
        self.answered: dict[int, Answered] = {}
        self._file = folder / f"{record.name}.json"
        self._acks = folder / f"{record.name}.acks"
        self._out: TextIO | None = None
        self._unflushed = 0

    @classmethod
    def begin(cls, folder: Path, record: RunRecord) -> Self:
        """Begin a new run."""
        folder.mkdir(parents=True, exist_ok=True)
        progress = cls(folder, record)
        progress.save()
        return progress

    @classmethod
    def resume(cls, folder: Path, source: str) -> Self:
        """Take up the newest unfinished run of this source; VenueError 912 when there is no unfinished run,
        913 when all sent something else.
        """
        records = [RunRecord(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
        unfinished = [record for record in records if not record.finished]
        same = [record for record in unfinished if record.source == source]
        if not unfinished:
            raise VenueError(
                ProblemNumber.NOTHING_TO_RESUME,
                f"there is no unfinished run in {folder}",
                "Leave --resume out.",
            )
        if not same:
            raise VenueError(
                ProblemNumber.RESUME_DIFFERS,
                f"the unfinished run {unfinished[-1].name} sent something else than this would",
                "Name the same files and options, or leave --resume out.",
            )
        progress = cls(folder, same[-1])
        progress._read_answers()
        return progress

    def save(self) -> None:
        """Write the record."""
        write_whole(self._file, json.dumps(asdict(self.record), indent=2) + "\n")

    def answer(self, place: int, answered: Answered) -> None:
        """Write down how a command was answered."""
        self.answered[place] = answered
        if self._out is None:
            self._out = self._acks.open("a", encoding="ascii")
        self._out.write(f"{place} {answered.order_id} {answered.latency_us} {answered.reason}\n")
        self._unflushed += 1
        if self._unflushed >= _LINES_BUFFERED:
            self.flush()

    def flush(self) -> None:
        """Hand what was written down to the system."""
        if self._out is not None:
            self._out.flush()
            self._unflushed = 0

    def close(self) -> None:
        """Close the files."""
        if self._out is not None:
            self._out.close()
            self._out = None

    def _read_answers(self) -> None:
        text = self._acks.read_text() if self._acks.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if len(whole) < len(text):
            write_whole(self._acks, whole)
        for line in whole.splitlines():
            place, *rest = map(int, line.split())
            self.answered[place] = Answered(*rest)
