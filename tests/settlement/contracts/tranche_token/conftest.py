"""Two holders of a tranche with free lots, and the issuer's acts."""

from __future__ import annotations

import pytest

from engine.signed_order import address_of


@pytest.fixture
def holder(contracts):
    """Private key of a verified holder of 100 free lots."""
    key = contracts.investor("holder")
    contracts.act(key, contracts.tranche.token, "setReceiveLocked", False)
    contracts.act(contracts.keys.issuer, contracts.tranche.token, "mint", address_of(key), 100)
    return key


@pytest.fixture
def other(contracts):
    """Private key of a verified investor without lots, who receives free."""
    key = contracts.investor("other")
    contracts.act(key, contracts.tranche.token, "setReceiveLocked", False)
    return key


@pytest.fixture
def issuer(contracts):
    """The issuer acts on the token."""
    return lambda function, *arguments: contracts.act(
        contracts.keys.issuer, contracts.tranche.token, function, *arguments
    )


@pytest.fixture
def hold(contracts, holder):
    """The holder acts on the token."""
    return lambda function, *arguments: contracts.act(holder, contracts.tranche.token, function, *arguments)


@pytest.fixture
def state(contracts):
    """Balance, locked, frozen and free lots of an investor."""

    def read(key):
        views = ("balanceOf", "lockedOf", "getFrozenTokens", "freeOf")
        return tuple(contracts.read(contracts.tranche.token, view, address_of(key)) for view in views)

    return read
