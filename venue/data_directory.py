"""The directory that holds everything of an embedded stack, and what its parts are called.

::

    lock            held by the running stack version         layout of the directory; another one is
    refused venue.json      addresses, process ids and state of the stack, for `abst status`, `abst watch`
    and `abst replay` contracts.json  addresses of the contracts postgres/       cluster of the embedded
    PostgreSQL chain/          state of the embedded Anvil logs/           one log per process replays/
    what `abst replay --resume` needs
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from venue.problems import ProblemNumber, VenueError

LAYOUT_VERSION = "1"


class DataDirectory:
    """One data directory; :meth:`take` before writing to it, :meth:`release` at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.postgres = self.path / "postgres"
        self.chain_state = self.path / "chain" / "state.json"
        self.contracts = self.path / "contracts.json"
        self.ray = self.path / "ray"
        self.logs = self.path / "logs"
        self.replays = self.path / "replays"
        self._venue = self.path / "venue.json"
        self._lock: int | None = None

    def take(self) -> None:
        """Make the directory if there is none, and lock it until :meth:`release` or the end of the process.

        Raises VenueError 906 when another stack runs on it, 907 when it is of another version, 908 when it
        is no data directory or cannot be written.
        """
        try:
            self._refuse_strangers()
            for folder in (self.path, self.chain_state.parent, self.logs, self.replays):
                folder.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._check_version()
        except OSError as error:
            raise VenueError(
                ProblemNumber.DATA_DIRECTORY_UNUSABLE,
                f"{self.path} cannot be used: {error.strerror}",
                "Name another with --data-dir or data_directory in abst.toml.",
            ) from error

    def release(self) -> None:
        """Give the lock back; others may take the directory from now on."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock is not None

    def in_use(self) -> bool:
        """Whether a stack, this one included, runs on the directory."""
        if self.held:
            return True
        try:
            lock = os.open(self.path / "lock", os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def log(self, process: str) -> Path:
        """Return where a process writes its log."""
        return self.logs / f"{process}.log"

    def write_venue(self, state: Mapping[str, Any]) -> None:
        """Write ``venue.json``, whole or not at all; only its owner may read it, for it may hold a DSN with
        a password.
        """
        write_whole(self._venue, json.dumps(state, indent=2) + "\n")

    def read_venue(self) -> dict[str, Any]:
        """Read ``venue.json`` of a running stack; raises VenueError 910 when none runs here."""
        try:
            state: dict[str, Any] = json.loads(self._venue.read_text())
        except (OSError, ValueError):
            state = {}
        if not state or not self.in_use():
            raise VenueError(
                ProblemNumber.VENUE_NOT_RUNNING, f"no venue runs on {self.path}", "Start one with `abst up`."
            )
        return state

    def _refuse_strangers(self) -> None:
        found = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        if found and not found & {"lock", self.replays.name}:
            raise VenueError(
                ProblemNumber.DATA_DIRECTORY_UNUSABLE,
                f"{self.path} is not empty and no data directory of a venue",
                "Name another with --data-dir or data_directory in abst.toml.",
            )

    def _take_lock(self) -> None:
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise VenueError(
                ProblemNumber.DATA_DIRECTORY_IN_USE,
                f"another venue runs on {self.path}",
                "Stop it, trade at it with --url, or name another directory with --data-dir.",
            ) from None
        self._lock = lock

    def _check_version(self) -> None:
        file = self.path / "version"
        found = file.read_text().strip() if file.exists() else ""
        if not found:
            write_whole(file, LAYOUT_VERSION + "\n")
        elif found != LAYOUT_VERSION:
            self.release()
            raise VenueError(
                ProblemNumber.DATA_OF_ANOTHER_VERSION,
                f"{self.path} has layout version {found}, this program has {LAYOUT_VERSION}",
                "Use the program that made it, or name another directory with --data-dir.",
            )


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, sees all of it or the one before; mode 0600."""
    draft = path.with_name(path.name + ".draft")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
