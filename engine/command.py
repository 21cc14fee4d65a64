"""Making commands: one small function per kind, for whoever sends them.

What a function does not ask for is zero in the record. The records are not yet numbered (:func:`numbered`, by
their source) nor stamped (:func:`stamped`, by the shard). Side data (a signature, an admission document) is
given whole; the record binds it by digest, and it travels beside.
"""

from __future__ import annotations

from typing import Any, TypeVar, get_type_hints

from engine.money import Terms
from ext.records import (
    LAYOUTS,
    AccountOpen,
    CashMove,
    Clock,
    EligibilitySet,
    Header,
    Kind,
    OrderCancel,
    OrderPlace,
    OrderType,
    PhaseSet,
    Record,
    SessionOpen,
    SettlementMode,
    SettlementOutcome,
    TermsSet,
    TimeInForce,
    TokensAdjust,
    TrancheList,
    client_id,
    header,
)

RecordT = TypeVar("RecordT", bound=Record)


def _blank(kind: Kind) -> Any:
    hints = get_type_hints(LAYOUTS[kind], include_extras=True)
    codes = (hint.__metadata__[0] for name, hint in hints.items() if name != "header")
    zeros = (bytes(int(code[:-1])) if code.endswith("s") else 0 for code in codes)
    layout: Any = LAYOUTS[kind]
    return layout(header(kind), *zeros)


_BLANKS: dict[Kind, Any] = {kind: _blank(kind) for kind in Kind if kind < Kind.EXECUTION_REPORT}


def _made(head: Header, **fields: Any) -> Any:
    return _BLANKS[Kind(head.kind)]._replace(header=head, **fields)


def _client_id(text: str) -> bytes:
    return client_id(text) if text else bytes(36)


def place(
    account: int,
    tranche: int,
    client_order_id: str,
    *,
    side: int,
    price_ticks: int,
    quantity_lots: int,
    nonce: int,
    valid_until_ns: int,
    cash_limit_minor: int,
    fee_limit_minor: int = 0,
    terms_id: int = 1,
    revision: int = 1,
    time_in_force: int = TimeInForce.GTC,
    order_type: int = OrderType.LIMIT,
    flags: int = 0,
    owner: int = 0,
    session_epoch: int = 0,
    signature: bytes = b"",
) -> OrderPlace:
    """Place a new order; the fields are those of :class:`~ext.records.OrderPlace`."""
    head = header(
        Kind.ORDER_PLACE, account=account, tranche=tranche, session_epoch=session_epoch, side=signature
    )
    order: OrderPlace = _made(
        head,
        client_order_id=_client_id(client_order_id),
        side=side,
        price_ticks=price_ticks,
        quantity_lots=quantity_lots,
        nonce=nonce,
        valid_until_ns=valid_until_ns,
        cash_limit_minor=cash_limit_minor,
        fee_limit_minor=fee_limit_minor,
        terms_id=terms_id,
        revision=revision,
        time_in_force=time_in_force,
        order_type=order_type,
        flags=flags,
        owner=owner,
    )
    return order


def replace(
    placed: OrderPlace,
    client_order_id: str,
    *,
    revision: int,
    order_id: int = 0,
    original_client_order_id: str = "",
    signature: bytes = b"",
    **changes: int,
) -> OrderPlace:
    """Replace an order that was signed as ``placed``: same nonce, next ``revision``, and ``changes``.

    ``changes`` are fields of the record; ``quantity_lots`` is the FIX total. ``order_id`` or
    ``original_client_order_id`` name the order.
    """
    before = placed.header
    head = header(
        Kind.ORDER_REPLACE,
        account=before.account,
        tranche=before.tranche,
        session_epoch=changes.pop("session_epoch", before.session_epoch),
        side=signature,
    )
    return placed._replace(
        header=head,
        client_order_id=_client_id(client_order_id),
        original_client_order_id=_client_id(original_client_order_id),
        order_id=order_id,
        revision=revision,
        **changes,
    )


def cancel(
    account: int,
    tranche: int,
    client_order_id: str,
    *,
    order_id: int = 0,
    original_client_order_id: str = "",
    session_epoch: int = 0,
) -> OrderCancel:
    """Cancel an order by its id or client order id; ``client_order_id`` is the cancel's own."""
    command: OrderCancel = _made(
        header(Kind.ORDER_CANCEL, account=account, tranche=tranche, session_epoch=session_epoch),
        client_order_id=_client_id(client_order_id),
        original_client_order_id=_client_id(original_client_order_id),
        order_id=order_id,
    )
    return command


def session_open(account: int, session_epoch: int) -> SessionOpen:
    """Raise the account's session epoch."""
    return SessionOpen(header(Kind.SESSION_OPEN, account=account, session_epoch=session_epoch))


def account_open(account: int, owner: int) -> AccountOpen:
    """Open an account of a beneficial owner."""
    command: AccountOpen = _made(header(Kind.ACCOUNT_OPEN, account=account), owner=owner)
    return command


