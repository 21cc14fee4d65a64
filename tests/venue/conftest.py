"""A whole embedded venue, started once for the tests that need one, by the command of a user."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from venue.remains import mark_of, marked_processes

START_SECONDS_MAX = 120


@dataclass
class RunningVenue:
    """A running `abst up`."""

    supervisor: "subprocess.Popen[bytes]"
    data: Path

    def state(self) -> dict[str, Any]:
        """What venue.json says."""
        return state_of(self.data)

    @property
    def url(self) -> str:
        """Where to trade."""
        return str(self.state()["url"])

    def kill(self, process: str) -> None:
        """Kill -9 a process of the venue, or one that Ray runs for its shards."""
        kill_process(self.data, process)


def state_of(data: Path) -> dict[str, Any]:
    """What a data directory's venue.json says."""
    found: dict[str, Any] = json.loads((data / "venue.json").read_text())
    return found


def kill_process(data: Path, process: str) -> None:
    """Kill -9 a process of the stack on a data directory by its name, or by that of a child of its shards."""
    processes = state_of(data)["processes"]
    if process in processes:
        os.kill(processes[process]["pid"], signal.SIGKILL)
        return
    shards = psutil.Process(processes["shards"]["pid"]).children(recursive=True)
    next(child for child in shards if process in _called(child)).kill()


def _called(process: psutil.Process) -> str:
    try:
        return f"{process.name()} {' '.join(process.cmdline()[:1])}"
    except psutil.Error:
        return ""


def until(condition: Callable[[], bool], what: str, seconds_max: float = START_SECONDS_MAX) -> None:
    """Wait until something is so; fail with ``what`` did not come."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline, f"{what} within {seconds_max:g} s"
        time.sleep(0.05)


def nothing_runs_on(data: Path) -> bool:
    """Whether no process of any stack of a data directory is left."""
    return not marked_processes(mark_of(data))


@pytest.fixture(scope="session")
def free_ports() -> dict[str, str]:
    """The environment that lets a stack take free ports."""
    return {**os.environ, "ABST_GATEWAY__PORT": "0", "ABST_CHAIN__PORT": "0", "ABST_METRICS__PORT": "0"}


@pytest.fixture(scope="session")
def abst() -> list[str]:
    """The command line to run `abst` with."""
    return [sys.executable, "-m", "venue.cli"]


@pytest.fixture(scope="module")
def venue(abst: list[str], free_ports: dict[str, str]) -> Iterator[RunningVenue]:
    """A running venue; after the tests it is stopped by Ctrl-C, and nothing may be left of it."""
    folder = Path(tempfile.mkdtemp(prefix="abst-venue-"))
    data = folder / "data"
    with (folder / "up.log").open("wb") as log:
        command = [*abst, "up", "--data-dir", str(data)]
        supervisor = subprocess.Popen(command, env=free_ports, stdout=log, stderr=log, start_new_session=True)
    running = RunningVenue(supervisor, data)
    try:
        until(lambda: _is_ready(running), f"the venue is ready: {(folder / 'up.log').read_text()}")
        yield running
    finally:
        supervisor.send_signal(signal.SIGINT)
        code = supervisor.wait(60)
    assert code == 0
    assert nothing_runs_on(data)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def wait_for_answers() -> Callable[[Path, int], None]:
    """Wait until a run in a folder has so many answers."""
    return lambda folder, count: until(lambda: _answers(folder) >= count, f"{count} answers")


def _answers(folder: Path) -> int:
    return sum(path.read_text().count("\n") for path in folder.glob("*.acks"))


@pytest.fixture(scope="session")
def kill() -> Callable[[Path, str], None]:
    """Kill -9 a process of the stack on a data directory."""
    return kill_process


@pytest.fixture(scope="session")
def wait_until_gone() -> Callable[[Path], None]:
    """Wait until nothing runs on a data directory."""
    return lambda data: until(lambda: nothing_runs_on(data), "nothing is left")


def _is_ready(running: RunningVenue) -> bool:
    assert running.supervisor.poll() is None
    return (running.data / "venue.json").exists() and running.state()["state"] == "ready"
