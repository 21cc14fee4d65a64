"""A development chain of one's own: Anvil as a child process, its state kept in a file.

A block every ``block_seconds``, whether there are transactions or not. Anvil writes its state at intervals
and at its end, over the file it wrote before; here the last whole file is kept beside it, so that a kill in
the middle of a write costs one interval more. A killed Anvil thus comes back at most two intervals older:
for everybody else a reorganisation, which has to stay below finality. Gas costs nothing, but a
transaction's limit holds (EIP-7825).
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from venue.child_process import ChildProcess
from venue.configuration import ChainSection
from venue.data_directory import DataDirectory
from venue.problems import ProblemNumber, VenueError
from venue.toolchain import find_anvil

STATES_KEPT = 64
"""Blocks whose state can still be asked for; older ones keep only transactions, receipts and logs."""

_MOMENT_NS = 100_000_000


class AnvilEmbedded:
    """The Anvil of a data directory. The constructor raises VenueError 905 when the program is missing, 901
    when a killed Anvil could come back behind what counts as final.
    """

    def __init__(self, section: ChainSection, data: DataDirectory, environment: Mapping[str, str]) -> None:
        _check_finality(section)
        self.rpc_url = f"http://127.0.0.1:{section.port}"
        self._chain_id = section.chain_id
        self._state = data.chain_state
        self._whole = data.chain_state.with_suffix(".whole.json")
        self._interval_seconds = section.state_interval_seconds
        self._child = ChildProcess(
            [str(find_anvil()), *_options(section, data.chain_state)],
            data.log("anvil"),
            environment,
            stop_signal=signal.SIGTERM,
            death_signal=signal.SIGTERM,
        )
        self._kept_mtime_ns = 0
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Process id; 0 before the first start."""
        return self._child.pid

    async def start(self) -> None:
        """Start Anvil on the newest whole state there is."""
        if not _is_whole(self._state):
            _replace_if_there(self._whole, self._state)
        await self._child.start()
        self._keeper = asyncio.create_task(self._keep_whole_states())

    async def wait(self) -> str:
        """Wait for the end and say how it came."""
        return await self._child.wait()

    async def stop(self) -> None:
        """Stop Anvil, which writes its state."""
        if self._keeper:
            self._keeper.cancel()
        await self._child.stop()

    def said(self) -> str:
        """Return its last words."""
        return self._child.said()

    async def answers(self) -> bool:
        """Say whether the node answers and is of the configured chain."""
        return await chain_answers(self.rpc_url, self._chain_id)

    async def _keep_whole_states(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds / 4)
            await asyncio.to_thread(self._keep_if_whole)

    def _keep_if_whole(self) -> None:
        """Copy the state, unless Anvil is writing it: then it is younger than a moment, or changes under
        the copy.
        """
        draft = self._whole.with_suffix(".draft")
        try:
            before = self._state.stat()
            if time.time_ns() - before.st_mtime_ns < _MOMENT_NS or before.st_mtime_ns == self._kept_mtime_ns:
                return
            shutil.copyfile(self._state, draft)
            if self._state.stat().st_mtime_ns == before.st_mtime_ns:
                draft.replace(self._whole)
                self._kept_mtime_ns = before.st_mtime_ns
        except OSError:  # it is not there yet, or cannot be copied now: the next round tries again
            return


async def chain_answers(rpc_url: str, chain_id: int) -> bool:
    """Say whether the node at ``rpc_url`` answers and is of this chain."""
    try:
        return int(await asyncio.to_thread(_call, rpc_url, "eth_chainId"), 16) == chain_id
    except (OSError, ValueError, KeyError):
        return False


def _check_finality(section: ChainSection) -> None:
    lost_seconds = 2 * section.state_interval_seconds
    if section.finality == "depth" and section.finality_blocks * section.block_seconds <= lost_seconds:
        raise VenueError(
            ProblemNumber.CONFIGURATION_INVALID,
            f"chain.finality_blocks: {section.finality_blocks} of {section.block_seconds} s are no more"
            f" than the {lost_seconds} s that a killed Anvil can lose",
            "Raise chain.finality_blocks, or lower chain.state_interval_seconds.",
        )


def _options(section: ChainSection, state: Path) -> list[str]:
    values: dict[str, object] = {
        "--port": section.port,
        "--chain-id": section.chain_id,
        "--block-time": section.block_seconds,
        "--state": state,
        "--state-interval": section.state_interval_seconds,
        "--slots-in-an-epoch": 1,
        "--prune-history": STATES_KEPT,
        "--order": "fifo",
        "--block-base-fee-per-gas": 0,
    }
    options = [str(part) for option in values.items() for part in option]
    return [*options, "--enable-tx-gas-limit", "--disable-min-priority-fee", "--silent"]


def _is_whole(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return True


def _replace_if_there(source: Path, target: Path) -> None:
    if source.exists():
        shutil.copyfile(source, target)
    else:
        target.unlink(missing_ok=True)


def _call(rpc_url: str, method: str) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).encode()
    request = urllib.request.Request(rpc_url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=2) as answer:
        return json.load(answer)["result"]
