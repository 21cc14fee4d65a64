"""Amounts move between free, earmarked and in settlement, and none is made or lost."""

import pytest

from engine.ledger import SUM_LIMIT, Funds


def parts(funds):
    return funds.free, funds.earmarked, funds.in_settlement


def test_an_order_earmarks_and_releases():
    funds = Funds(free=100)
    funds.earmark(60)
    assert parts(funds) == (40, 60, 0)
    funds.earmark(-25)
    assert parts(funds) == (65, 35, 0)


def test_a_match_moves_what_is_owed_and_frees_the_rest():
    funds = Funds(free=40, earmarked=60)
    funds.match(held=50, owed=45)
    assert parts(funds) == (45, 10, 45)


def test_a_fill_is_delivered_or_taken_back():
    funds = Funds(in_settlement=45)
    funds.deliver(30)
    funds.take_back(15)
    assert parts(funds) == (15, 0, 0)


def test_the_total_changes_only_by_what_comes_and_goes():
    funds = Funds(free=100)
    funds.receive(20)
    funds.give(50)
    funds.earmark(40)
    funds.match(held=40, owed=10)
    assert funds.total() == 70
    funds.deliver(10)
    assert funds.total() == 60


@pytest.mark.parametrize(
    "move",
    [
        lambda funds: funds.give(11),
        lambda funds: funds.give(-1),
        lambda funds: funds.earmark(11),
        lambda funds: funds.earmark(-11),
        lambda funds: funds.match(held=11, owed=1),
        lambda funds: funds.match(held=5, owed=6),
        lambda funds: funds.deliver(11),
        lambda funds: funds.take_back(11),
    ],
)
def test_moving_what_is_not_there_is_a_bug_of_ours(move):
    funds = Funds(free=10, earmarked=10, in_settlement=10)
    with pytest.raises(AssertionError):
        move(funds)
    assert parts(funds) == (10, 10, 10)


@pytest.mark.parametrize("funds", [Funds(free=-1), Funds(earmarked=-1), Funds(free=SUM_LIMIT)])
def test_negative_or_unbounded_amounts_fail_the_check(funds):
    with pytest.raises(AssertionError):
        funds._check()
