"""Tests of the admission gate."""

from typing import Any

import pytest

from engine.admission import AdmissionError, admit, canonical_json
from engine.money import Terms, cost_minor
from engine.settlement_facts import SettlementFacts
from ext.records import SettlementMode, encode, side_digest

VENUE = SettlementFacts(chain_id=31337, cash=b"\x33" * 20)


def _document(**changes: Any) -> dict[str, Any]:
    return {
        "symbol": "SOLAR-A",
        "filing": {"number": "2026-017", "date": "2026-02-06", "authority": "Registrar"},
        "offering_document_sha256": "ab" * 32,
        "issuer": "Solar Receivables 2026-1",
        "chain_id": 31337,
        "token": "0x" + "11" * 20,
        "registry": "0x" + "22" * 20,
        "cash_token": "0x" + "33" * 20,
        "currency": 1,
        "mode": "locked",
        "tick_size": "0.0025",
        "price_min": "50",
        "price_max": "150",
        "quantity_max": "1000000",
        "face_per_lot_minor": "100000",
        "terms": {"id": 1, "factor": "0.875", "accrued_per_lot": "12.5", "value_date": "2026-03-31"},
        "maker_fee_e6": 0,
        "taker_fee_e6": 0,
        "reference_price": "99.75",
        **changes,
    }


def test_a_complete_document_becomes_a_listing_in_ticks_and_minor_units() -> None:
    listing = admit(_document(), VENUE).listing(7)
    assert listing.header.tranche == 7
    assert (listing.price_min_ticks, listing.price_max_ticks, listing.reference_price_ticks) == (
        20_000,
        60_000,
        39_900,
    )
    assert (listing.tick_value_e9, listing.factor_e9) == (2_500_000_000, 875_000_000)
    assert (listing.accrued_e9_per_lot, listing.value_date) == (12_500_000_000, 20260331)
    assert (listing.mode, listing.taker_fee_e6) == (SettlementMode.LOCKED, 0)


def test_a_lot_at_par_costs_its_outstanding_face() -> None:
    terms = admit(_document(), VENUE).terms
    assert cost_minor(1, 40_000, Terms(1, terms.tick_value_e9, terms.factor_e9, 0, 20260331)) == 87_500


def test_the_listing_is_bound_to_the_document() -> None:
    admitted = admit(_document(), VENUE)
    assert admitted.listing(1).header.side_digest == side_digest(admitted.side_data)
    assert admitted.side_data == canonical_json(dict(reversed(_document().items())))
    encode(admitted.listing(1))


@pytest.mark.parametrize(
    "missing",
    [
        "filing",
        "offering_document_sha256",
        "issuer",
        "chain_id",
        "token",
        "registry",
        "cash_token",
        "terms",
        "symbol",
    ],
)
def test_a_document_that_lacks_what_the_law_asks_is_refused(missing: str) -> None:
    document = _document()
    del document[missing]
    with pytest.raises(AdmissionError, match=missing):
        admit(document, VENUE)


@pytest.mark.parametrize("part", ["number", "date", "authority"])
def test_a_filing_is_whole(part: str) -> None:
    filing = _document()["filing"]
    with pytest.raises(AdmissionError, match=f"filing.{part}"):
        admit(_document(filing={name: value for name, value in filing.items() if name != part}), VENUE)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"price_min": "50.001"}, "price_min"),
        ({"reference_price": "99.7501"}, "reference_price"),
        ({"tick_size": 0.0025}, "tick_size"),
        ({"tick_size": "0.00250000000001"}, "tick_size"),
        ({"tick_size": "NaN"}, "tick_size"),
        ({"price_min": "200"}, "not_admitted"),
        ({"reference_price": "10"}, "not_admitted"),
        ({"quantity_max": str(2**60)}, "overflow"),
        ({"quantity_max": str(2**70)}, "too large"),
        ({"quantity_max": "1.5"}, "quantity_max"),
        ({"taker_fee_e6": 10**6 + 1}, "taker_fee_e6"),
        ({"taker_fee_e6": 20}, "charges no fees"),
        ({"maker_fee_e6": 1}, "charges no fees"),
        ({"mode": "loose"}, "mode"),
        ({"mode": "open"}, "locks only"),
        ({"token": "0x1234"}, "token"),
        ({"symbol": "a:b"}, "symbol"),
        ({"colour": "blue"}, "colour"),
        ({"terms": {"id": 0, "factor": "1", "accrued_per_lot": "0", "value_date": 20260331}}, "terms.id"),
        (
            {"terms": {"id": 1, "factor": "1.1", "accrued_per_lot": "0", "value_date": 20260331}},
            "terms.factor",
        ),
        (
            {"terms": {"id": 1, "factor": "0.1234567891", "accrued_per_lot": "0", "value_date": 20260331}},
            "factor",
        ),
        (
            {"terms": {"id": 1, "factor": "1", "accrued_per_lot": "0", "value_date": "2026-02-30"}},
            "value_date",
        ),
        ({"issuer": "x" * 40_000}, "bytes"),
        ({"chain_id": 1}, "chain_id: .* 31337"),
        ({"cash_token": "0x" + "34" * 20}, "cash_token: .* 0x" + "33" * 20),
        ({"currency": 2}, "currency"),
        (
            {"price_max": str(2**40), "tick_size": "1", "quantity_max": "1", "reference_price": None},
            r"price_max: .* 2\^40",
        ),
        ({"quantity_max": str(2**48), "face_per_lot_minor": "1000"}, r"quantity_max: .* 2\^48"),
    ],
)
def test_a_document_that_is_wrong_is_refused_by_name(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(AdmissionError, match=complaint):
        admit(_document(**changes), VENUE)


def test_the_largest_fill_that_a_batch_can_carry_is_admitted() -> None:
    changes = {"price_min": "1", "price_max": str(2**40 - 1), "tick_size": "1", "reference_price": None}
    assert admit(_document(quantity_max="1", **changes), VENUE).listing(1).price_max_ticks == 2**40 - 1
    assert admit(_document(quantity_max=str(2**48 - 1), face_per_lot_minor="1000"), VENUE)


def test_an_address_is_the_same_however_its_letters_are_written() -> None:
    venue = SettlementFacts(31337, b"\xca" * 20)
    assert admit(_document(cash_token="0x" + "cA" * 20), venue)
