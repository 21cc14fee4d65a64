import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from venue.child_process import ChildProcess
from venue.remains import (
    MARK_VARIABLE,
    ROLE_VARIABLE,
    end_marked_processes,
    mark_of,
    marked_processes,
    new_mark,
    proportional_memory_bytes,
)

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "print('up', flush=True)\ntime.sleep(600)",
]


def started(mark: str, role: str = "worker", command: list[str] = SLEEP) -> "subprocess.Popen[str]":
    environment = {**os.environ, MARK_VARIABLE: mark, ROLE_VARIABLE: role}
    process = subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def ended(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    process.stdout.close()
    return process.wait(20)


def test_processes_are_found_by_life_by_directory_and_by_role(tmp_path: Path) -> None:
    mark = new_mark(tmp_path)
    one, other = started(mark, "shards"), started(mark, "gateway")
    assert {process.pid for process in marked_processes(mark)} == {one.pid, other.pid}
    assert {process.pid for process in marked_processes(mark_of(tmp_path))} == {one.pid, other.pid}
    assert [process.pid for process in marked_processes(mark, "gateway")] == [other.pid]
    assert proportional_memory_bytes(mark) > proportional_memory_bytes(new_mark(tmp_path))
    assert end_marked_processes(mark) == 2
    assert (ended(one), ended(other)) == (-signal.SIGINT, -signal.SIGINT)


def test_what_does_not_obey_is_killed(tmp_path: Path) -> None:
    mark = new_mark(tmp_path)
    process = started(mark, command=STUBBORN)
    end_marked_processes(mark, grace_seconds=0.1)
    assert ended(process) == -signal.SIGKILL


def test_another_life_of_the_same_directory_is_left_alone(tmp_path: Path) -> None:
    before, now = new_mark(tmp_path), new_mark(tmp_path)
    process = started(now)
    assert end_marked_processes(before) == 0
    assert process.poll() is None
    end_marked_processes(now)
    ended(process)


def test_the_sexton_ends_what_is_left_when_its_supervisor_is_gone(tmp_path: Path) -> None:
    mark = new_mark(tmp_path)
    orphan = started(mark)
    sexton = subprocess.Popen([sys.executable, "-m", "venue.remains", mark], stdin=subprocess.PIPE)
    assert sexton.stdin is not None
    sexton.stdin.close()
    assert ended(orphan) == -signal.SIGINT
    assert sexton.wait(20) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_child_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path / "log")], text=True, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    ended(parent)
    gone, alive = psutil.wait_procs([child], timeout=20)
    assert (len(gone), alive) == (1, [])


_PARENT = """
import asyncio, os, pathlib, sys
from venue.child_process import ChildProcess
async def run():
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    child = ChildProcess(command, pathlib.Path(sys.argv[1]), os.environ)
    await child.start()
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(run())
"""


async def test_a_child_tells_how_it_ended_and_what_it_said_last(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no database'); raise SystemExit(3)"]
    child = ChildProcess(command, tmp_path / "log", os.environ)
    await child.start()
    assert await child.wait() == "ended with exit code 3"
    assert child.said() == "no database"
    assert not child.running


async def test_a_child_that_is_stopped_is_asked_first_and_killed_if_it_does_not_obey(tmp_path: Path) -> None:
    script = STUBBORN[2].replace("SIGINT", "SIGTERM")
    child = ChildProcess([sys.executable, "-c", script], tmp_path / "log", os.environ, stop_seconds=0.2)
    await child.start()
    while not child.said():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await child.stop()
    assert await child.wait() == "was ended by SIGKILL"
