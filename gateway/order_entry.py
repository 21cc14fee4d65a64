"""From a participant's request to the shard's record, with the checks that belong at the edge. No I/O.

Checked here: form, tick, that the session acts for the account, and that the account's key signed exactly
the fields that go to the shard (EIP-712), since the DvP contract will hold the order to its signature.
Everything that depends on the market's state is the shard's to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from engine.directory import Account, Directory
from engine.reasons import Reason
from engine.signed_order import (
    KIND_ONCE,
    KIND_STANDING,
    Domain,
    SignatureError,
    SignedOrder,
    order_digest,
    recover_signer,
)
from ext.records import (
    NO_SIDE_DATA,
    RECORD_VERSION,
    UNITS,
    Header,
    Kind,
    OrderCancel,
    OrderFlag,
    OrderPlace,
    OrderType,
    client_id,
    encode,
    side_digest,
)
from gateway.decimals import OffGridError
from gateway.errors import BadParameters, CommandRefused
from gateway.listing import Listing, Listings
from gateway.protocol import Parameters
from gateway.session import Session
from gateway.words import SIDES, TIMES_IN_FORCE

NANOSECONDS: Final = 1_000_000_000
SECONDS_MAX: Final = (2**63 - 1) // NANOSECONDS
SIGNATURE_BYTES: Final = 65
NO_CLIENT_ID: Final = bytes(36)


class Command(NamedTuple):
    """A record for a shard, unnumbered, with its side data."""

    shard: int
    record: bytes
    side: bytes


@dataclass(frozen=True, slots=True)
class OrderEntry:
    """Turns order requests into commands; ``cash`` is the cash token's address (20 bytes)."""

    directory: Directory
    listings: Listings
    domain: Domain
    cash: bytes

    def command(self, session: Session, method: str, params: dict[str, Any]) -> Command:
        """Return the command of an ``order.place``, ``order.replace`` or ``order.cancel``.

        Raises:
            BadParameters: Reason 706, or 1xx where the order's own field is at fault.
            CommandRefused: 201, 501, 701, 703, 704 or 705.
        """
        given = Parameters(params)
        account, epoch = self._account(session, given)
        listing = self.listings.of_symbol(given.text("symbol"))
        if method == "order.cancel":
            return self._cancel(account, epoch, listing, given)
        kind = Kind.ORDER_PLACE if method == "order.place" else Kind.ORDER_REPLACE
        return self._order(kind, account, epoch, listing, given)

    def _account(self, session: Session, given: Parameters) -> tuple[Account, int]:
        number = given.small("account", low=1)
        epoch = session.epoch_of(number)
        account = self.directory.account(number)
        if account is None:
            raise CommandRefused(f"there is no account {number}", Reason.UNKNOWN_ACCOUNT)
        return account, epoch

    def _cancel(self, account: Account, epoch: int, listing: Listing, given: Parameters) -> Command:
        own_id = _client_id(given, "client_order_id")
        order_id, original = _named_order(given)
        given.finish()
        head = _header(Kind.ORDER_CANCEL, account, epoch, listing, NO_SIDE_DATA)
        record = OrderCancel(head, own_id, original, order_id, 0, 0, 0, 0, 0, 0)
        return Command(listing.shard, encode(record), b"")

    def _order(
        self, kind: Kind, account: Account, epoch: int, listing: Listing, given: Parameters
    ) -> Command:
        own_id = _client_id(given, "client_order_id")
        order_id, original = _named_order(given) if kind == Kind.ORDER_REPLACE else (0, NO_CLIENT_ID)
        time_in_force = given.choice("time_in_force", TIMES_IN_FORCE)
        terms_id = given.small("terms", low=1, high=0xFFFF)
        signature = given.binary("signature", SIGNATURE_BYTES)
        signed = self._signed_fields(account, listing, given)
        given.finish()
        self._check_signature(account, signed, signature)
        record = OrderPlace(
            header=_header(kind, account, epoch, listing, side_digest(signature)),
            client_order_id=own_id,
            original_client_order_id=original,
            order_id=order_id,
            price_ticks=signed.limit_price_ticks,
            quantity_lots=signed.quantity_lots,
            protection_price_ticks=0,
            peak_lots=0,
            minimum_lots=0,
            expiry_ns=0,
            valid_until_ns=signed.valid_until * NANOSECONDS,
            cash_limit_minor=signed.cash_limit_per_lot,
            fee_limit_minor=signed.fee_limit,
            nonce=signed.nonce,
            rfq_id=0,
            revision=signed.version,
            owner=account.owner,
            terms_id=terms_id,
            protection_group=0,
            side=signed.side,
            order_type=OrderType.LIMIT,
            time_in_force=time_in_force,
            self_trade_mode=0,
            flags=OrderFlag.STANDING if signed.kind == KIND_STANDING else 0,
        )
        return Command(listing.shard, encode(record), signature)

    def _signed_fields(self, account: Account, listing: Listing, given: Parameters) -> SignedOrder:
        """What the investor must have signed: the fields of the request, and the venue's own addresses."""
        return SignedOrder(
            account=account.address,
            tranche_token=listing.token,
            cash_token=self.cash,
            side=given.choice("side", SIDES),
            kind=KIND_STANDING if given.flag("standing") else KIND_ONCE,
            quantity_lots=given.whole("quantity", low=1),
            limit_price_ticks=_price_ticks(given, listing),
            cash_limit_per_lot=given.whole("cash_limit"),
            fee_limit=given.whole("fee_limit"),
            valid_until=given.whole("valid_until", high=SECONDS_MAX),
            nonce=given.whole("nonce"),
            version=given.small("version", low=1),
        )

    def _check_signature(self, account: Account, signed: SignedOrder, signature: bytes) -> None:
        try:
            signer = recover_signer(order_digest(self.domain, signed), signature)
        except SignatureError as problem:
            raise CommandRefused(f"signature: {problem}", Reason.WRONG_SIGNATURE) from None
        if signer == account.address:
            return
        if self.directory.account_at(signer) is not None:
            raise CommandRefused("the key of another account signed this order", Reason.WRONG_SIGNATURE)
        raise CommandRefused(
            "the account's key did not sign these fields: another key signed, or over other fields",
            Reason.SIGNED_FIELDS_DIFFER,
        )


def _header(kind: Kind, account: Account, epoch: int, listing: Listing, digest: bytes) -> Header:
    return Header(
        kind, RECORD_VERSION, UNITS[kind], 0, 0, epoch, 0, 0, 0, account.account, listing.tranche, digest
    )


def _price_ticks(given: Parameters, listing: Listing) -> int:
    price = given.text("price", longest=40)
    try:
        return listing.grid.ticks(price)
    except OffGridError as problem:
        raise BadParameters(str(problem), Reason.PRICE_OFF_TICK) from None
    except ValueError as problem:
        raise BadParameters(f"price: {problem}") from None


def _client_id(given: Parameters, name: str) -> bytes:
    text: str = given.client_order_id(name)
    return client_id(text)


def _named_order(given: Parameters) -> tuple[int, bytes]:
    """The order a replace or cancel is about: (order id, zeros) or (0, its client order id)."""
    if given.has("order_id") == given.has("original_client_order_id"):
        raise BadParameters("name the order by either order_id or original_client_order_id")
    if given.has("order_id"):
        return given.whole("order_id", low=1), NO_CLIENT_ID
    return 0, _client_id(given, "original_client_order_id")
