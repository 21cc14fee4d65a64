"""How an address stands by its events: credits when final, what is taken away at first sight."""

from hypothesis import given
from hypothesis import strategies as st

from settlement.chain_events import EventName
from settlement.standing import ENDLESS_S, Arrival, Standing, StoredEvent, arrivals_after, standing

NOW_S = 1_000


def event(name: EventName, amount: int = 0, *, until_s: int = 0, final: bool = True) -> StoredEvent:
    return StoredEvent(name, amount, until_s, final)


def amount(*events: StoredEvent, now_s: int = NOW_S) -> int:
    return standing(events, now_s).amount


LOCKED_100 = event(EventName.LOCKED, 100)


def test_nothing_is_known_of_an_address_without_events() -> None:
    assert standing([], NOW_S) == Standing()


def test_deposits_and_locks_count_when_they_are_final() -> None:
    assert amount(event(EventName.DEPOSITED, 5), event(EventName.DEPOSITED, 7, final=False)) == 5
    assert amount(LOCKED_100, event(EventName.LOCKED, 1, final=False)) == 100


def test_an_unlock_asked_for_counts_at_first_sight() -> None:
    assert amount(LOCKED_100, event(EventName.UNLOCK_REQUESTED, 30, until_s=5_000, final=False)) == 70


def test_a_new_request_replaces_the_one_before() -> None:
    asked = [event(EventName.UNLOCK_REQUESTED, lots, until_s=5_000) for lots in (30, 50)]
    assert amount(LOCKED_100, *asked) == 50


def test_a_smaller_request_frees_the_difference_only_when_it_is_final() -> None:
    first = event(EventName.UNLOCK_REQUESTED, 50, until_s=5_000)
    assert amount(LOCKED_100, first, event(EventName.UNLOCK_REQUESTED, 30, until_s=6_000, final=False)) == 50
    assert amount(LOCKED_100, first, event(EventName.UNLOCK_REQUESTED, 30, until_s=6_000)) == 70


def test_an_executed_unlock_takes_no_more_than_it_unlocked() -> None:
    asked = event(EventName.UNLOCK_REQUESTED, 50, until_s=5_000)
    assert amount(LOCKED_100, asked, event(EventName.UNLOCKED, 40)) == 60


def test_a_request_that_was_cancelled_or_has_lapsed_takes_nothing() -> None:
    asked = event(EventName.UNLOCK_REQUESTED, 50, until_s=5_000)
    assert amount(LOCKED_100, asked, event(EventName.UNLOCK_CANCELLED, 50)) == 100
    assert amount(LOCKED_100, asked, now_s=5_001) == 100
    assert amount(LOCKED_100, asked, now_s=5_000) == 50


def test_a_broken_lock_and_an_unlocked_delivery_are_taken_away_at_once() -> None:
    assert amount(LOCKED_100, event(EventName.LOCK_BROKEN, 60, final=False)) == 40
    assert amount(event(EventName.DELIVERED_UNLOCKED, 8, final=False)) == -8


def test_an_account_is_eligible_while_registered_and_not_frozen() -> None:
    registered = event(EventName.IDENTITY_REGISTERED)
    assert standing([registered], NOW_S).eligible
    assert not standing([event(EventName.IDENTITY_REGISTERED, final=False)], NOW_S).eligible
    assert not standing([registered, event(EventName.IDENTITY_REMOVED, final=False)], NOW_S).eligible
    assert not standing([registered, event(EventName.ADDRESS_FROZEN, 1, final=False)], NOW_S).eligible
    thawed = [registered, event(EventName.ADDRESS_FROZEN, 1), event(EventName.ADDRESS_FROZEN, 0, final=False)]
    assert not standing(thawed, NOW_S).eligible


def test_eligibility_ends_when_the_registry_says() -> None:
    registered = event(EventName.IDENTITY_REGISTERED)
    assert standing([registered], NOW_S).until_s == 0
    assert (
        standing([registered, event(EventName.VALIDITY_UPDATED, until_s=50, final=False)], NOW_S).until_s
        == 50
    )
    longer = [registered, event(EventName.VALIDITY_UPDATED, until_s=50)]
    assert (
        standing([*longer, event(EventName.VALIDITY_UPDATED, until_s=90, final=False)], NOW_S).until_s == 50
    )
    assert standing([*longer, event(EventName.VALIDITY_UPDATED, until_s=ENDLESS_S)], NOW_S).until_s == 0