def tranche_list(
    tranche: int,
    terms: Terms,
    *,
    document: bytes,
    price_min_ticks: int,
    price_max_ticks: int,
    quantity_max_lots: int,
    reference_price_ticks: int = 0,
    currency: int = 1,
    mode: int = SettlementMode.LOCKED,
    maker_fee_e6: int = 0,
    taker_fee_e6: int = 0,
) -> TrancheList:
    """List a tranche with its first terms; ``document`` is its admission document, the side data."""
    command: TrancheList = _made(
        header(Kind.TRANCHE_LIST, tranche=tranche, side=document),
        currency=currency,
        terms_id=terms.terms_id,
        value_date=terms.value_date,
        tick_value_e9=terms.tick_value_e9,
        factor_e9=terms.factor_e9,
        accrued_e9_per_lot=terms.accrued_e9_per_lot,
        price_min_ticks=price_min_ticks,
        price_max_ticks=price_max_ticks,
        quantity_max_lots=quantity_max_lots,
        reference_price_ticks=reference_price_ticks,
        mode=mode,
        maker_fee_e6=maker_fee_e6,
        taker_fee_e6=taker_fee_e6,
    )
    return command


def terms_set(tranche: int, terms: Terms) -> TermsSet:
    """Set new terms of a tranche."""
    command: TermsSet = _made(
        header(Kind.TERMS_SET, tranche=tranche),
        terms_id=terms.terms_id,
        value_date=terms.value_date,
        tick_value_e9=terms.tick_value_e9,
        factor_e9=terms.factor_e9,
        accrued_e9_per_lot=terms.accrued_e9_per_lot,
    )
    return command


def phase_set(tranche: int, phase: int) -> PhaseSet:
    """Change the phase of a tranche."""
    command: PhaseSet = _made(header(Kind.PHASE_SET, tranche=tranche), phase=phase)
    return command


def eligibility_set(
    account: int, tranche: int, *, eligible: bool, country: int = 0, until_ns: int = 0
) -> EligibilitySet:
    """Say whether the account may hold the tranche, until when (0: no end); ``country`` is ISO 3166-1."""
    command: EligibilitySet = _made(
        header(Kind.ELIGIBILITY_SET, account=account, tranche=tranche),
        eligible=int(eligible),
        country=country,
        until_ns=until_ns,
    )
    return command


def cash_allot(
    account: int, amount_minor: int, *, transfer: int, elsewhere_minor: int = 0, currency: int = 1
) -> CashMove:
    """Give the shard ``amount_minor`` of the account's cash."""
    return _cash_move(Kind.CASH_ALLOT, account, amount_minor, transfer, elsewhere_minor, currency)


def cash_recall(
    account: int, amount_minor: int, *, transfer: int, elsewhere_minor: int = 0, currency: int = 1
) -> CashMove:
    """Ask the shard to give back up to ``amount_minor`` of the account's free cash."""
    return _cash_move(Kind.CASH_RECALL, account, amount_minor, transfer, elsewhere_minor, currency)


def _cash_move(
    kind: Kind, account: int, amount_minor: int, transfer: int, elsewhere_minor: int, currency: int
) -> CashMove:
    command: CashMove = _made(
        header(kind, account=account),
        currency=currency,
        transfer=transfer,
        amount_minor=amount_minor,
        elsewhere_minor=elsewhere_minor,
    )
    return command


def tokens_adjust(
    account: int,
    tranche: int,
    delta_lots: int,
    *,
    chain_block: int = 0,
    chain_log: int = 0,
    of_fill: int = 0,
) -> TokensAdjust:
    """Say that the account's locked tokens changed on chain by ``delta_lots``; ``of_fill`` is the fill that
    brought lots unlocked."""
    command: TokensAdjust = _made(
        header(Kind.TOKENS_ADJUST, account=account, tranche=tranche),
        delta_lots=delta_lots,
        chain_block=chain_block,
        chain_log=chain_log,
        of_fill=of_fill,
    )
    return command


def settlement_final(tranche: int, fill_number: int, *, batch: int = 0) -> SettlementOutcome:
    """Say that a fill is final on chain."""
    command: SettlementOutcome = _made(
        header(Kind.SETTLEMENT_FINAL, tranche=tranche), fill_number=fill_number, batch=batch
    )
    return command


def settlement_failed(
    tranche: int, fill_number: int, *, batch: int = 0, reason: int = 0
) -> SettlementOutcome:
    """Say that a fill will never settle, and why."""
    command: SettlementOutcome = _made(
        header(Kind.SETTLEMENT_FAILED, tranche=tranche), fill_number=fill_number, batch=batch, reason=reason
    )
    return command


def clock() -> Clock:
    """Say that time passed."""
    return Clock(header(Kind.CLOCK))


def numbered(record: RecordT, source: int, incarnation: int, number: int) -> RecordT:
    """The command as its source sends it."""
    head = record.header._replace(source=source, incarnation=incarnation, number=number)
    numbered_record: Any = record._replace(header=head)
    return numbered_record  # type: ignore[no-any-return]


def stamped(record: RecordT, sequence: int, time_ns: int) -> RecordT:
    """The command as the shard journals it."""
    head = record.header._replace(sequence=sequence, time_ns=time_ns)
    stamped_record: Any = record._replace(header=head)
    return stamped_record  # type: ignore[no-any-return]
