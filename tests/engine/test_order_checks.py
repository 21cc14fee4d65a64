"""Every refusal of a participant's command, and which of two reasons is named first."""

import pytest

from engine.command import cancel, cash_allot, clock, eligibility_set, numbered, session_open, stamped
from engine.money import Terms
from engine.reasons import Reason
from ext.records import (
    CashEvent,
    ExecType,
    Kind,
    OrderFlag,
    Phase,
    Refused,
    Side,
    TimeInForce,
    client_text,
    encode,
)

HALF_TICK = Terms(1, 5 * 10**8, 10**9, 0, 20261122)
"""A tick is worth half a minor unit."""


@pytest.fixture
def open_market(market):
    """Ann has cash, Bob has lots; continuous trading from 1 to 1,000 ticks, up to 10,000 lots."""
    market.open_tranche()
    market.investor("ann", cash=10_000)
    market.investor("bob", lots=100)
    return market


@pytest.mark.parametrize(
    ("fields", "reason", "limit", "actual"),
    [
        ({"owner": 5}, Reason.WRONG_OWNER, 111, 5),
        ({"terms_id": 2}, Reason.WRONG_TERMS, 1, 2),
        ({"side": 3}, Reason.UNKNOWN_SIDE, 0, 0),
        ({"order_type": 1}, Reason.UNKNOWN_ORDER_TYPE, 0, 0),
        ({"time_in_force": 4}, Reason.UNKNOWN_TIME_IN_FORCE, 0, 0),
        ({"flags": 2}, Reason.UNSUPPORTED_FIELD, 0, 0),
        ({"flags": 0}, Reason.ONCE_MUST_BE_IMMEDIATE, TimeInForce.IOC, TimeInForce.GTC),
        ({"price_ticks": 0}, Reason.PRICE_OUT_OF_RANGE, 1, 0),
        ({"price_ticks": 1_001}, Reason.PRICE_OUT_OF_RANGE, 1_000, 1_001),
        ({"quantity_lots": 0}, Reason.QUANTITY_OUT_OF_RANGE, 10_000, 0),
        ({"quantity_lots": -3}, Reason.QUANTITY_OUT_OF_RANGE, 10_000, -3),
        ({"quantity_lots": 10_001}, Reason.QUANTITY_OUT_OF_RANGE, 10_000, 10_001),
        ({"valid_until_ns": 500}, Reason.SIGNATURE_EXPIRED, None, 500),
        ({"nonce": (2 << 40) + 1}, Reason.NONCE_OF_ANOTHER_TRANCHE, 1, 2),
        ({"nonce": 2**64 - 1}, Reason.NONCE_OF_ANOTHER_TRANCHE, 1, 2**24 - 1),
        ({"revision": 2}, Reason.REVISION_NOT_NEXT, 1, 2),
        ({"cash_limit_minor": 99}, Reason.CASH_LIMIT_BELOW_COST, 99, 100),
        ({"fee_limit_minor": -1}, Reason.FEE_LIMIT_BELOW_FEE, -1, 0),
        ({"quantity_lots": 101}, Reason.INSUFFICIENT_CASH, 10_000, 10_100),
    ],
)
def test_a_new_order_is_refused_with_the_reason_and_by_how_much(open_market, fields, reason, limit, actual):
    side = fields.pop("side", Side.BUY)
    order = open_market.order("ann", side, fields.pop("quantity_lots", 10), fields.pop("price_ticks", 100))
    refused = open_market.place(order._replace(**fields))
    assert isinstance(refused, Refused)
    assert refused.reason == reason
    assert refused.actual == actual
    assert limit is None or refused.limit == limit
    assert refused.command_kind == Kind.ORDER_PLACE
    assert refused.client_order_id == order.client_order_id
    assert refused.stream_sequence > 0
    assert open_market.cash("ann") == (10_000, 0, 0)
    assert open_market.book() == []


@pytest.mark.parametrize(
    "field",
    [
        "protection_price_ticks",
        "peak_lots",
        "minimum_lots",
        "expiry_ns",
        "rfq_id",
        "protection_group",
        "self_trade_mode",
    ],
)
def test_a_field_not_in_use_is_refused_rather_than_ignored(open_market, field):
    order = open_market.order("ann", Side.BUY, 1, 100)
    assert open_market.place(order._replace(**{field: 1})).reason == Reason.UNSUPPORTED_FIELD


def test_the_accounts_own_owner_may_be_named(open_market):
    assert open_market.buy("ann", 1, at=100, owner=111).exec_type == ExecType.NEW


