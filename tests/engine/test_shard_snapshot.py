"""A snapshot gives the whole state back, or nothing."""

from hashlib import sha256

import pytest

from engine.command import settlement_final, tokens_adjust
from engine.shard_core import ShardCore
from engine.shard_snapshot import SnapshotError
from ext.records import ExecType, Phase


@pytest.fixture
def busy_market(market):
    """Open, closed and partly filled orders, a settled and an unsettled fill, two tranches."""
    market.open_tranche(maker_fee_e6=1_000)
    market.open_tranche(2, phase=Phase.CALL)
    market.investor("ann", cash=50_000)
    market.investor("ann", tranche=2)
    market.investor("bob", lots=100)
    market.buy("ann", 5, at=90, tranche=2)
    market.buy("ann", 10, at=100, id="b")
    market.replace("ann", "b", "b2", quantity_lots=20)
    market.sell("bob", 4, at=100)
    market.sell("bob", 3, at=100, id="s")
    market.sell("bob", 9, at=120, id="cancelled")
    market.cancel("bob", "cancelled", "c")
    market.send(settlement_final(1, 1))
    market.send(tokens_adjust(market.accounts["bob"], 1, -100))
    assert market.owed("bob") == 7
    return market


def resealed(body):
    return body + sha256(body).digest()


def test_a_restored_shard_is_the_same_and_goes_on_the_same(busy_market):
    snapshot = busy_market.core.snapshot()
    restored = ShardCore.restore(snapshot)
    restored._check()
    assert restored.snapshot() == snapshot
    assert restored.digest() == busy_market.core.digest()
    for known in ("shard", "last_command", "last_event", "last_time_ns"):
        assert getattr(restored, known) == getattr(busy_market.core, known)
    assert restored.book(1) == busy_market.core.book(1)
    busy_market.core = restored
    assert busy_market.buy("ann", 99, at=1, id="b2").exec_type == ExecType.DUPLICATE
    assert busy_market.sell("bob", 99, at=1, id="cancelled").exec_type == ExecType.DUPLICATE


def test_an_empty_shard_has_a_snapshot(new_market):
    empty = new_market().core
    assert ShardCore.restore(empty.snapshot()).digest() == empty.digest()


def test_every_command_changes_the_digest(busy_market):
    before = busy_market.core.digest()
    assert busy_market.cancel("bob", "nothing", "c2").reason
    assert busy_market.core.digest() != before


@pytest.mark.parametrize("at", [0, 9, 40, 200, -40, -1])
def test_a_damaged_byte_is_noticed(busy_market, at):
    damaged = bytearray(busy_market.core.snapshot())
    damaged[at] ^= 1
    with pytest.raises(SnapshotError):
        ShardCore.restore(bytes(damaged))


def test_anything_cut_short_is_refused_even_with_a_true_checksum(busy_market):
    body = busy_market.core.snapshot()[:-32]
    for length in range(0, len(body), 7):
        with pytest.raises(SnapshotError):
            ShardCore.restore(resealed(body[:length]))


def test_anything_added_is_refused_even_with_a_true_checksum(busy_market):
    body = busy_market.core.snapshot()[:-32]
    with pytest.raises(SnapshotError):
        ShardCore.restore(resealed(body + bytes(64)))


def test_another_version_of_the_rules_is_not_read(busy_market):
    body = bytearray(busy_market.core.snapshot()[:-32])
    body[16] += 1
    with pytest.raises(SnapshotError):
        ShardCore.restore(resealed(bytes(body)))


def test_closed_orders_that_are_not_those_of_the_digest_are_refused(busy_market):
    body = bytearray(busy_market.core.snapshot()[:-32])
    body[-1] ^= 1
    with pytest.raises(SnapshotError):
        ShardCore.restore(resealed(bytes(body)))
