"""From request to record: what the shard gets is what was asked and signed."""

from typing import Any

import pytest

from engine.directory import Account, Directory, Tranche
from engine.money import Terms
from engine.signed_order import Domain, SignedOrder, address_of, order_digest, sign_order
from ext.records import Kind, OrderCancel, OrderPlace, Side, TimeInForce, client_text, decode
from gateway.errors import BadParameters, CommandRefused
from gateway.listing import Listings
from gateway.order_entry import OrderEntry
from gateway.session import Identity, Session

KEY = b"\x05" * 32
DOMAIN = Domain(31337, b"\xd0" * 20)
NONCE = (9 << 40) + 77


@pytest.fixture
def entry() -> OrderEntry:
    directory = Directory()
    account = Account(7, address_of(KEY), 70, 3)
    terms = {4: Terms(4, 50_000_000_000, 10**9, 0, 20261122)}
    tranche = Tranche(9, "ABST-A", 2, {"tick_size": "0.005", "token": "0x" + "70" * 20}, terms)
    directory.accounts, directory.accounts_by_address = {7: account}, {account.address: account}
    directory.tranches, directory.tranches_by_symbol = {9: tranche}, {"ABST-A": tranche}
    return OrderEntry(directory, Listings(directory), DOMAIN, b"\xca" * 20)


@pytest.fixture
def session() -> Session:
    session = Session(bytes(32), lambda: None)
    session.logged_on(Identity("me", False, True, {7: 3}))
    return session


def request(**changes: Any) -> dict[str, Any]:
    signed = SignedOrder(
        address_of(KEY), b"\x70" * 20, b"\xca" * 20, 1, 1, 40, 19_825, 991_300, 5, 1_900_000_000, NONCE, 2
    )
    return {
        "account": 7,
        "symbol": "ABST-A",
        "client_order_id": "c-2",
        "original_client_order_id": "c-1",
        "side": "buy",
        "price": "99.125",
        "quantity": "40",
        "time_in_force": "ioc",
        "terms": 4,
        "nonce": str(NONCE),
        "version": 2,
        "valid_until": "1900000000",
        "cash_limit": "991300",
        "fee_limit": "5",
        "standing": True,
        "signature": "0x" + sign_order(order_digest(DOMAIN, signed), KEY).hex(),
    } | changes


def test_a_replacement_carries_every_field_that_was_signed(entry: OrderEntry, session: Session) -> None:
    shard, record, side = entry.command(session, "order.replace", request())
    order = decode(record)
    assert isinstance(order, OrderPlace)
    head = order.header
    assert (shard, head.kind, head.account, head.tranche, head.session_epoch) == (
        2,
        Kind.ORDER_REPLACE,
        7,
        9,
        3,
    )
    assert (client_text(order.client_order_id), client_text(order.original_client_order_id)) == ("c-2", "c-1")
    assert (order.side, order.time_in_force, order.flags) == (Side.BUY, TimeInForce.IOC, 1)
    assert (order.price_ticks, order.quantity_lots, order.revision, order.nonce) == (19_825, 40, 2, NONCE)
    assert (order.cash_limit_minor, order.fee_limit_minor) == (991_300, 5)
    assert (order.valid_until_ns, order.terms_id, order.owner) == (1_900_000_000 * 10**9, 4, 70)
    assert side.hex() == request()["signature"][2:]


def test_a_cancel_names_its_order_one_way(entry: OrderEntry, session: Session) -> None:
    params = {"account": 7, "symbol": "ABST-A", "client_order_id": "c-3", "order_id": "12"}
    _, record, side = entry.command(session, "order.cancel", params)
    cancel = decode(record)
    assert isinstance(cancel, OrderCancel)
    assert (cancel.order_id, cancel.original_client_order_id, side) == (12, bytes(36), b"")
    both = params | {"original_client_order_id": "c-1"}
    with pytest.raises(BadParameters, match="either order_id or original_client_order_id"):
        entry.command(session, "order.cancel", both)


def test_a_placement_names_no_other_order(entry: OrderEntry, session: Session) -> None:
    with pytest.raises(BadParameters, match="unknown parameters: original_client_order_id"):
        entry.command(session, "order.place", request())


def test_an_order_for_another_chain_or_contract_is_not_signed_for_here(
    entry: OrderEntry, session: Session
) -> None:
    elsewhere = OrderEntry(entry.directory, entry.listings, Domain(1, b"\xd0" * 20), entry.cash)
    with pytest.raises(CommandRefused) as refusal:
        elsewhere.command(session, "order.replace", request())
    assert refusal.value.name == "signed_fields_differ"
