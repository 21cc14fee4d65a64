"""The main job on a whole venue, as a user starts it: orders to final settlement, through crashes too."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from engine.reasons import Reason
from engine.signed_order import address_of
from gateway.client import VenueClient
from gateway.errors import WireError
from venue.configuration import load_configuration
from venue.demo import demo_flow
from venue.deployed_contracts import keys_of
from venue.dev_keys import development_key
from venue.investors import ADMINISTRATOR_LOGIN, investors
from venue.replay.flow import Flow
from venue.replay.progress import Progress, RunRecord
from venue.replay.run import RunTarget, run_flow

pytestmark = pytest.mark.timeout(420)
STRANGER = development_key("stranger")


class Crashes:
    """Watches a run and does something each time so many commands have been answered."""

    def __init__(self, acts: dict[int, Callable[[], None]]) -> None:
        self._acts = dict(acts)
        self._sending = False

    def step(self, text: str, total: int | None = None) -> None:
        self._sending = text == "sending orders"

    def done(self, count: int) -> None:
        for place in [place for place in self._acts if self._sending and place <= count]:
            self._acts.pop(place)()


def begun(flow: Flow, folder: Path, name: str) -> Progress:
    symbols = [f"{market.symbol}-{name}".upper() for market in flow.markets]
    for market, symbol in zip(flow.markets, symbols, strict=True):
        market.symbol = symbol
    return Progress.begin(folder, RunRecord(name, name, symbols))


def last_json(output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return found


async def test_no_process_that_is_killed_costs_a_command_or_settles_one_twice(
    venue: Any, tmp_path: Path
) -> None:
    flow, _ = demo_flow(tranches=2, commands=900, seed=7)
    progress = begun(flow, tmp_path, "crashes")
    victims = ["gateway", "ray::ShardActor", "settlement", "postgres", "ledger", "raylet"]
    crashes = Crashes(
        {200 * n: lambda victim=victim: venue.kill(victim) for n, victim in enumerate(victims, 1)}
    )
    report = await run_flow(flow, progress, RunTarget(venue.url, keys_of(load_configuration())), crashes)
    assert report.first_difference == ""
    assert (report.rejects, report.failed, report.breaks) == ({}, 0, 0)
    assert report.final == report.fills > 100
    assert report.succeeded


def test_a_tape_goes_over_several_sessions_in_its_order(venue: Any, abst: list[str], tmp_path: Path) -> None:
    flow, _ = demo_flow(tranches=1, commands=150, seed=3)
    tape = tmp_path / "orders.csv"
    tape.write_text(as_csv(flow))
    command = [*abst, "replay", str(tape), "--url", venue.url, "--connections", "3", "--json"]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "data")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = last_json(done.stdout)
    assert report["latency_kind"] == "serial"
    assert report["commands"] == 150


def as_csv(flow: Flow) -> str:
    lines = ["ts_ns,op,order_id,side,price,qty,tif"]
    for row in flow.markets[0].orders:
        side = row.phase.name if row.phase is not None else row.side.name[0] if row.side is not None else ""
        cells = (row.row, row.op, row.order_id or "", side, row.price or "", row.quantity or "")
        lines.append(",".join(map(str, cells)) + f",{row.time_in_force.name if row.time_in_force else ''}")
    return "\n".join(lines) + "\n"


def test_the_status_of_a_venue_that_is_well_says_so(venue: Any, abst: list[str]) -> None:
    command = [*abst, "status", "--data-dir", str(venue.data), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status = last_json(done.stdout)
    assert [shard["shard"] for shard in status["shards"]] == [0, 1]
    assert set(status["processes"]) == {"postgres", "anvil", "shards", "ledger", "gateway", "settlement"}


def test_a_second_venue_on_the_same_data_or_port_is_refused_and_disturbs_nothing(
    venue: Any, abst: list[str], tmp_path: Path
) -> None:
    port = venue.url.rpartition(":")[2].partition("/")[0]
    for arguments, error in (
        (["--data-dir", str(venue.data)], "error 906 data_directory_in_use"),
        (["--data-dir", str(tmp_path / "other"), "--chain-port", "0", "--port", port], "error 904 port_busy"),
    ):
        done = subprocess.run([*abst, "up", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith(error)
    assert venue.state()["state"] == "ready"


async def test_every_kind_of_bad_input_gets_a_numbered_reason_and_disturbs_nothing(
    venue: Any, tmp_path: Path
) -> None:
    flow, _ = demo_flow(tranches=1, commands=60, seed=5)
    progress = begun(flow, tmp_path, "badinput")
    report = await run_flow(flow, progress, RunTarget(venue.url, keys_of(load_configuration())), Crashes({}))
    assert report.succeeded
    symbol, buyer = flow.markets[0].symbol, investors(1)[0]
    account, stranger = await let_in(venue.url, buyer.address)
    keys = [buyer.key, STRANGER]
    async with VenueClient(venue.url, "trader", buyer.key, signing_keys=keys) as trader:
        good = {"price": trader.instruments[symbol].grid.text(100), "client_order_id": "good"}
        await trader.submit_place(account, symbol, "buy", 1, **good)
        assert (await trader.submit_place(account, symbol, "buy", 1, **good)).duplicate
        dear = trader.instruments[symbol].grid.text(39_000)
        for reason, call in (
            (Reason.NOT_ELIGIBLE, trader.submit_place(stranger, symbol, "buy", 1, good["price"])),
            (Reason.INSUFFICIENT_CASH, trader.submit_place(account, symbol, "buy", 900_000, dear)),
        ):
            with pytest.raises(WireError) as refused:
                await call
            assert (refused.value.reason, refused.value.final) == (reason, True)
        await trader.submit_cancel(account, symbol, original_client_order_id="good")
    assert await answers_to_raw_frames(venue.url, symbol, account) == [-32700, -32601, -32000]


async def let_in(url: str, address: bytes) -> tuple[int, int]:
    """Admit a trader for the account of an address and for one that nobody whitelisted; return both."""
    key = keys_of(load_configuration()).administrator
    async with VenueClient(url, ADMINISTRATOR_LOGIN, key, trading=False) as administrator:
        accounts = [await administrator.admin.open_account(each) for each in (address, address_of(STRANGER))]
        await administrator.admin.set_participant("trader", address, accounts)
    return accounts[0], accounts[1]


async def answers_to_raw_frames(url: str, symbol: str, account: int) -> list[int]:
    """Send what is no request, an unknown method, and an order without log-on; return the codes."""
    codes = []
    order = {"account": account, "symbol": symbol}
    frames = ["{", _request("order.teleport", {}), _request("order.cancel", order)]
    async with connect(url, proxy=None) as socket:
        await socket.recv()
        for frame in frames:
            await socket.send(frame)
            codes.append(json.loads(await socket.recv())["error"]["code"])
    return codes


def _request(method: str, params: dict[str, Any]) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


async def test_a_run_whose_whole_venue_was_killed_is_resumed_to_the_end(
    abst: list[str],
    free_ports: dict[str, str],
    tmp_path: Path,
    wait_for_answers: Callable[[Path, int], None],
    wait_until_gone: Callable[[Path], None],
) -> None:
    command = [
        *abst,
        "demo",
        "--tranches",
        "2",
        "--commands",
        "1500",
        "--data-dir",
        str(tmp_path / "data"),
        "--json",
    ]
    run = await asyncio.create_subprocess_exec(
        *command, env=free_ports, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    await asyncio.to_thread(wait_for_answers, tmp_path / "data" / "replays", 300)
    os.kill(run.pid, signal.SIGKILL)
    await run.communicate()
    assert run.returncode == -signal.SIGKILL
    await asyncio.to_thread(wait_until_gone, tmp_path / "data")
    resumed = await asyncio.to_thread(
        subprocess.run, [*command, "--resume"], env=free_ports, capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    report = last_json(resumed.stdout)
    assert (report["commands"], report["rejects"], report["final"]) == (3000, {}, report["fills"])