def test_an_unknown_account_is_refused_outside_any_stream(open_market):
    refused = open_market.buy("nobody", 1, at=100)
    assert (refused.reason, refused.stream_sequence) == (Reason.UNKNOWN_ACCOUNT, 0)


def test_an_unknown_tranche_is_refused_outside_any_stream(open_market):
    refused = open_market.buy("ann", 1, at=100, tranche=9)
    assert (refused.reason, refused.stream_sequence) == (Reason.UNKNOWN_TRANCHE, 0)


@pytest.mark.parametrize(
    ("phase", "reason"), [(Phase.CLOSED, Reason.MARKET_CLOSED), (Phase.HALTED, Reason.MARKET_HALTED)]
)
def test_a_market_that_is_not_open_takes_no_orders_and_no_replacements(open_market, phase, reason):
    open_market.buy("ann", 1, at=100, id="b")
    open_market.phase(phase)
    assert open_market.buy("ann", 1, at=100).reason == reason
    assert open_market.replace("ann", "b", "b2", price_ticks=90).reason == reason


def test_an_ioc_order_has_no_place_in_a_call(market):
    market.open_tranche(phase=Phase.CALL)
    market.investor("ann", cash=1_000)
    refused = market.buy("ann", 1, at=100, time_in_force=TimeInForce.IOC)
    assert refused.reason == Reason.NOT_IN_CALL


def test_eligibility_is_denied_by_default(open_market):
    open_market.open_tranche(2)
    assert open_market.buy("ann", 1, at=100, tranche=2).reason == Reason.NOT_ELIGIBLE


def test_eligibility_that_ended_is_told_apart_from_none(open_market):
    account = open_market.accounts["ann"]
    open_market.send(eligibility_set(account, 1, eligible=True, country=344, until_ns=5_000))
    open_market.now_ns = 5_000
    assert open_market.buy("ann", 1, at=100).reason == Reason.ELIGIBILITY_EXPIRED


def test_mainland_persons_are_blocked_whatever_the_registry_says(open_market):
    open_market.send(eligibility_set(open_market.accounts["ann"], 1, eligible=True, country=156))
    assert open_market.buy("ann", 1, at=100).reason == Reason.NOT_ELIGIBLE


def test_nonces_of_an_account_only_rise(open_market):
    open_market.buy("ann", 1, at=100, nonce=(1 << 40) + 5)
    refused = open_market.buy("ann", 1, at=100, nonce=(1 << 40) + 5)
    assert refused.reason == Reason.NONCE_NOT_ABOVE_LAST
    assert refused.limit == refused.actual == (1 << 40) + 5
    assert open_market.buy("ann", 1, at=100, nonce=(1 << 40) + 6).exec_type == ExecType.NEW


def test_a_refused_order_does_not_use_its_nonce_up(open_market):
    nonce = (1 << 40) + 5
    assert open_market.buy("ann", 5_000, at=100, nonce=nonce).reason == Reason.INSUFFICIENT_CASH
    assert open_market.buy("ann", 1, at=100, nonce=nonce).exec_type == ExecType.NEW


def test_a_sell_needs_its_lots_free(open_market):
    open_market.sell("bob", 60, at=100)
    refused = open_market.sell("bob", 41, at=100)
    assert (refused.reason, refused.limit, refused.actual) == (Reason.INSUFFICIENT_TOKENS, 40, 41)


def test_a_cash_floor_above_the_least_proceeds_would_never_settle(market):
    market.open_tranche(terms=HALF_TICK)
    market.investor("bob", lots=100)
    refused = market.sell("bob", 1, at=101, cash_limit_minor=51)
    assert (refused.reason, refused.limit, refused.actual) == (Reason.CASH_LIMIT_BELOW_COST, 51, 50)
    assert market.sell("bob", 1, at=101, cash_limit_minor=50).exec_type == ExecType.NEW


def test_a_buys_cash_limit_covers_the_cost_rounded_up(market):
    market.open_tranche(terms=HALF_TICK)
    market.investor("ann", cash=100)
    assert market.buy("ann", 1, at=101, cash_limit_minor=50).reason == Reason.CASH_LIMIT_BELOW_COST
    assert market.buy("ann", 1, at=101, cash_limit_minor=51).exec_type == ExecType.NEW
    assert market.cash("ann") == (49, 51, 0)


