"""DvP.requestCancel: a holder's own way out, too slow to undo a match."""

from __future__ import annotations

from engine.signed_order import address_of
from settlement.deployment import UNBIND_DELAY_S


def test_a_cancel_refuses_what_matches_after_the_delay(contracts, seller, buyer, fill, refused):
    outcome = contracts.act(buyer, contracts.venue.dvp, "requestCancel", fill.buy.nonce)
    cancelled_from = contracts.node.now + UNBIND_DELAY_S
    assert [dict(event.arguments) for event in outcome.named("CancelRequested")] == [
        {"account": address_of(buyer), "nonce": fill.buy.nonce, "cancelledFrom": cancelled_from}
    ]
    contracts.node.pass_time(UNBIND_DELAY_S + 1)
    with refused("OrderCancelled", cancelledFrom=cancelled_from):
        contracts.settle([contracts.fill(1, fill.buy, fill.sell)], buyer, seller)


def test_a_cancel_keeps_what_filled_and_leaves_the_neighbour_alone(contracts, seller, buyer):
    buys = [contracts.buy(buyer, nonce=nonce) for nonce in (4, 5)]
    sell = contracts.sell(seller)
    contracts.settle([contracts.fill(i, buys[i], sell, lots=2 + i) for i in (0, 1)], buyer, seller)
    contracts.act(buyer, contracts.venue.dvp, "requestCancel", 5)
    cancelled_from = contracts.node.now + UNBIND_DELAY_S
    contracts.settle([contracts.fill(2 + i, buys[i], sell) for i in (0, 1)], buyer, seller)
    state = [
        contracts.read(contracts.venue.dvp, "standingOrder", address_of(buyer), nonce) for nonce in (4, 5)
    ]
    assert state == [(3, 1, 0), (4, 1, cancelled_from)]


def test_a_second_cancel_is_refused(contracts, buyer, refused):
    contracts.act(buyer, contracts.venue.dvp, "requestCancel", 9)
    with refused("CancelAlreadyRequested", nonce=9):
        contracts.act(buyer, contracts.venue.dvp, "requestCancel", 9)
