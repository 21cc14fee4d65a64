from collections import Counter
from random import Random

from venue.demo import demo_flow, generate_orders
from venue.replay.tape import TapeOp


def test_the_same_seed_gives_the_same_flow_and_another_another() -> None:
    assert generate_orders(Random(1), 200, 20_000) == generate_orders(Random(1), 200, 20_000)
    assert generate_orders(Random(1), 200, 20_000) != generate_orders(Random(2), 200, 20_000)


def test_every_tranche_has_an_auction_and_fills_and_every_kind_of_command() -> None:
    flow, _ = demo_flow(tranches=3, commands=400, seed=1)
    assert len(flow.commands) == 1200
    assert len({market.symbol for market in flow.markets}) == 3
    for market in flow.markets:
        expectation = market.plan.expectation
        assert expectation.auction_volume_lots > 0
        assert len(expectation.fills) > 20
        kinds = Counter(command.op for command in market.plan.commands)
        assert kinds[TapeOp.PHASE] == 2
        assert min(kinds[TapeOp.NEW], kinds[TapeOp.CANCEL], kinds[TapeOp.REPLACE]) > 20
