"""TrancheToken.setTerms: numbered terms, set once."""

from __future__ import annotations

import pytest


def test_terms_are_said_and_read(contracts, issuer):
    values = (2, 10**9, 5 * 10**8, 7, 20261231)
    outcome = issuer("setTerms", *values)
    assert tuple(outcome.named("TermsSet")[0].arguments.values()) == values
    assert contracts.read(contracts.tranche.token, "terms", 2) == values[1:]
    assert contracts.read(contracts.tranche.token, "terms", 3) == (0, 0, 0, 0)


def test_terms_once_set_are_never_altered(contracts, issuer, refused):
    before = contracts.read(contracts.tranche.token, "terms", 1)
    with refused("TermsAlreadySet", termsId=1):
        issuer("setTerms", 1, 1, 1, 1, 1)
    assert contracts.read(contracts.tranche.token, "terms", 1) == before


@pytest.mark.parametrize(("terms_id", "tick_value_e9"), [(0, 1), (2, 0)])
def test_terms_without_number_or_value_are_refused(issuer, refused, terms_id, tick_value_e9):
    with refused("TermsWithoutValue", termsId=terms_id):
        issuer("setTerms", terms_id, tick_value_e9, 1, 1, 1)
