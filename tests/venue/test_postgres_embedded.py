"""The embedded PostgreSQL server."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from venue.postgres_embedded import PostgresEmbedded, PostgresError


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="abst-pg-test-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def server(directory: Path) -> Iterator[PostgresEmbedded]:
    running = PostgresEmbedded(directory)
    running.start()
    yield running
    running.stop()


async def test_answers_over_the_socket_and_over_tcp(postgres_server: PostgresEmbedded) -> None:
    for dsn in (postgres_server.dsn("postgres"), postgres_server.dsn_tcp("postgres")):
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("select current_user") == "abst"
        await connection.close()


async def test_refuses_a_wrong_password_over_tcp(postgres_server: PostgresEmbedded) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_server.dsn_tcp("postgres"), password="wrong")


def test_never_runs_as_root(postgres_server: PostgresEmbedded) -> None:
    assert psutil.Process(postgres_server.pid).uids().effective != 0


def test_keeps_what_was_committed_over_kill_and_restart(server: PostgresEmbedded) -> None:
    assert server.execute("show fsync") == "on"
    server.ensure_database("kept")
    server.execute("create table fact as select 42 as answer", "kept")
    dsn = server.dsn("kept")
    os.kill(server.pid, signal.SIGKILL)
    assert server._process is not None
    server._process.wait()
    again = PostgresEmbedded(server.directory)
    again.start()
    try:
        assert again.dsn("kept") == dsn
        assert again.execute("select answer from fact", "kept") == "42"
    finally:
        again.stop()


def test_refuses_a_second_server_on_the_same_directory(server: PostgresEmbedded) -> None:
    with pytest.raises(PostgresError, match="already runs"):
        PostgresEmbedded(server.directory).start()
    assert server.running


def test_names_a_busy_port(directory: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PostgresError, match=f"port {taken.getsockname()[1]} .*busy"):
            PostgresEmbedded(directory, port=taken.getsockname()[1]).start()


def test_repeats_what_the_server_says_against_a_bad_statement(postgres_server: PostgresEmbedded) -> None:
    with pytest.raises(PostgresError, match="syntax error"):
        postgres_server.execute("selekt")


def test_works_below_a_folder_only_its_owner_may_enter_and_with_a_long_path(directory: Path) -> None:
    directory.chmod(0o700)
    deep = directory / ("long-" * 24)
    server = PostgresEmbedded(deep)
    server.start()
    try:
        assert server.execute("select 1") == "1"
    finally:
        server.stop()
        socket_directory = server._socket_directory()
        if socket_directory != server.data:
            shutil.rmtree(socket_directory)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is only announced on Linux")
def test_ends_with_its_parent(directory: Path) -> None:
    program = (
        "import sys, pathlib; from venue.postgres_embedded import PostgresEmbedded\n"
        f"server = PostgresEmbedded(pathlib.Path({str(directory)!r})); server.start()\n"
        "print(server.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        postmaster = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        psutil.wait_procs([postmaster], timeout=30)
    assert not postmaster.is_running()
