"""The public book and its checksum."""

from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from ext.records import Side
from gateway.books import Level, PublicBook

CHANGES = st.lists(
    st.tuples(
        st.sampled_from([Side.BUY, Side.SELL]), st.integers(1, 12), st.integers(0, 5), st.integers(1, 3)
    )
)


@given(changes=CHANGES)
def test_a_book_is_what_the_last_change_of_each_price_says(changes: list[tuple[Side, int, int, int]]) -> None:
    book, expected = PublicBook(), dict[tuple[Side, int], Level]()
    for change in changes:
        level = Level(*change)
        book.change(level)
        expected[change[0], change[1]] = level
    left = [level for level in expected.values() if level.quantity_lots]
    bids = sorted((level for level in left if level.side == Side.BUY), key=lambda level: -level.price_ticks)
    asks = sorted((level for level in left if level.side == Side.SELL), key=lambda level: level.price_ticks)
    assert list(book.bids) == bids
    assert list(book.asks) == asks
    assert book.bids.best() == (bids[0] if bids else None)
    rows = [("b", level) for level in bids] + [("a", level) for level in asks]
    text = "".join(f"{s}:{row.price_ticks}:{row.quantity_lots}:{row.orders};" for s, row in rows)
    assert book.checksum() == crc32(text.encode())
