from pathlib import Path

import pytest

from ext.records import Phase, Side, TimeInForce
from venue.problems import VenueError
from venue.replay.flow import Market, PriceUnit, interleaved, one_market
from venue.replay.plan import BUYERS, Plan, plan_tape
from venue.replay.tape import OrderRow, TapeOp, read_auction, read_fills, read_orders

DATA = Path(__file__).resolve().parents[2] / "data"
TICK = 25


class Tape:
    """Rows written one after the other."""

    def __init__(self) -> None:
        self.rows: list[OrderRow] = []

    def phase(self, phase: Phase) -> "Tape":
        return self._add(TapeOp.PHASE, phase=phase)

    def new(
        self, order: int, side: Side, ticks: int, lots: int, tif: TimeInForce = TimeInForce.GTC
    ) -> "Tape":
        return self._add(TapeOp.NEW, order, side, ticks, lots, tif)

    def replace(self, order: int, side: Side, ticks: int, lots: int) -> "Tape":
        return self._add(TapeOp.REPLACE, order, side, ticks, lots, TimeInForce.GTC)

    def cancel(self, order: int) -> "Tape":
        return self._add(TapeOp.CANCEL, order)

    def plan(self) -> Plan:
        return plan_tape(self.rows, TICK)

    def _add(
        self,
        op: TapeOp,
        order: int = 0,
        side: Side | None = None,
        ticks: int = 0,
        lots: int = 0,
        tif: TimeInForce | None = None,
        phase: Phase | None = None,
    ) -> "Tape":
        self.rows.append(OrderRow(len(self.rows) + 1, op, order, side, ticks * TICK, lots, tif, phase))
        return self


def continuous() -> Tape:
    return Tape().phase(Phase.CALL).phase(Phase.CONTINUOUS)


def test_the_recorded_tape_gives_the_recorded_fills_one_by_one() -> None:
    market = Market("TAPE", read_orders(DATA / "tape-orders.csv.gz"), PriceUnit())
    assert market.expected_fills() == read_fills(DATA / "tape-fills.csv.gz")
    auction = {row.order_id: row.quantity for row in read_auction(DATA / "tape-auction.csv.gz")}
    assert market.expected_auction() == auction
    assert market.plan.expectation.auction_price_ticks * TICK == 480_000
    assert market.plan.expectation.auction_volume_lots == 31


def test_a_replacement_on_the_wire_carries_what_has_filled_too() -> None:
    tape = continuous().new(1, Side.BUY, 10, 8).new(2, Side.SELL, 10, 3).replace(1, Side.BUY, 11, 6)
    replacement = tape.plan().commands[-1]
    assert (replacement.total_lots, replacement.version, replacement.order_row) == (9, 2, 3)


def test_every_replacement_raises_the_version() -> None:
    tape = continuous().new(1, Side.BUY, 10, 8).replace(1, Side.BUY, 10, 7).replace(1, Side.BUY, 9, 7)
    assert [command.version for command in tape.plan().commands[2:]] == [1, 2, 3]


def test_an_order_id_used_again_is_another_order() -> None:
    tape = continuous().new(1, Side.BUY, 10, 1).cancel(1).new(1, Side.BUY, 10, 1).cancel(1)
    assert [command.order_row for command in tape.plan().commands[2:]] == [3, 3, 5, 5]


def test_buyers_and_sellers_are_different_investors() -> None:
    tape = continuous()
    for order in range(1, 25):
        tape.new(order, Side.BUY if order % 2 else Side.SELL, 10 if order % 2 else 20, 1)
    orders = tape.plan().commands[2:]
    assert {command.investor for command in orders if command.side is Side.BUY} == set(range(BUYERS))
    assert {command.investor for command in orders if command.side is Side.SELL} == set(range(10, 20))


def test_a_buyer_must_hold_what_is_open_and_what_has_filled() -> None:
    tape = continuous().new(1, Side.SELL, 10, 5).new(2, Side.BUY, 12, 5).new(3, Side.SELL, 20, 4)
    holding = tape.plan().holdings[0]
    assert (holding.side, holding.tick_lots, holding.lots) == (Side.BUY, 60, 5)
    assert tape.plan().holdings[BUYERS].lots == 5
    assert tape.plan().holdings[BUYERS + 1].lots == 4


def test_what_is_cancelled_is_needed_no_more() -> None:
    tape = continuous().new(1, Side.SELL, 10, 5).cancel(1)
    for order in range(2, 12):
        tape.new(order, Side.SELL, 10, 3).cancel(order)
    assert tape.plan().holdings[BUYERS].lots == 5


@pytest.mark.parametrize(
    ("tape", "why"),
    [
        (continuous().cancel(1), "row 3 .cancel 1.: order 1 is not open"),
        (continuous().new(1, Side.BUY, 10, 1).new(1, Side.BUY, 10, 1), "order 1 is open already"),
        (Tape().new(1, Side.BUY, 10, 1), "wrong_phase"),
        (Tape().phase(Phase.CALL).new(1, Side.BUY, 10, 1, TimeInForce.IOC), "ioc_in_call"),
    ],
)
def test_what_the_rules_of_the_book_refuse_is_found_before_anything_is_sent(tape: Tape, why: str) -> None:
    with pytest.raises(VenueError, match=why):
        tape.plan()


def test_a_price_off_the_tick_is_named() -> None:
    row = OrderRow(1, TapeOp.NEW, 5, Side.BUY, 12, 1, TimeInForce.GTC, None)
    with pytest.raises(VenueError, match="price 12 is off the tick of 25"):
        plan_tape([row], TICK)


def test_the_price_unit_gives_the_tick_size_of_the_tranche() -> None:
    assert PriceUnit(25, 10_000).tick_size == "0.0025"
    assert PriceUnit(1, 4).tick_size == "0.25"


def test_several_markets_take_turns_until_all_are_sent() -> None:
    one = Market("A", continuous().new(1, Side.BUY, 10, 1).rows, PriceUnit())
    two = Market("B", continuous().rows, PriceUnit())
    assert [entry.market.symbol for entry in interleaved([one, two]).commands] == ["A", "B", "A", "B", "A"]
    assert len(one_market(one).commands) == 3
