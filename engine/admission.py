"""The admission gate: the document with which a tranche is listed, and what must be true of it (DESIGN D14).

A tranche without filing number, date and authority, the hash of its offering document, issuer, chain and
contracts is not admitted, nor one whose amounts do not come out in whole ticks and minor units or could
overflow, nor one whose fills the venue's settlement contract could not take: on another chain, in another
cash token, or in numbers wider than a packed fill's. That the tranche's token has these first terms on chain
is not checked here, because nothing in this package reaches the chain: whoever lists a tranche sets them
there first. Prices are decimal strings, clean per 100 of outstanding principal (DESIGN D12); a JSON number
with a fraction is refused, because it has no exact value.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from engine.command import tranche_list
from engine.instrument import listed
from engine.money import E9, Terms
from engine.refusal import Refusal
from engine.settlement_batch import FILL_LOTS_BITS, FILL_PRICE_BITS
from engine.settlement_facts import SettlementFacts
from ext.records import SettlementMode, TrancheList, encode

LARGEST_DOCUMENT_BYTES: Final = 32 * 1024
CASH_CURRENCY: Final = 1
"""The number of the venue's cash token among currencies."""


class AdmissionError(ValueError):
    """The document is not admitted; the message names every field that is wrong and why."""


def _exact(value: object) -> object:
    """Refuse what is neither text nor a whole number."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise ValueError("a decimal string is needed")
    return value


def _mode(value: object) -> object:
    """A settlement mode by its name in lower case."""
    if not isinstance(value, str) or value.upper() not in SettlementMode.__members__:
        raise ValueError("one of locked, frozen, open is needed")
    return SettlementMode[value.upper()]


def _day(value: object) -> object:
    """A day as YYYY-MM-DD or as the number YYYYMMDD."""
    text = str(value)
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else value


Exact = Annotated[Decimal, BeforeValidator(_exact), Field(max_digits=38)]
Whole = Annotated[int, BeforeValidator(_exact)]
Day = Annotated[date, BeforeValidator(_day)]
Mode = Annotated[SettlementMode, BeforeValidator(_mode)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
Fee = Annotated[int, BeforeValidator(_exact), Field(ge=0, le=10**6)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Filing(_Part):
    """Where and when the offering was filed."""

    number: Text
    date: Day
    authority: Text


class FirstTerms(_Part):
    """The terms a tranche is listed with: ``factor`` of outstanding principal, ``accrued_per_lot`` in minor
    units.
    """

    id: Annotated[Whole, Field(ge=1, le=0xFFFF)]
    factor: Annotated[Exact, Field(gt=0, le=1)]
    accrued_per_lot: Annotated[Exact, Field(ge=0)]
    value_date: Day


class AdmissionDocument(_Part):
    """Everything the venue must know of a tranche before it is listed.

    ``token``, ``registry`` and ``cash_token`` are contracts on chain ``chain_id``. ``face_per_lot_minor`` is
    the original principal of one lot in minor units of the cash token. ``price_min``, ``price_max``,
    ``reference_price`` and ``tick_size`` are prices; ``quantity_max`` is the largest order in lots; fees are
    millionths of the amount.
    """

    symbol: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9._-]{0,31}$")]
    isin: Annotated[str, Field(pattern=r"^[A-Z]{2}[A-Z0-9]{9}[0-9]$")] | None = None
    filing: Filing
    offering_document_sha256: Annotated[str, Field(pattern=r"^(0x)?[0-9a-fA-F]{64}$")]
    issuer: Text
    chain_id: Annotated[Whole, Field(gt=0)]
    token: Address
    registry: Address
    cash_token: Address
    currency: Annotated[Whole, Field(gt=0, le=0xFFFF_FFFF)] = CASH_CURRENCY
    mode: Mode = SettlementMode.LOCKED
    tick_size: Annotated[Exact, Field(gt=0)]
    price_min: Annotated[Exact, Field(gt=0)]
    price_max: Annotated[Exact, Field(gt=0)]
    quantity_max: Annotated[Whole, Field(gt=0)]
    face_per_lot_minor: Annotated[Whole, Field(gt=0)]
    terms: FirstTerms
    maker_fee_e6: Fee = 0
    taker_fee_e6: Fee = 0
    reference_price: Annotated[Exact, Field(gt=0)] | None = None

    def ticks(self, field: str, price: Decimal) -> int:
        """A price in ticks; AdmissionError when it is off the tick."""
        return _whole(field, Fraction(price) / Fraction(self.tick_size), "is not a whole number of ticks")

    def tick_value_e9(self) -> int:
        """Minor units of cash per tick per lot at factor 1, times 10^9."""
        value = self.face_per_lot_minor * Fraction(self.tick_size) * E9 / 100
        return _whole("tick_size", value, "of a lot's face is not a whole billionth of a minor unit")

    def first_terms(self) -> Terms:
        """The terms as the engine and the chain compute with them."""
        terms = self.terms
        return Terms(
            terms_id=terms.id,
            tick_value_e9=self.tick_value_e9(),
            factor_e9=_whole("terms.factor", Fraction(terms.factor) * E9, "has more than nine decimals"),
            accrued_e9_per_lot=_whole(
                "terms.accrued_per_lot", Fraction(terms.accrued_per_lot) * E9, "has more than nine decimals"
            ),
            value_date=int(terms.value_date.strftime("%Y%m%d")),
        )


@dataclass(frozen=True, slots=True)
class Admitted:
    """A document that passed the gate. ``side_data`` is its one canonical text: what the listing command
    carries.
    """

    document: AdmissionDocument
    terms: Terms
    side_data: bytes

    @property
    def symbol(self) -> str:
        """The tranche's symbol."""
        return self.document.symbol

    def listing(self, tranche: int) -> TrancheList:
        """The command that lists it under a number."""
        document = self.document
        reference = document.reference_price
        return tranche_list(
            tranche,
            self.terms,
            document=self.side_data,
            price_min_ticks=document.ticks("price_min", document.price_min),
            price_max_ticks=document.ticks("price_max", document.price_max),
            quantity_max_lots=document.quantity_max,
            reference_price_ticks=document.ticks("reference_price", reference) if reference else 0,
            currency=document.currency,
            mode=document.mode,
            maker_fee_e6=document.maker_fee_e6,
            taker_fee_e6=document.taker_fee_e6,
        )