def test_cash_that_is_elsewhere_is_wanted_and_told_apart_from_cash_that_is_not_there(market):
    market.open_tranche()
    market.investor("ann")
    market.send(_allot(market, 300, elsewhere=700))
    refused = market.buy("ann", 10, at=100)
    assert (refused.reason, refused.limit, refused.actual) == (Reason.FUNDS_ELSEWHERE, 300, 1_000)
    (wanted,) = market.of(CashEvent)
    assert wanted.header.kind == Kind.CASH_WANTED
    assert (wanted.header.account, wanted.amount_minor) == (market.accounts["ann"], 700)
    assert market.buy("ann", 11, at=100).reason == Reason.INSUFFICIENT_CASH
    assert market.of(CashEvent) == []


def _allot(market, amount, elsewhere):
    return cash_allot(market.accounts["ann"], amount, transfer=9, elsewhere_minor=elsewhere)


def test_an_order_id_of_nobody_or_of_another_account_is_unknown(open_market):
    sold = open_market.sell("bob", 1, at=100, id="s")
    assert open_market.cancel("ann", "", "c", order_id=sold.order_id).reason == Reason.UNKNOWN_ORDER
    assert open_market.cancel("ann", "", "c", order_id=12345).reason == Reason.UNKNOWN_ORDER
    assert open_market.cancel("ann", "s", "c").reason == Reason.UNKNOWN_ORDER
    assert open_market.cancel("ann", "", "c").reason == Reason.UNKNOWN_ORDER


def test_an_order_may_be_named_by_its_id_or_by_any_of_its_client_order_ids(open_market):
    sold = open_market.sell("bob", 5, at=100, id="s")
    open_market.replace("bob", "s", "s2", price_ticks=101)
    assert open_market.cancel("bob", "s2", "c").order_id == sold.order_id
    other = open_market.sell("bob", 5, at=100, id="t")
    assert open_market.cancel("bob", "", "c2", order_id=other.order_id).order_id == other.order_id


def test_an_order_that_ended_can_be_neither_cancelled_nor_replaced(open_market):
    sold = open_market.sell("bob", 5, at=100, id="s")
    open_market.cancel("bob", "s", "c")
    assert open_market.cancel("bob", "s", "c2").reason == Reason.ORDER_CLOSED
    assert open_market.replace("bob", "s", "s2", price_ticks=90).reason == Reason.ORDER_CLOSED
    assert open_market.cancel("ann", "", "c3", order_id=sold.order_id).reason == Reason.UNKNOWN_ORDER


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"revision": 3}, Reason.REVISION_NOT_NEXT),
        ({"revision": 1}, Reason.REVISION_NOT_NEXT),
        ({"nonce": (1 << 40) + 9}, Reason.NONCE_NOT_ABOVE_LAST),
        ({"nonce": (2 << 40) + 1}, Reason.NONCE_OF_ANOTHER_TRANCHE),
        ({"side": Side.SELL, "cash_limit_minor": 0}, Reason.SIDE_CHANGED),
        ({"time_in_force": TimeInForce.IOC}, Reason.UNKNOWN_TIME_IN_FORCE),
        ({"flags": 0}, Reason.UNSUPPORTED_FIELD),
        ({"quantity_lots": 4}, Reason.QUANTITY_NOT_ABOVE_FILLED),
        ({"quantity_lots": 101}, Reason.INSUFFICIENT_CASH),
        ({"price_ticks": 1_001}, Reason.PRICE_OUT_OF_RANGE),
        ({"valid_until_ns": 1}, Reason.SIGNATURE_EXPIRED),
        ({"cash_limit_minor": 99}, Reason.CASH_LIMIT_BELOW_COST),
        ({"owner": 9}, Reason.WRONG_OWNER),
        ({"terms_id": 9}, Reason.WRONG_TERMS),
    ],
)
def test_a_replacement_is_refused_and_the_order_stays(open_market, changes, reason):
    open_market.sell("bob", 4, at=100)
    open_market.buy("ann", 10, at=100, id="b")
    before = open_market.cash("ann")
    assert open_market.replace("ann", "b", "b2", **changes).reason == reason
    assert open_market.cash("ann") == before
    assert open_market.book() == [(Side.BUY, 100, 6)]
    assert open_market.replace("ann", "b", "b2", quantity_lots=5).exec_type == ExecType.REPLACED


def test_an_order_signed_once_has_no_later_version(open_market):
    open_market.buy("ann", 10, at=100, id="b")
    refused = open_market.replace("ann", "b", "b2", quantity_lots=5, flags=0)
    assert (refused.reason, refused.limit) == (Reason.UNSUPPORTED_FIELD, OrderFlag.STANDING)


