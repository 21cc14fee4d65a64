import asyncio
import json
import os
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from venue.anvil_embedded import AnvilEmbedded
from venue.configuration import ChainSection
from venue.data_directory import DataDirectory
from venue.ports import free_port
from venue.problems import ProblemNumber, VenueError

SECTION = ChainSection(port=0)


def new_anvil(data: DataDirectory) -> AnvilEmbedded:
    return AnvilEmbedded(SECTION.model_copy(update={"port": free_port()}), data, os.environ)


@pytest.fixture
async def anvil(tmp_path: Path) -> AsyncIterator[AnvilEmbedded]:
    data = DataDirectory(tmp_path / "data")
    data.take()
    anvil = new_anvil(data)
    await start(anvil)
    yield anvil
    await anvil.stop()
    data.release()


async def start(anvil: AnvilEmbedded) -> None:
    await anvil.start()
    async with asyncio.timeout(20):
        while not await anvil.answers():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def rpc(anvil: AnvilEmbedded, method: str, *parameters: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
    request = urllib.request.Request(anvil.rpc_url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["result"]


async def height_above(anvil: AnvilEmbedded, height: int) -> int:
    async with asyncio.timeout(30):
        while (now := int(rpc(anvil, "eth_blockNumber"), 16)) <= height:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return now


async def test_the_chain_goes_on_where_it_was_stopped(anvil: AnvilEmbedded) -> None:
    height = await height_above(anvil, 1)
    block = rpc(anvil, "eth_getBlockByNumber", hex(height), False)["hash"]
    await anvil.stop()
    await start(anvil)
    assert rpc(anvil, "eth_getBlockByNumber", hex(height), False)["hash"] == block


async def test_a_state_cut_short_by_a_kill_gives_way_to_the_last_whole_one(
    anvil: AnvilEmbedded, tmp_path: Path
) -> None:
    whole, state = tmp_path / "data/chain/state.whole.json", tmp_path / "data/chain/state.json"
    await height_above(anvil, 0)
    block = rpc(anvil, "eth_getBlockByNumber", "0x1", False)["hash"]
    async with asyncio.timeout(30):
        while not (whole.exists() and len(json.loads(whole.read_text())["blocks"]) > 1):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await anvil.stop()
    state.write_bytes(state.read_bytes()[:-100])
    await start(anvil)
    assert rpc(anvil, "eth_getBlockByNumber", "0x1", False)["hash"] == block


def test_finality_that_a_killed_anvil_could_undo_is_refused(tmp_path: Path) -> None:
    section = ChainSection(finality_blocks=2, state_interval_seconds=1)
    with pytest.raises(VenueError, match=r"chain\.finality_blocks") as caught:
        AnvilEmbedded(section, DataDirectory(tmp_path), {})
    assert caught.value.number is ProblemNumber.CONFIGURATION_INVALID
