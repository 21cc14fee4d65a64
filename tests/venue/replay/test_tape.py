import gzip
from pathlib import Path

import pytest

from ext.records import Phase, Side, TimeInForce
from venue.problems import ProblemNumber, VenueError
from venue.replay.tape import AuctionRow, FillRow, TapeOp, read_auction, read_fills, read_orders

HEADER = "ts_ns,op,order_id,side,price,qty,tif\n"


def written(folder: Path, text: str, name: str = "orders.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_rows_are_numbered_from_one_and_keep_what_their_op_uses(tmp_path: Path) -> None:
    text = HEADER + "1,phase,,CALL,,,\n2,new,7,B,475,3,GTC\n3,replace,7,B,500,9,IOC\n4,cancel,7,,,,\n"
    rows = read_orders(written(tmp_path, text))
    assert [row.row for row in rows] == [1, 2, 3, 4]
    assert rows[0].phase is Phase.CALL
    assert rows[1] == (2, TapeOp.NEW, 7, Side.BUY, 475, 3, TimeInForce.GTC, None)
    assert rows[2].time_in_force is TimeInForce.IOC
    assert rows[3].op is TapeOp.CANCEL


def test_a_compressed_tape_reads_like_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "fills.csv.gz"
    path.write_bytes(gzip.compress(b"taker_order_id,maker_order_id,price,qty\n5,4,475,2\n"))
    assert read_fills(path) == [FillRow(5, 4, 475, 2)]


def test_auction_rows_say_what_each_order_got(tmp_path: Path) -> None:
    path = written(tmp_path, "side,order_id,qty\nB,9,2\nS,8,2\n", "auction.csv")
    assert read_auction(path) == [AuctionRow(Side.BUY, 9, 2), AuctionRow(Side.SELL, 8, 2)]


def test_a_missing_file_is_problem_902(tmp_path: Path) -> None:
    with pytest.raises(VenueError, match="there is no file") as caught:
        read_orders(tmp_path / "absent.csv")
    assert caught.value.number is ProblemNumber.FILE_MISSING


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("1,new,7,X,475,3,GTC\n", 2),
        ("1,new,7,B,475,0,GTC\n", 2),
        ("1,new,7,B,475,3,FOK\n", 2),
        ("1,trade,7,B,475,3,GTC\n", 2),
        ("1,new,7,B\n", 2),
        ("1,new,seven,B,475,3,GTC\n", 2),
        ("1,phase,,OPEN,,,\n", 2),
    ],
)
def test_a_malformed_row_is_problem_903_and_names_its_line(tmp_path: Path, row: str, line: int) -> None:
    with pytest.raises(VenueError, match=f"line {line}:") as caught:
        read_orders(written(tmp_path, HEADER + row))
    assert caught.value.number is ProblemNumber.FILE_MALFORMED


def test_another_header_is_refused_with_the_one_expected(tmp_path: Path) -> None:
    with pytest.raises(VenueError, match="line 1: the header must be ts_ns,op"):
        read_orders(written(tmp_path, "a,b\n"))


def test_a_file_that_only_claims_to_be_compressed_is_malformed(tmp_path: Path) -> None:
    with pytest.raises(VenueError, match="cannot be read") as caught:
        read_orders(written(tmp_path, HEADER, "orders.csv.gz"))
    assert caught.value.number is ProblemNumber.FILE_MALFORMED
