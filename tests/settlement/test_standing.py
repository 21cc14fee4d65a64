"""How an address stands by its events: credits when final, what is taken away at first sight."""

from hypothesis import given
from hypothesis import strategies as st

from settlement.chain_events import EventName
from settlement.standing import ENDLESS_S, Standing, StoredEvent, standing

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


token_events = st.builds(
    StoredEvent,
    st.sampled_from(
        [EventName.LOCKED, EventName.UNLOCK_REQUESTED, EventName.UNLOCK_CANCELLED, EventName.LOCK_BROKEN]
    ),
    st.integers(0, 100),
    st.integers(0, 2_000),
    st.booleans(),
)


@given(st.lists(token_events, max_size=20))
def test_what_is_not_final_never_adds(events: list[StoredEvent]) -> None:
    by_final = standing([each for each in events if each.final], NOW_S).amount
    assert standing(events, NOW_S).amount <= by_final
