"""What orders leave behind when they end."""

from engine import order_closing
from engine.command import clock
from ext.records import ExecutionReport


def test_deadlines_of_ended_orders_do_not_pile_up(market, monkeypatch):
    monkeypatch.setattr(order_closing, "_STALE_DEADLINES", 2)
    market.open_tranche()
    market.investor("ann", cash=10_000)
    market.buy("ann", 1, at=50, id="stays", valid_until_ns=90_000)
    for number in range(20):
        market.buy("ann", 1, at=100, id=f"b{number}", valid_until_ns=80_000)
        market.cancel("ann", f"b{number}", f"c{number}")
    assert len(market.core._state.deadlines) <= 2 * 1 + 2 + 1
    market.now_ns = 90_000
    market.send(clock())
    assert len(market.of(ExecutionReport)) == 1


def test_an_ended_order_frees_all_it_held_and_no_more(market):
    market.open_tranche(taker_fee_e6=10_000)
    market.investor("ann", cash=10_000)
    market.investor("bob", lots=10)
    market.buy("ann", 10, at=100, id="b")
    market.sell("bob", 4, at=100)
    market.cancel("ann", "b", "c")
    assert market.cash("ann") == (10_000 - 400, 0, 400)


def test_nothing_is_told_of_timers_when_none_is_due(market):
    market.open_tranche()
    market.send(clock())
    assert len(market.last) == 1


def test_the_next_deadline_is_that_of_an_open_order(market):
    market.open_tranche()
    market.investor("ann", cash=10_000)
    assert market.core.next_deadline_ns() == 0
    market.buy("ann", 1, at=100, id="later", valid_until_ns=9_000)
    market.buy("ann", 1, at=100, id="first", valid_until_ns=8_000)
    assert market.core.next_deadline_ns() == 8_000
    market.cancel("ann", "first", "c")
    assert market.core.next_deadline_ns() == 9_000
    market.replace("ann", "later", "later2", valid_until_ns=20_000)
    assert market.core.next_deadline_ns() == 20_000
    market.replace("ann", "later", "later3", revision=3, valid_until_ns=9_000)
    assert market.core.next_deadline_ns() == 9_000
    market.now_ns = 9_000
    market.send(clock())
    assert market.core.next_deadline_ns() == 0
