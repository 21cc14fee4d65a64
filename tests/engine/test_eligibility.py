"""Who may hold a tranche: nobody, until the registry says so."""

import pytest

from engine.eligibility import BLOCKED_COUNTRIES, NEVER_NS, Eligibility
from engine.reasons import Reason

HONG_KONG = 344


def test_nobody_is_eligible_by_default():
    assert Eligibility().refusal(0) is Reason.NOT_ELIGIBLE


def test_the_registry_grants_without_end_or_until_a_time():
    assert Eligibility(True, HONG_KONG).refusal(NEVER_NS - 1) is Reason.NONE
    limited = Eligibility(True, HONG_KONG, until_ns=100)
    assert limited.refusal(99) is Reason.NONE
    assert limited.refusal(100) is Reason.ELIGIBILITY_EXPIRED
    assert limited.end_ns() == 100


@pytest.mark.parametrize("country", sorted(BLOCKED_COUNTRIES))
def test_a_blocked_country_outweighs_the_registry(country):
    assert Eligibility(True, country).refusal(0) is Reason.NOT_ELIGIBLE
