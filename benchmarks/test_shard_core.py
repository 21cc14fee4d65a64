"""How many commands a second does the shard core apply, with accounts, earmarks and client order ids on?

pytest benchmarks/test_shard_core.py
"""

import random
from typing import Any

from engine.command import (
    account_open,
    cancel,
    cash_allot,
    eligibility_set,
    numbered,
    phase_set,
    place,
    stamped,
    tokens_adjust,
    tranche_list,
)
from engine.money import Terms
from engine.shard_core import ShardCore
from ext.records import OrderFlag, Phase, Record, Side, encode

ORDERS = 2_000
ACCOUNTS = 20
TRANCHE = 1
DAY_NS = 86_400 * 10**9


def set_up() -> list[Record]:
    """Return the commands that open a market with funded accounts."""
    terms = Terms(1, 10**9, 10**9, 0, 20261122)
    commands: list[Record] = [
        tranche_list(
            TRANCHE, terms, document=b"{}",
            price_min_ticks=1, price_max_ticks=10**6, quantity_max_lots=10**6,
        )
    ]  # fmt: skip
    for account in range(1, ACCOUNTS + 1):
        commands += [
            account_open(account, owner=account),
            eligibility_set(account, TRANCHE, eligible=True, country=344),
            cash_allot(account, 10**12, transfer=account),
            tokens_adjust(account, TRANCHE, 10**6),
        ]
    return [*commands, phase_set(TRANCHE, Phase.CONTINUOUS)]


def flow(seed: int) -> list[Record]:
    """Return orders around one price, one in three cancelled later; nobody both buys and sells."""
    chance = random.Random(seed)
    commands: list[Record] = []
    for number in range(1, ORDERS + 1):
        side = chance.choice(list(Side))
        account = chance.randrange(2, ACCOUNTS + 1, 2) - (side == Side.BUY)
        commands.append(
            place(
                account, TRANCHE, f"o{number}", side=side, price_ticks=1000 + round(chance.gauss(0, 8)),
                quantity_lots=chance.randint(1, 50), nonce=TRANCHE << 40 | number, valid_until_ns=DAY_NS,
                cash_limit_minor=10**6 if side == Side.BUY else 0, flags=OrderFlag.STANDING,
            )
        )  # fmt: skip
        if number % 3 == 0:
            commands.append(cancel(account, TRANCHE, f"c{number}", original_client_order_id=f"o{number}"))
    return commands


def encoded(commands: list[Record], first: int) -> bytes:
    """Return the commands as the shard's shell stamps them, the first with sequence ``first``."""
    places = enumerate(commands, first)
    return b"".join(encode(stamped(numbered(each, 5, 1, at), at, at)) for at, each in places)


def test_a_batch_of_orders_through_the_core(benchmark: Any) -> None:
    begin, orders = set_up(), flow(seed=1)
    preparation, batch = encoded(begin, 1), encoded(orders, len(begin) + 1)

    def fresh() -> tuple[tuple[ShardCore], dict[str, Any]]:
        core = ShardCore(0)
        core.apply(preparation)
        return (core,), {}

    events = benchmark.pedantic(lambda core: core.apply(batch), setup=fresh, rounds=20)
    assert events
    benchmark.extra_info["commands_per_second"] = round(len(orders) / benchmark.stats.stats.median)
    print(f"\n{benchmark.extra_info['commands_per_second']:,} commands/s (median)")
