"""Decimal text and ticks."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.decimals import OffGridError, TickGrid

SIZES = ["0.005", "1", "0.25", "25", "0.000001", "3"]


@pytest.mark.parametrize("size", SIZES)
@given(ticks=st.integers(0, 10**12))
def test_ticks_and_their_text_are_the_same_price(size: str, ticks: int) -> None:
    grid = TickGrid.of(size)
    text = grid.text(ticks)
    assert Decimal(text) == ticks * Decimal(size)
    assert grid.ticks(text) == ticks


@given(price=st.decimals(min_value=0, max_value=10**9, places=4))
def test_a_price_is_on_the_grid_or_refused_exactly(price: Decimal) -> None:
    grid = TickGrid.of("0.005")
    if price % Decimal("0.005") == 0:
        assert grid.ticks(f"{price:f}") == price / Decimal("0.005")
    else:
        with pytest.raises(OffGridError):
            grid.ticks(f"{price:f}")


@pytest.mark.parametrize(
    "text", ["", "1e3", "-1", "+1", "1.", ".5", "1_0", " 1", "NaN", "1" * 20, "٣", "0x1"]
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="plain decimal"):
        TickGrid.of("0.01").ticks(text)


def test_a_price_whose_ticks_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        TickGrid.of("0.000001").ticks("9999999999999999999")


def test_a_tick_size_is_above_zero() -> None:
    with pytest.raises(ValueError, match="above zero"):
        TickGrid.of("0.00")
