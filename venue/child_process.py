"""One child process of the embedded stack: its own process group, its own log file, and no life after its
parent.

Linux ends the child by ``death_signal`` when the parent dies in any way (prctl PR_SET_PDEATHSIG). What a
child itself started is the business of ``venue.remains``: every process of a stack carries the stack's mark
in its environment.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LOG_BYTES_MAX = 16 * 2**20
_LAST_LINES = 12


class ChildProcess:
    """A program that is started, waited for, and stopped; start it from the main thread.

    ``stop_signal`` asks it to end, SIGKILL follows after ``stop_seconds``.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGKILL,
        stop_seconds: float = 15.0,
    ) -> None:
        self.command = tuple(command)
        self.log = log
        self._environment = dict(environment)
        self._stop_signal = stop_signal
        self._death_signal = death_signal
        self._stop_seconds = stop_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._log_begin = 0

    @property
    def pid(self) -> int:
        """Process id; 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the program; OSError when it cannot be run."""
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._log_begin = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid(), self._death_signal),
            )

    async def wait(self) -> str:
        """Wait for the end and say how the process ended."""
        assert self._process is not None
        code = await self._process.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def stop(self) -> None:
        """Ask the process to end, wait, and kill its group if it does not."""
        if not self.running:
            return
        assert self._process is not None
        self._process.send_signal(self._stop_signal)
        try:
            async with asyncio.timeout(self._stop_seconds):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """Kill the process and its group at once."""
        if self.running:
            assert self._process is not None
            os.killpg(self._process.pid, signal.SIGKILL)

    def said(self) -> str:
        """Return the last lines the process wrote since it was started."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(self._log_begin, self.log.stat().st_size - 16384))
            text = log.read().decode(errors="replace")
        return "\n".join(text.strip().splitlines()[-_LAST_LINES:])


def _die_with(parent: int, death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def bind_to_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os._exit(1)

    return bind_to_parent
