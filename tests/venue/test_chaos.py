"""The recorded tape through an embedded venue, each of whose processes is killed once on the way."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

TAPE = Path(__file__).resolve().parent.parent / "data"
VICTIMS = ("gateway", "ray::ShardActor", "raylet", "gcs_server", "postgres", "settlement", "ledger", "anvil")


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", VICTIMS)
async def test_the_tape_ends_as_it_must_although_a_process_is_killed(
    victim: str,
    abst: list[str],
    free_ports: dict[str, str],
    tmp_path: Path,
    kill: Callable[[Path, str], None],
    wait_for_answers: Callable[[Path, int], None],
) -> None:
    files = ["--fills", str(TAPE / "tape-fills.csv.gz"), "--auction", str(TAPE / "tape-auction.csv.gz")]
    data = tmp_path / "data"
    command = [*abst, "replay", str(TAPE / "tape-orders.csv.gz"), *files, "--data-dir", str(data), "--json"]
    run = await asyncio.create_subprocess_exec(
        *command, env=free_ports, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    await asyncio.to_thread(wait_for_answers, data / "replays", 9_000)
    kill(data, victim)
    output, told = await run.communicate()
    assert output, told.decode()
    report = json.loads(output.splitlines()[-1])
    assert report["first_difference"] == ""
    assert (report["commands"], report["rejects"], report["breaks"]) == (28_000, {}, 0)
    assert (report["fills"], report["final"], report["failed"]) == (2_085, 2_085, 0)
    assert run.returncode == 0