def test_lots_that_arrived_unlocked_are_told_apart_each_with_what_brought_it() -> None:
    events = [
        StoredEvent(EventName.DELIVERED_UNLOCKED, lots, 0, False, each)
        for lots, each in ((5, b"a"), (3, b"b"))
    ]
    assert standing(events, NOW_S).arrived == 8
    assert arrivals_after(events, 0) == [Arrival(5, b"a"), Arrival(3, b"b")]
    assert arrivals_after(events, 5) == [Arrival(3, b"b")]
    assert arrivals_after(events, 6) == [Arrival(2, b"b")]
    assert arrivals_after(events, 8) == arrivals_after(events, 9) == []


def test_lots_frozen_that_are_locked_are_taken_at_first_sight_and_given_back_when_final() -> None:
    minted = event(EventName.TRANSFERRED_IN, 100)
    frozen = event(EventName.TOKENS_FROZEN, 30, final=False)
    assert amount(minted, LOCKED_100, frozen) == 70
    thawed = [event(EventName.TOKENS_FROZEN, 30), event(EventName.TOKENS_UNFROZEN, 30, final=False)]
    assert amount(minted, LOCKED_100, *thawed) == 70
    assert amount(minted, LOCKED_100, *thawed[:1], event(EventName.TOKENS_UNFROZEN, 30)) == 100


def test_a_freeze_takes_lots_that_are_not_locked_first() -> None:
    minted = event(EventName.TRANSFERRED_IN, 120)
    frozen = event(EventName.TOKENS_FROZEN, 30)
    assert amount(minted, LOCKED_100, frozen) == 90
    assert amount(minted, LOCKED_100, frozen, event(EventName.TRANSFERRED_OUT, 20, final=False)) == 70
    assert amount(minted, LOCKED_100, frozen, event(EventName.TRANSFERRED_IN, 20, final=False)) == 90


def test_lots_frozen_and_asked_back_are_taken_once() -> None:
    minted = event(EventName.TRANSFERRED_IN, 100)
    asked = event(EventName.UNLOCK_REQUESTED, 50, until_s=5_000)
    assert amount(minted, LOCKED_100, asked, event(EventName.TOKENS_FROZEN, 30)) == 50
    assert amount(minted, LOCKED_100, asked, event(EventName.TOKENS_FROZEN, 60)) == 40


def test_the_country_is_the_registrys_at_finality_but_a_blocked_one_counts_at_first_sight() -> None:
    hong_kong, mainland = 344, 156
    registered = event(EventName.IDENTITY_REGISTERED, hong_kong)
    moved = event(EventName.COUNTRY_UPDATED, mainland, final=False)
    assert standing([registered], NOW_S).country == hong_kong
    assert standing([registered, moved], NOW_S).country == mainland
    back = [event(EventName.COUNTRY_UPDATED, mainland), event(EventName.COUNTRY_UPDATED, 702, final=False)]
    assert standing([registered, *back], NOW_S).country == mainland
    assert standing([registered, back[0], event(EventName.COUNTRY_UPDATED, 702)], NOW_S).country == 702


token_events = st.builds(
    StoredEvent,
    st.sampled_from(
        [
            EventName.LOCKED,
            EventName.UNLOCK_REQUESTED,
            EventName.UNLOCK_CANCELLED,
            EventName.LOCK_BROKEN,
            EventName.TOKENS_FROZEN,
            EventName.TRANSFERRED_IN,
            EventName.DELIVERED_UNLOCKED,
        ]
    ),
    st.integers(0, 100),
    st.integers(0, 2_000),
    st.booleans(),
)


@given(st.lists(token_events, max_size=20))
def test_what_is_not_final_never_adds(events: list[StoredEvent]) -> None:
    by_final = standing([each for each in events if each.final], NOW_S).amount
    assert standing(events, NOW_S).amount <= by_final
