"""The processes of a stack, found by the mark in their environment, wherever they hang in the process tree.

Ray's daemons and workers put themselves into sessions of their own, and a process that loses its parent
hangs under another; the environment stays. ``python -m venue.remains MARK`` is the stack's sexton: it waits
for the end of its standard input, which comes when the supervisor ends, however that ends, and then sees
that nothing of the stack is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import psutil

MARK_VARIABLE = "ABST_STACK"
ROLE_VARIABLE = "ABST_STACK_ROLE"
_LIFE = "#"
_GRACE_SECONDS = 5.0
_PATIENCE_SECONDS = 20.0


def mark_of(data_directory: Path) -> str:
    """Return the mark of every stack that ever ran on a data directory."""
    return str(data_directory.resolve())


def new_mark(data_directory: Path) -> str:
    """Return the mark of one life of a stack: the sexton of the life before must not touch this one."""
    return f"{mark_of(data_directory)}{_LIFE}{os.getpid()}-{time.time_ns()}"


def marked_processes(mark: str, role: str | None = None) -> list[psutil.Process]:
    """Return the live processes that carry a mark, of one life or of a directory, this process excluded; of
    one role only if ``role`` is given.
    """
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
        except (psutil.Error, OSError):
            continue
        carried = environment.get(MARK_VARIABLE, "")
        if mark in (carried, carried.rpartition(_LIFE)[0]) and role in (None, environment.get(ROLE_VARIABLE)):
            found.append(process)
    return found


def end_marked_processes(mark: str, role: str | None = None, grace_seconds: float = _GRACE_SECONDS) -> int:
    """Interrupt the processes of a stack, kill what is left after the grace, and return how many there
    were.

    Blocks until none is left, at most 20 s longer than the grace.
    """
    seen: set[int] = set()
    killing_from = time.monotonic() + grace_seconds
    while time.monotonic() < killing_from + _PATIENCE_SECONDS:
        left = marked_processes(mark, role)
        if not left:
            break
        killing = time.monotonic() >= killing_from
        for process in left:
            if killing or process.pid not in seen:
                _send(process, signal.SIGKILL if killing else signal.SIGINT)
            seen.add(process.pid)
        time.sleep(0.05)
    return len(seen)


def proportional_memory_bytes(mark: str) -> int:
    """Return the memory of a stack's processes, this one included: pages shared by n processes count 1/n
    (PSS).
    """
    counted = {psutil.Process()}
    for process in marked_processes(mark):
        # A server's own children may have written over their environment.
        with contextlib.suppress(psutil.Error):
            counted |= {process, *process.children(recursive=True)}
    return sum(map(_pss, counted))


def _pss(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except (psutil.Error, OSError):
        return 0
    return int(getattr(full, "pss", full.rss))


def _send(process: psutil.Process, number: signal.Signals) -> None:
    # One that has ended meanwhile is what was wanted.
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)


def _main() -> None:
    for interrupt in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(interrupt, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_marked_processes(sys.argv[1])


if __name__ == "__main__":
    _main()
