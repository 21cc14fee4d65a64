"""A whole venue on one machine: PostgreSQL, Anvil, contracts, shards, ledger, gateway, settlement, in one
data directory.

What the configuration leaves empty is embedded, what it names is used where it is. The four processes of
the venue are the same programs, and read the same configuration, as in production.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from venue.anvil_embedded import AnvilEmbedded
from venue.child_process import ChildProcess
from venue.configuration import Configuration, as_environment
from venue.data_directory import DataDirectory
from venue.deployed_contracts import read_contracts
from venue.ports import free_port, refuse_busy_port
from venue.postgres_embedded import PostgresEmbedded, PostgresError
from venue.problems import ProblemNumber, VenueError, problem_said
from venue.readiness import gateway_is_ready, ledger_is_ready, settlement_is_ready, shards_are_ready
from venue.remains import (
    MARK_VARIABLE,
    ROLE_VARIABLE,
    end_marked_processes,
    mark_of,
    new_mark,
    proportional_memory_bytes,
)
from venue.supervisor import Service, Supervisor

DATABASE = "abst"
_START_SECONDS_MAX = 60.0
_SHARDS_START_SECONDS_MAX = 3600.0  # they replay their journals first, tens of thousands of commands a second
_PREPARE_SECONDS_MAX = 90.0


class EmbeddedStack:
    """The processes of one venue, supervised; an asynchronous context manager that leaves nothing running.

    ``told`` hears one line about every change. After :meth:`start`, ``configuration`` is complete: it names
    every address.
    """

    def __init__(self, configuration: Configuration, told: Callable[[str], None] = lambda line: None) -> None:
        self.configuration = configuration
        self.data = DataDirectory(configuration.data_directory)
        self.started_in_seconds = 0.0
        self._told = told
        self._state = "starting"
        self._mark = new_mark(self.data.path)
        self._supervisor: Supervisor | None = None
        self._sexton: subprocess.Popen[bytes] | None = None

    @property
    def services(self) -> list[Service]:
        """Every supervised process, in the order of their start."""
        return self._supervisor.services if self._supervisor else []

    @property
    def url(self) -> str:
        """Where participants connect."""
        gateway = self.configuration.gateway
        return f"ws://{gateway.host}:{gateway.port}/v1"

    def memory_bytes(self) -> int:
        """Memory of all processes of the stack, shared pages counted by share (PSS). Takes some 50 ms."""
        return proportional_memory_bytes(self._mark)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start everything; ready when this returns. Raises VenueError, and then nothing is left
        running.
        """
        began = time.monotonic()
        self.data.take()
        try:
            await self._start_all()
        except BaseException:
            await self.stop()
            raise
        self.started_in_seconds = time.monotonic() - began
        self._become("ready")

    async def stop(self) -> None:
        """Stop everything in order and see that nothing is left; data stays."""
        self._become("stopping")
        if self._supervisor:
            await self._supervisor.stop()
        await asyncio.to_thread(self._bury)
        self._become("stopped")
        self.data.release()

    async def _start_all(self) -> None:
        self._choose_ports()
        await asyncio.to_thread(end_marked_processes, mark_of(self.data.path))
        self._sexton = self._start_sexton()
        self._become("starting")
        postgres, anvil = self._postgres(), self._anvil()
        stages = [[service for service in (postgres, anvil) if service], *self._venue_stages()]
        self._supervisor = Supervisor(stages, self._noticed)
        await self._supervisor.start_stage(0)
        await self._prepare()
        for stage in range(1, len(stages)):
            await self._supervisor.start_stage(stage)

    # -- the parts

    def _postgres(self) -> Service | None:
        if self.configuration.postgres.dsn:
            return None
        program = _PostgresProgram(
            PostgresEmbedded(self.data.postgres, port=self.configuration.postgres.port), self._mark
        )
        return Service("postgres", program, program.running)

    def _anvil(self) -> Service | None:
        if self.configuration.chain.rpc_url:
            return None
        anvil = AnvilEmbedded(self.configuration.chain, self.data, self._environment("anvil"))
        return Service("anvil", anvil, anvil.answers)

    def _venue_stages(self) -> list[list[Service]]:
        return [
            [
                self._process("shards", shards_are_ready, _SHARDS_START_SECONDS_MAX),
                self._process("ledger", ledger_is_ready),
                self._process("gateway", gateway_is_ready),
                self._process("settlement", settlement_is_ready),
            ]
        ]

    def _process(
        self,
        name: str,
        ready: Callable[[Configuration], Coroutine[Any, Any, bool]],
        start_seconds_max: float = _START_SECONDS_MAX,
    ) -> Service:
        async def sweep() -> None:
            await asyncio.to_thread(end_marked_processes, self._mark, name, 0.0)

        return Service(
            name,
            _VenueProcess(name, self),
            lambda: ready(self.configuration),
            sweep=sweep,
            start_seconds_max=start_seconds_max,
        )

    async def _prepare(self) -> None:
        """Make the schemas and, once, the contracts; in a process of its own, for this one stays small."""
        postgres = self.services[0].program if not self.configuration.postgres.dsn else None
        if isinstance(postgres, _PostgresProgram):
            self._complete(postgres={"dsn": postgres.server.dsn(DATABASE)})
        if not self.configuration.chain.rpc_url:
            self._complete(chain={"rpc_url": f"http://127.0.0.1:{self.configuration.chain.port}"})
        child = self.new_process("prepare")
        await child.start()
        try:
            async with asyncio.timeout(_PREPARE_SECONDS_MAX):
                how = await child.wait()
        finally:
            await child.stop()
        if how != "ended with exit code 0":
            raise problem_said(child.said()) or VenueError(
                ProblemNumber.PROCESS_DID_NOT_START,
                f"preparing database and contracts {how}:\n{child.said()}",
            )
        self._complete(contracts=read_contracts(self.data.contracts).model_dump())

    def new_process(self, name: str) -> ChildProcess:
        """Return a process of the venue, not started: ``abst process NAME`` with the configuration as it is
        now.
        """
        command = [sys.executable, "-m", "venue.cli", "process", name]
        environment = self._environment(name) | as_environment(self.configuration)
        return ChildProcess(command, self.data.log(name), environment)

    # -- what is around them

    def _choose_ports(self) -> None:
        chain, gateway = self.configuration.chain, self.configuration.gateway
        if not chain.rpc_url:
            self._complete(chain={"port": chain.port or free_port()})
            refuse_busy_port("127.0.0.1", self.configuration.chain.port, "chain.port", "the chain")
        self._complete(gateway={"port": gateway.port or free_port()})
        refuse_busy_port(gateway.host, self.configuration.gateway.port, "gateway.port", "the gateway")

    def _complete(self, **sections: dict[str, Any]) -> None:
        changed = {
            name: getattr(self.configuration, name).model_copy(update=values)
            for name, values in sections.items()
        }
        self.configuration = self.configuration.model_copy(update=changed)

    def _environment(self, role: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ABST_")}
        # Ray's processes rename themselves; SPT_NOENV keeps that from writing over the mark.
        own = {MARK_VARIABLE: self._mark, ROLE_VARIABLE: role, "PYTHONUNBUFFERED": "1", "SPT_NOENV": "1"}
        return inherited | own

    def _start_sexton(self) -> subprocess.Popen[bytes]:
        # It must outlive every other process, so it carries no mark and hears of no signal of the terminal.
        command = [sys.executable, "-m", "venue.remains", self._mark]
        with self.data.log("remains").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=_root(), start_new_session=True
            )

    def _bury(self) -> None:
        if self._sexton is None:
            return
        assert self._sexton.stdin is not None
        self._sexton.stdin.close()
        self._sexton.wait()
        self._sexton = None

    def _noticed(self, line: str) -> None:
        self._told(line)
        self._become(self._state)

    def _become(self, state: str) -> None:
        self._state = state
        if not self.data.held:
            return
        configuration = self.configuration
        self.data.write_venue(
            {
                "state": state,
                "url": self.url,
                "chain_rpc": configuration.chain.rpc_url,
                "dsn": configuration.postgres.dsn,
                "contracts": configuration.contracts.model_dump(),
                "supervisor": os.getpid(),
                "processes": {
                    service.name: {
                        "pid": service.program.pid,
                        "state": service.state,
                        "restarts": service.restarts,
                    }
                    for service in self.services
                },
            }
        )


