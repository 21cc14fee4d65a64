"""What happens on chain is told to the engine once, credits when final, what is taken away at first sight."""

from typing import Any

from ext.records import Kind


async def told(bench: Any) -> list[tuple[str, int]]:
    """Kind and amount (lots, or whether eligible) of every command the watcher wrote."""
    return [
        (Kind(each.header.kind).name, each.delta_lots if hasattr(each, "delta_lots") else each.eligible)
        for each in await bench.commands("watcher")
    ]


async def credited(bench: Any, key: bytes) -> int:
    """Cash that the keeper was given for the owner of a key."""
    account = await bench.account(key)
    rows = await bench.rows("select deposited_minor from engine.cash where account = $1", account)
    return rows[0]["deposited_minor"] if rows else 0


async def test_deposit_lock_and_registration_are_told_once_they_are_final(bench: Any) -> None:
    key = await bench.investor("maker", lots=40, cash=500)
    watcher = bench.watcher()
    await watcher.round()
    before = await credited(bench, key)
    bench.mine(2)
    await watcher.round()
    await bench.watcher().round()

    assert before == 0
    assert await told(bench) == [("ELIGIBILITY_SET", 1), ("TOKENS_ADJUST", 40)]
    assert await credited(bench, key) == 500
