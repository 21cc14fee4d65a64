"""Fills become final on a real chain, whatever happens on the way."""

from typing import Any


async def test_a_fill_goes_through_every_state_to_final_and_the_engine_is_told(bench: Any) -> None:
    buyer = await bench.investor("buyer", cash=10_000_000)
    seller = await bench.investor("seller", lots=10)
    fill = await bench.match(bench.buy(buyer), bench.sell(seller), lots=3)

    await bench.settle_all(bench.runner())

    assert await bench.steps_of(fill) == ["matched", "batched", "submitted", "included", "confirmed", "final"]
    assert bench.contracts.lots_of(buyer) == 3
    assert bench.contracts.cash_of(seller) == bench.amount_of(3, 9_900)
    assert [command.fill_number for command in await bench.commands("settlement")] == [fill]
