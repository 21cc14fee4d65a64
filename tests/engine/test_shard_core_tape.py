"""Real order flow through the core: 20 funded accounts, and the fills that price-time priority gives."""

import csv
import gzip
from pathlib import Path

import pytest

from engine.command import (
    account_open,
    cancel,
    cash_allot,
    eligibility_set,
    numbered,
    phase_set,
    place,
    replace,
    stamped,
    tokens_adjust,
    tranche_list,
)
from engine.money import Terms
from engine.shard_core import ShardCore
from ext.naive_order_book import NaiveOrderBook
from ext.records import (
    ExecType,
    ExecutionReport,
    OrderFlag,
    Phase,
    Refused,
    Side,
    TimeInForce,
    Trade,
    decode_all,
    encode,
)

DATA = Path(__file__).parents[1] / "data"
TICK = 25
ACCOUNTS = 20
TRANCHE = 1
SOURCE = 5
START_NS = 1_703_422_805_000_000_000
TERMS = Terms(1, 10**9, 10**9, 0, 20261122)


def rows(name):
    with gzip.open(DATA / name, "rt") as lines:
        yield from csv.DictReader(lines)


class TapeDriver:
    """Sends the tape as the participants would: buys for ten accounts, sells for the other ten.

    The tape says leaves where FIX says total quantity, so the driver listens to reports for what has filled.
    """

    def __init__(self):
        self.core = ShardCore(1)
        self.commands = []
        self.outputs = []
        self.trades = []
        self.refused = []
        self.tape_ids = {}
        self._live = {}
        self._cum = {}
        self._nonces = {}

    def send(self, command):
        sequence = self.core.last_command + 1
        command = stamped(numbered(command, SOURCE, 1, sequence), sequence, START_NS + sequence)
        self.commands.append(encode(command))
        self.outputs.append(self.core.apply(self.commands[-1]))
        for event in decode_all(self.outputs[-1]):
            if isinstance(event, Trade):
                self.trades.append(event)
            elif isinstance(event, ExecutionReport):
                self._cum[event.order_id] = event.cum_lots
            elif isinstance(event, Refused):
                self.refused.append(event)

    def set_up(self):
        self.send(
            tranche_list(
                TRANCHE,
                TERMS,
                document=b"{}",
                price_min_ticks=1,
                price_max_ticks=10**6,
                quantity_max_lots=10**6,
            )
        )
        for account in range(1, ACCOUNTS + 1):
            self.send(account_open(account, owner=account))
            self.send(eligibility_set(account, TRANCHE, eligible=True, country=344))
            self.send(cash_allot(account, 10**12, transfer=account))
            self.send(tokens_adjust(account, TRANCHE, 10**6))

    def play(self, number, row):
        if row["op"] == "phase":
            self.send(phase_set(TRANCHE, Phase[row["side"]]))
        elif row["op"] == "new":
            self._place(number, row)
        elif row["op"] == "cancel":
            order_id, placed = self._live[row["order_id"]][:2]
            self.send(cancel(placed.header.account, TRANCHE, str(number), order_id=order_id))
        else:
            self._replace(number, row)

    def _place(self, number, row):
        side = Side.BUY if row["side"] == "B" else Side.SELL
        account = int(row["order_id"]) % 10 + (1 if side == Side.BUY else 11)
        self._nonces[account] = nonce = self._nonces.get(account, TRANCHE << 40) + 1
        price = int(row["price"]) // TICK
        placed = place(
            account,
            TRANCHE,
            str(number),
            side=side,
            price_ticks=price,
            quantity_lots=int(row["qty"]),
            nonce=nonce,
            valid_until_ns=2**62,
            cash_limit_minor=price if side == Side.BUY else 0,
            flags=OrderFlag.STANDING,
            time_in_force=TimeInForce[row["tif"]],
        )
        order_id = 1 << 47 | self.core.last_command + 1
        self.tape_ids[order_id] = row["order_id"]
        self._live[row["order_id"]] = [order_id, placed, 1]
        self.send(placed)

    def _replace(self, number, row):
        live = self._live[row["order_id"]]
        live[2] += 1
        order_id, placed, revision = live
        price = int(row["price"]) // TICK
        self.send(
            replace(
                placed,
                str(number),
                revision=revision,
                order_id=order_id,
                price_ticks=price,
                quantity_lots=int(row["qty"]) + self._cum[order_id],
                cash_limit_minor=price if placed.side == Side.BUY else 0,
            )
        )


@pytest.fixture(scope="module")
def tape():
    driver = TapeDriver()
    driver.set_up()
    for number, row in enumerate(rows("tape-orders.csv.gz")):
        driver.play(number, row)
    driver.core._check()
    return driver


def test_no_command_of_the_tape_is_refused(tape):
    assert tape.refused == []
    assert tape.core.last_command == 28_000 + 1 + 4 * ACCOUNTS


def test_every_fill_of_continuous_trading_is_that_of_the_tape_one_by_one(tape):
    ours = []
    for trade in tape.trades:
        sides = [tape.tape_ids[trade.buy_order_id], tape.tape_ids[trade.sell_order_id]]
        taker, maker = sides if trade.aggressor == Side.BUY else reversed(sides)
        if trade.aggressor:
            ours.append((taker, maker, str(trade.price_ticks * TICK), str(trade.quantity_lots)))
    assert ours == [tuple(row.values()) for row in rows("tape-fills.csv.gz")]


def test_the_opening_auction_fills_whom_the_tape_filled(tape):
    auction = [trade for trade in tape.trades if not trade.aggressor]
    assert {trade.price_ticks * TICK for trade in auction} == {480_000}
    assert sum(trade.quantity_lots for trade in auction) == 31
    ours = {}
    for trade in auction:
        for side, order_id in (("B", trade.buy_order_id), ("S", trade.sell_order_id)):
            key = side, tape.tape_ids[order_id]
            ours[key] = ours.get(key, 0) + trade.quantity_lots
    expected = {(row["side"], row["order_id"]): int(row["qty"]) for row in rows("tape-auction.csv.gz")}
    assert ours == expected


def test_fills_are_numbered_densely_and_cost_lots_times_price(tape):
    assert [trade.fill_number for trade in tape.trades] == list(range(1, len(tape.trades) + 1))
    assert all(trade.amount_minor == trade.quantity_lots * trade.price_ticks for trade in tape.trades)


def test_the_tape_replays_to_the_byte_in_batches_of_any_size(tape):
    core = ShardCore(1)
    events = b"".join(
        core.apply(b"".join(tape.commands[at : at + 777])) for at in range(0, len(tape.commands), 777)
    )
    assert events == b"".join(tape.outputs)
    assert core.digest() == tape.core.digest()


def test_the_naive_book_gives_the_same_bytes_from_a_snapshot_amid_the_tape(tape):
    at = len(tape.commands) - 4_000
    first = ShardCore(1)
    first.apply(b"".join(tape.commands[:at]))
    second = ShardCore.restore(first.snapshot(), NaiveOrderBook)
    assert second.apply(b"".join(tape.commands[at:])) == b"".join(tape.outputs[at:])
    assert second.digest() == tape.core.digest()
    assert second.snapshot() == tape.core.snapshot()
    second._check()


def test_reports_of_the_tape_end_orders_once(tape):
    ended = [
        event.order_id
        for event in decode_all(b"".join(tape.outputs))
        if isinstance(event, ExecutionReport)
        and event.leaves_lots == 0
        and event.exec_type in (ExecType.TRADE, ExecType.CANCELED)
    ]
    assert len(ended) == len(set(ended))