def test_an_order_signed_once_may_not_rest_because_its_fills_settle_in_one_batch(market):
    market.open_tranche(phase=Phase.CALL)
    market.investor("ann", cash=10_000)
    market.investor("bob", lots=100)
    assert market.buy("ann", 10, at=100, flags=0).reason == Reason.ONCE_MUST_BE_IMMEDIATE
    market.phase(Phase.CONTINUOUS)
    assert market.sell("bob", 10, at=100, flags=0).reason == Reason.ONCE_MUST_BE_IMMEDIATE
    assert market.book() == []


def test_an_order_signed_once_takes_all_its_fills_at_once_or_ends(open_market):
    open_market.sell("bob", 3, at=99)
    open_market.sell("bob", 4, at=100)
    open_market.buy("ann", 10, at=100, flags=0, time_in_force=TimeInForce.IOC)
    assert open_market.fills() == [(3, 99), (4, 100)]
    assert open_market.book() == []


def test_a_sells_replacement_needs_the_lots_it_adds(open_market):
    open_market.sell("bob", 60, at=100, id="s")
    refused = open_market.replace("bob", "s", "s2", quantity_lots=101)
    assert (refused.reason, refused.limit, refused.actual) == (Reason.INSUFFICIENT_TOKENS, 40, 41)


def test_an_order_too_much_for_its_side_of_the_book_overflows(market):
    largest = 2**61
    market.open_tranche(quantity_max_lots=largest, price_max_ticks=1, terms=Terms(1, 1, 0, 0, 0))
    market.investor("ann", cash=100)
    for _ in range(3):
        assert market.buy("ann", largest, at=1).exec_type == ExecType.NEW
    assert market.buy("ann", largest, at=1).reason == Reason.OVERFLOW
    last = market.buy("ann", largest - 1, at=1, id="last")
    assert last.exec_type == ExecType.NEW
    assert market.replace("ann", "last", "more", quantity_lots=largest).reason == Reason.OVERFLOW


def test_a_command_without_client_order_id_is_malformed(open_market):
    order = open_market.order("ann", Side.BUY, 1, 100)
    assert open_market.place(order._replace(client_order_id=b"")).reason == Reason.MALFORMED_RECORD


def test_a_record_of_another_version_or_length_is_malformed(open_market):
    for header in ({"version": 2}, {"units": 1}):
        events = _send_cut(open_market, header)
        assert [event.reason for event in events] == [Reason.MALFORMED_RECORD]
        assert events[0].stream_sequence > 0


def _send_cut(market, header):
    """Send an order whose header is spoilt, cut to the length that it claims."""
    order = _by_hand(market, market.order("ann", Side.BUY, 1, 100))
    order = order._replace(header=order.header._replace(**header))
    return market.send_raw(encode(order)[: order.header.units * 64])


def _by_hand(market, command):
    """A command as the market would number and stamp it."""
    number = market.core.last_command + 1
    return stamped(numbered(command, market.SOURCE, 1, number), number, market.now_ns)


def test_a_reserved_field_in_use_is_malformed(open_market):
    command = cancel(open_market.accounts["ann"], 1, "c", original_client_order_id="b")
    (refused,) = open_market.send(command._replace(reserved_3=1))
    assert refused.reason == Reason.MALFORMED_RECORD
    assert client_text(refused.client_order_id) == "c"


def test_a_kind_that_is_no_command_is_unknown(open_market):
    for kind in (99, int(Kind.TRADE)):
        record = encode(_by_hand(open_market, clock()))
        (refused,) = open_market.send_raw(kind.to_bytes(2, "little") + record[2:])
        assert (refused.reason, refused.command_kind) == (Reason.UNKNOWN_COMMAND, kind)


def test_who_sends_it_is_judged_before_what_is_sent(open_market):
    open_market.send(session_open(open_market.accounts["ann"], 3))
    assert open_market.buy("ann", -1, at=-1).reason == Reason.SESSION_SUPERSEDED


def test_fees_are_bounded_by_the_signed_fee_limit(market):
    market.open_tranche(maker_fee_e6=1_000, taker_fee_e6=25_000)
    market.investor("ann", cash=10_000)
    refused = market.buy("ann", 10, at=100, fee_limit_minor=29)
    assert (refused.reason, refused.limit, refused.actual) == (Reason.FEE_LIMIT_BELOW_FEE, 29, 30)
    assert market.buy("ann", 10, at=100, fee_limit_minor=30).exec_type == ExecType.NEW
    assert market.cash("ann") == (10_000 - 1_030, 1_030, 0)
