"""Commands as their makers send them."""

import pytest

from engine import command
from engine.money import Terms
from ext.records import Kind, Side, client_text, decode, encode, side_digest

TERMS = Terms(3, 10**9, 10**9, 5, 20261122)
PLACED = command.place(
    4,
    2,
    "first",
    side=Side.SELL,
    price_ticks=7,
    quantity_lots=9,
    nonce=11,
    valid_until_ns=13,
    cash_limit_minor=0,
    session_epoch=6,
    signature=b"signed",
)
ALL = [
    PLACED,
    command.replace(PLACED, "second", revision=2, order_id=5),
    command.cancel(4, 2, "third", original_client_order_id="first"),
    command.session_open(4, 7),
    command.account_open(4, owner=8),
    command.tranche_list(2, TERMS, document=b"{}", price_min_ticks=1, price_max_ticks=2, quantity_max_lots=3),
    command.terms_set(2, TERMS),
    command.phase_set(2, 1),
    command.eligibility_set(4, 2, eligible=True, country=344, until_ns=5),
    command.cash_allot(4, 100, transfer=1, elsewhere_minor=2),
    command.cash_recall(4, 100, transfer=1),
    command.tokens_adjust(4, 2, -5, chain_block=6, chain_log=7, of_fill=8),
    command.settlement_final(2, 1, batch=3),
    command.settlement_failed(2, 1, reason=3),
    command.clock(),
]


@pytest.mark.parametrize("made", ALL, ids=lambda made: Kind(made.header.kind).name)
def test_a_command_travels_unchanged(made):
    assert decode(encode(made)) == made


def test_there_is_a_maker_for_every_kind_of_command():
    assert {made.header.kind for made in ALL} == {kind for kind in Kind if kind < Kind.EXECUTION_REPORT}


def test_a_replacement_keeps_what_was_signed_but_for_its_changes():
    changed = command.replace(
        PLACED, "second", revision=2, original_client_order_id="first", price_ticks=8, signature=b"again"
    )
    assert (changed.nonce, changed.side, changed.quantity_lots, changed.price_ticks) == (11, Side.SELL, 9, 8)
    assert (changed.header.kind, changed.header.session_epoch) == (Kind.ORDER_REPLACE, 6)
    assert changed.header.side_digest == side_digest(b"again")
    assert client_text(changed.original_client_order_id) == "first"


def test_numbering_and_stamping_touch_the_header_only():
    sent = command.stamped(command.numbered(PLACED, 9, 2, 33), 44, 55)
    head = sent.header
    assert (head.source, head.incarnation, head.number) == (9, 2, 33)
    assert (head.sequence, head.time_ns) == (44, 55)
    assert sent[1:] == PLACED[1:]
