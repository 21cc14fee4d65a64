"""A seller with locked lots, a buyer with cash, and a fill between them."""

from __future__ import annotations

import pytest


@pytest.fixture
def seller(contracts):
    """Private key of an investor with 1,000 locked lots."""
    return contracts.investor("seller", lots=1_000)


@pytest.fixture
def buyer(contracts):
    """Private key of an investor with 10 million of cash in the vault."""
    return contracts.investor("buyer", cash=1_000_000_000)


@pytest.fixture
def fill(contracts, seller, buyer):
    """A fill matched a moment ago, of orders whose limits its price just meets."""
    buy = contracts.buy(buyer, limit_price_ticks=9_900, quantity_lots=10)
    sell = contracts.sell(seller, limit_price_ticks=9_900, quantity_lots=10)
    return contracts.fill(1, buy, sell, lots=10)
