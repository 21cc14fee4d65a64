"""The core benchmark's driver, on a flow small enough to check by hand."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.core import FNV_OFFSET, FNV_PRIME, HEADER, MAGIC, run

ADD, CANCEL, REPLACE, AGGRESSIVE = 1, 2, 3, 4
BUY, SELL = 0, 1
PRELOAD = [(ADD, SELL, 0, 1, 0, 100, 5), (ADD, SELL, 1, 2, 0, 200, 5)]
TIMED = [
    (ADD, SELL, 0, 3, 0, 100, 5),
    (REPLACE, SELL, 0, 1, 4, 100, 5),
    (AGGRESSIVE, BUY, 1, 5, 0, 205, 2),
    (AGGRESSIVE, BUY, 0, 6, 0, 103, 7),
    (CANCEL, SELL, 1, 2, 0, 0, 0),
    (CANCEL, SELL, 1, 2, 0, 0, 0),
    (AGGRESSIVE, BUY, 1, 7, 0, 205, 2),
]
TRADES = [(2, 5, 200, 2), (3, 6, 100, 5), (4, 6, 100, 2)]
"""Maker, taker, price, quantity: the replaced order 1 trades as 4, behind 3."""


def write_flow(path: Path, trades: list[tuple[int, int, int, int]]) -> None:
    hashed = FNV_OFFSET
    for value in (value for trade in trades for value in trade):
        hashed = (hashed ^ value) * FNV_PRIME % 2**64
    volume = sum(trade[3] for trade in trades)
    head = HEADER.pack(MAGIC, 1, 2, len(PRELOAD), len(TIMED), 1, 4096, 7, len(trades), volume, hashed)
    records = [struct.pack("<BBHIIIII", op, side, 0, *rest) for op, side, *rest in PRELOAD + TIMED]
    path.write_bytes(head + b"".join(records))


@pytest.mark.parametrize("mode", ["batch", "call"])
def test_trades_are_those_of_the_flow_in_either_mode(tmp_path: Path, mode: str) -> None:
    write_flow(tmp_path / "flow.bin", TRADES)
    report, equal = run(tmp_path / "flow.bin", mode, runs=2)
    assert equal
    assert (report["trades"], report["volume"], report["operations"]) == (3, 9, 7)


def test_a_flow_with_other_trades_is_noticed(tmp_path: Path) -> None:
    write_flow(tmp_path / "flow.bin", [TRADES[1], TRADES[0], TRADES[2]])
    report, equal = run(tmp_path / "flow.bin", "batch", runs=1)
    assert not equal
    assert report["trades"] == 3


def drive(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.core", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_last_line_is_one_json_object(tmp_path: Path) -> None:
    write_flow(tmp_path / "flow.bin", TRADES)
    done = drive(tmp_path / "flow.bin", "--json", "--runs", "1")
    report = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0
    assert {"ops_per_s", "trades", "volume", "hash"} <= report.keys()


@pytest.mark.parametrize("content", [None, b"", b"OFLOW1\0\0", b"x" * 100])
def test_a_file_that_is_no_flow_is_a_clear_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "flow.bin").write_bytes(content)
    done = drive(tmp_path / "flow.bin")
    assert done.returncode == 2
    assert "flow.bin" in done.stderr
    assert "Traceback" not in done.stderr
