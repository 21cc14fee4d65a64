"""Vault.deposit and the list of cash tokens."""

from __future__ import annotations

from engine.signed_order import address_of, keccak256

INVESTOR = keccak256(b"investor")


def test_a_deposit_is_entered_and_said(contracts):
    outcome = contracts.deposit(INVESTOR, 1_234)
    vault, cash = contracts.venue.vault, contracts.venue.cash
    assert [dict(event.arguments) for event in outcome.named("Deposited")] == [
        {"account": address_of(INVESTOR), "cashToken": cash, "amount": 1_234}
    ]
    assert contracts.cash_of(INVESTOR) == 1_234
    assert contracts.read(vault, "totalEntries", cash) == contracts.read(cash, "balanceOf", vault) == 1_234


def test_a_token_off_the_list_is_refused(contracts, refused):
    with refused("CashTokenNotAllowed", cashToken=b"\x0c" * 20):
        contracts.act(INVESTOR, contracts.venue.vault, "deposit", b"\x0c" * 20, 1)


def test_nothing_is_not_deposited(contracts, refused):
    with refused("NothingToMove"):
        contracts.act(INVESTOR, contracts.venue.vault, "deposit", contracts.venue.cash, 0)


def test_only_the_owner_keeps_the_list(contracts, refused):
    vault, cash = contracts.venue.vault, contracts.venue.cash
    with refused("OwnableUnauthorizedAccount", account=address_of(INVESTOR)):
        contracts.act(INVESTOR, vault, "setCashTokenAllowed", cash, True)
    outcome = contracts.act(contracts.keys.administrator, vault, "setCashTokenAllowed", cash, False)
    assert [dict(event.arguments) for event in outcome.named("CashTokenAllowed")] == [
        {"cashToken": cash, "allowed": False}
    ]
    with refused("CashTokenNotAllowed"):
        contracts.act(INVESTOR, vault, "deposit", cash, 1)