def admit(document: Mapping[str, Any], venue: SettlementFacts) -> Admitted:
    """Pass a document through the gate of a venue.

    Raises:
        AdmissionError: Something is missing, unknown, off the tick, not what the venue settles in, or so
            large that amounts could overflow.
    """
    side_data = canonical_json(document)
    if len(side_data) > LARGEST_DOCUMENT_BYTES:
        raise AdmissionError(f"the document has {len(side_data)} bytes, more than {LARGEST_DOCUMENT_BYTES}")
    try:
        checked = AdmissionDocument.model_validate(document)
        admitted = Admitted(checked, checked.first_terms(), side_data)
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise AdmissionError("; ".join(wrong)) from None
    except AdmissionError:
        raise
    except ValueError as error:
        raise AdmissionError(f"terms: {error}") from None
    _check_as_chain_can(checked)
    _check_as_venue_settles(checked, venue)
    _check_as_shard_will(admitted)
    _check_as_fills_are_packed(checked)
    return admitted


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """The one text of a JSON document: keys sorted, no spaces, UTF-8."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
    ).encode()


def _check_as_chain_can(document: AdmissionDocument) -> None:
    """Refuse what the engine could match and the chain not settle: what is matched must be able to settle."""
    if document.mode != SettlementMode.LOCKED:
        raise AdmissionError("mode: the settlement contract delivers from locks only; ask for locked")
    for name in ("maker_fee_e6", "taker_fee_e6"):
        if getattr(document, name):
            raise AdmissionError(f"{name}: the settlement contract charges no fees; it must be 0")


def _check_as_venue_settles(document: AdmissionDocument, venue: SettlementFacts) -> None:
    """Refuse another chain or another money than the venue's: its orders are signed over the venue's own."""
    if document.chain_id != venue.chain_id:
        raise AdmissionError(f"chain_id: this venue settles on chain {venue.chain_id}")
    if bytes.fromhex(document.cash_token[2:]) != venue.cash:
        raise AdmissionError(f"cash_token: this venue settles in 0x{venue.cash.hex()}")
    if document.currency != CASH_CURRENCY:
        raise AdmissionError(f"currency: the venue's cash token is number {CASH_CURRENCY}")


def _check_as_shard_will(admitted: Admitted) -> None:
    """Refuse what the shard would refuse, before it has a number."""
    try:
        listing = admitted.listing(1)
        encode(listing)
    except struct.error as error:
        raise AdmissionError(f"a number is too large: {error}") from None
    instrument = listed(listing)
    if isinstance(instrument, Refusal):
        raise AdmissionError(f"the shard would refuse it: {instrument.reason.name.lower()}")


def _check_as_fills_are_packed(document: AdmissionDocument) -> None:
    """Refuse prices and quantities that a fill in a batch has no bits for."""
    if document.ticks("price_max", document.price_max) >> FILL_PRICE_BITS:
        raise AdmissionError(f"price_max: a settled fill holds less than 2^{FILL_PRICE_BITS} ticks")
    if document.quantity_max >> FILL_LOTS_BITS:
        raise AdmissionError(f"quantity_max: a settled fill holds less than 2^{FILL_LOTS_BITS} lots")


def _whole(field: str, value: Fraction, complaint: str) -> int:
    """A number that must be a whole number of what it counts."""
    if value.denominator != 1:
        raise AdmissionError(f"{field} {complaint}")
    return value.numerator
