"""Shards as Ray actors: the only module that says Ray.

Ray places and starts the actors and tells when one dies; it carries no order (DESIGN D5). An actor is one
incarnation of a shard and is never restarted by Ray: :mod:`engine.shard_host` starts the next one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import psutil
import structlog

from engine.metrics_server import metrics_served
from engine.shard_incarnation import ShardConfig, ShardIncarnation

EXIT_SECONDS: Final = 0.5
"""An actor that is over exits so long after it said why."""
_OBJECT_STORE_BYTES: Final = 80 * 2**20
_SESSION_PATH_BYTES: Final = 66
"""What Ray appends to its directory to make the path of a Unix socket."""
_SOCKET_PATH_BYTES_MAX: Final = 107
_ACTOR_CPUS: Final = 0.01
_VITAL_PROCESSES: Final = ("raylet", "gcs_server")
_LOCAL_ENVIRONMENT: Final = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}

log = structlog.get_logger()


@dataclass(frozen=True)
class RayConfig:
    """Which Ray to use: the one at ``address``, or, where that is empty, one of our own in ``directory``.

    ``environment`` is set for our own Ray and its actors, over what it needs anyway.
    """

    address: str = ""
    directory: Path = field(default_factory=lambda: Path(tempfile.gettempdir()) / "abst-ray")
    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: int = 2


class ShardActor:
    """The thin shell of one :class:`ShardIncarnation` in a Ray worker."""

    def __init__(self, config: ShardConfig) -> None:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.JSONRenderer(),
            ]
        )
        self._metrics_port = config.metrics_port
        self._incarnation = ShardIncarnation(config if config.host else replace(config, host=_node_address()))

    async def serve(self) -> str:
        """Live; return why it ended, and exit a moment later."""
        try:
            async with metrics_served(self._metrics_port):
                await self._incarnation.run()
        except Exception as error:
            asyncio.get_running_loop().call_later(EXIT_SECONDS, os._exit, 1)
            return repr(error)

    async def status(self) -> dict[str, Any]:
        """Return the incarnation's status; answers in every phase."""
        return self._incarnation.status()


class RunningActor:
    """A started actor, as its host sees it."""

    def __init__(self, shard: int, handle: Any, ray: Any) -> None:
        self.shard = shard
        self.pid = 0
        """Its process, once :meth:`status` told."""
        self._handle = handle
        self._ray = ray
        self._serving = handle.serve.remote()

    async def ended(self) -> str:
        """Return, when the actor has ended, why."""
        try:
            return str(await self._serving)
        except self._ray.exceptions.RayError as error:
            return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"

    async def status(self) -> dict[str, Any]:
        """Return the actor's status; an exception when it does not answer."""
        status: dict[str, Any] = await self._handle.status.remote()
        self.pid = status["pid"]
        return status

    def kill(self) -> None:
        """End the actor's process, a frozen one too if it is on this machine."""
        self._ray.kill(self._handle, no_restart=True)
        if self.pid and _is_ray_worker(self.pid):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)


class RayCluster:
    """The Ray that runs the shards; one a process. Our own ends with the thread that started it."""

    def __init__(self, config: RayConfig) -> None:
        self._config = config
        self._ray: Any = None
        self._vital: list[psutil.Process] = []

    def start(self) -> None:
        """Join Ray, or start one; takes some seconds.

        Raises:
            ConnectionError: There is no Ray at the address.
        """
        if not self._config.address:
            os.environ.update(_LOCAL_ENVIRONMENT | dict(self._config.environment))
        import ray  # late, because it reads the environment

        self._ray = ray
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        if self._config.address:
            ray.init(address=self._config.address, log_to_driver=False, configure_logging=False)
        else:
            self._start_own()
        for number, handler in handlers.items():
            signal.signal(number, handler)  # Ray has put its own in their place
        log.info("ray is up", address=self._config.address or "local")

    def _start_own(self) -> None:
        directory = _short(self._config.directory)
        _end_remains(directory)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in directory.glob("session_*"):
            _remove(old)
        self._ray.init(
            address="local",
            num_cpus=self._config.cpus,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            log_to_driver=False,
            configure_logging=False,
            _temp_dir=str(directory),
            _node_ip_address="127.0.0.1",
        )
        children = psutil.Process().children()
        self._vital = [child for child in children if child.name() in _VITAL_PROCESSES]

    def alive(self) -> bool:
        """Whether our own Ray still can do its work; a Ray we joined looks after itself.

        Ray's client in this process does not notice that its raylet was killed.
        """
        return all(
            process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in self._vital
        )

    def launch(self, config: ShardConfig) -> RunningActor:
        """Start an actor that becomes the next incarnation of a shard."""
        actor_class = self._ray.remote(max_restarts=0, max_task_retries=0, num_cpus=_ACTOR_CPUS)(ShardActor)
        return RunningActor(config.shard, actor_class.remote(config), self._ray)

    def stop(self) -> None:
        """Leave Ray; our own ends, with all actors."""
        if self._ray is not None:
            self._ray.shutdown()


def _node_address() -> str:
    import ray

    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


def _short(directory: Path) -> Path:
    """The directory, or a private temporary one where Ray's socket paths would be too long."""
    if len(os.fsencode(directory.absolute())) + _SESSION_PATH_BYTES <= _SOCKET_PATH_BYTES_MAX:
        return directory.absolute()
    name = sha256(os.fsencode(directory.absolute())).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"abst-ray-{os.geteuid()}-{name}"


def _end_remains(directory: Path) -> None:
    """End what outlived a killed Ray of ours in the directory: its agents do not notice.

    They overwrite their command line and environment, so their open log files tell whose they are.
    """
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error, OSError):
            if process.info["name"].startswith("ray::") and _has_open(process.pid, directory):
                process.kill()


def _has_open(pid: int, directory: Path) -> bool:
    inside = f"{directory}{os.sep}session_"
    return any(os.readlink(link).startswith(inside) for link in Path(f"/proc/{pid}/fd").iterdir())


def _remove(old: Path) -> None:
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old, ignore_errors=True)


def _is_ray_worker(pid: int) -> bool:
    """Whether a process of this machine calls itself a Ray worker running our actor."""
    with suppress(OSError):
        return b"ray::ShardActor" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