class _PostgresProgram:
    """The embedded server as a supervised program; starting it blocks the loop for about half a second."""

    def __init__(self, server: PostgresEmbedded, mark: str) -> None:
        self.server = server
        self._mark = mark

    @property
    def pid(self) -> int:
        return self.server.pid

    async def start(self) -> None:
        with _marked(self._mark, "postgres"):
            try:
                self.server.start()
                self.server.ensure_database(DATABASE)
            except PostgresError as error:
                raise VenueError(ProblemNumber.PROCESS_DID_NOT_START, str(error)) from error

    async def wait(self) -> str:
        while self.server.running:  # noqa: ASYNC110  the server is a plain child; nothing tells of its end
            await asyncio.sleep(0.1)
        return "ended"

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.stop)

    def said(self) -> str:
        return self.server.log.read_text(errors="replace")[-2000:] if self.server.log.exists() else ""

    async def running(self) -> bool:
        return self.server.running


class _VenueProcess:
    """One process of the venue; made anew at every start, with the configuration as it is then."""

    def __init__(self, name: str, stack: EmbeddedStack) -> None:
        self._name = name
        self._stack = stack
        self._child: ChildProcess | None = None

    @property
    def pid(self) -> int:
        return self._child.pid if self._child else 0

    async def start(self) -> None:
        self._child = self._stack.new_process(self._name)
        await self._child.start()

    async def wait(self) -> str:
        assert self._child is not None
        return await self._child.wait()

    async def stop(self) -> None:
        if self._child:
            await self._child.stop()

    def said(self) -> str:
        return self._child.said() if self._child else ""


@contextlib.contextmanager
def _marked(mark: str, role: str) -> Iterator[None]:
    """Put the stack's mark into this process's environment for a child that takes it from there."""
    before = {name: os.environ.get(name) for name in (MARK_VARIABLE, ROLE_VARIABLE)}
    os.environ[MARK_VARIABLE], os.environ[ROLE_VARIABLE] = mark, role
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _root() -> Path:
    return Path(__file__).resolve().parent.parent
