from dataclasses import replace

import pytest

from ext.records import Phase, Side, TimeInForce
from venue.replay.flow import Market, PriceUnit
from venue.replay.outcome import VenueFill, compare
from venue.replay.tape import AuctionRow, FillRow, OrderRow, TapeOp

ROW_OF_ORDER = {902: 2, 903: 3, 905: 5, 906: 6}


def market() -> Market:
    """A crossed call (orders 20 and 30), then one fill in continuous trading (60 takes from 50)."""
    rows = [
        OrderRow(1, TapeOp.PHASE, 0, None, 0, 0, None, Phase.CALL),
        OrderRow(2, TapeOp.NEW, 20, Side.BUY, 500, 4, TimeInForce.GTC, None),
        OrderRow(3, TapeOp.NEW, 30, Side.SELL, 500, 4, TimeInForce.GTC, None),
        OrderRow(4, TapeOp.PHASE, 0, None, 0, 0, None, Phase.CONTINUOUS),
        OrderRow(5, TapeOp.NEW, 50, Side.SELL, 525, 3, TimeInForce.GTC, None),
        OrderRow(6, TapeOp.NEW, 60, Side.BUY, 550, 3, TimeInForce.GTC, None),
    ]
    return Market("X", rows, PriceUnit(25, 10_000))


AUCTION_FILL = VenueFill(1, 902, 903, "0.0500", 4, "auction", 0)
FILL = VenueFill(2, 906, 905, "0.0525", 3, "buy", 0)


def test_what_the_book_gives_is_what_must_come_out() -> None:
    outcome = compare(market(), [AUCTION_FILL, FILL], ROW_OF_ORDER)
    assert outcome.equal
    assert outcome.fills == [FillRow(60, 50, 525, 3)]
    assert (outcome.auction, outcome.auction_volume_lots) == ({20: 4, 30: 4}, 4)
    assert outcome.auction_prices == {500}


@pytest.mark.parametrize(
    ("fills", "difference"),
    [
        ([AUCTION_FILL, FILL._replace(lots=2)], "fill 1 of continuous trading is"),
        ([AUCTION_FILL, FILL._replace(price="0.0550")], "fill 1 of continuous trading is"),
        ([AUCTION_FILL, FILL._replace(aggressor="sell")], "fill 1 of continuous trading is"),
        ([AUCTION_FILL], "0 fills in continuous trading, not 1"),
        ([AUCTION_FILL, FILL, FILL], "2 fills in continuous trading, not 1"),
        ([FILL], "order 20 got None in the auction, not 4"),
        ([AUCTION_FILL._replace(lots=3), FILL], "order 20 got 3 in the auction, not 4"),
        ([AUCTION_FILL._replace(price="0.0525"), FILL], "auction price"),
    ],
)
def test_any_difference_is_found_and_named(fills: list[VenueFill], difference: str) -> None:
    assert difference in compare(market(), fills, ROW_OF_ORDER).first_difference


def test_files_that_say_what_must_come_out_count_more_than_the_book() -> None:
    from_files = replace(market(), fills=[FillRow(60, 50, 525, 2)], auction=[AuctionRow(Side.BUY, 20, 4)])
    assert "fill 1" in compare(from_files, [AUCTION_FILL, FILL], ROW_OF_ORDER).first_difference
