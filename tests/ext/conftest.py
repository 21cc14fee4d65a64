"""Fixtures of the book tests: every behaviour is asked of both books."""

import pytest

from ext.naive_order_book import NaiveOrderBook
from ext.order_book import OrderBook

Book = OrderBook | NaiveOrderBook


@pytest.fixture(params=[OrderBook, NaiveOrderBook], ids=["fast", "naive"])
def make_book(request: pytest.FixtureRequest) -> type[Book]:
    """Return the class of one of the two books."""
    made: type[Book] = request.param
    return made


@pytest.fixture
def book(make_book: type[Book]) -> Book:
    """Return an empty book, phase CLOSED."""
    return make_book()
