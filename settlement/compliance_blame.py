"""Whom a tranche's compliance rules refuse, when a batch reverts with ``ComplianceRefused``.

The refused transfer is a netted one: its sender and receiver need not have traded with each other, and at
most one of them may be at fault. So the rules are asked about each of them with everybody else in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.reasons import Reason
from engine.settlement_batch import FillFact
from settlement.chain import Call, Chain
from settlement.contract_abi import ContractName, contract_abi
from settlement.dvp_calldata import Refusal
from settlement.errors import ChainRefusedError
from settlement.isolation import Blame

COMPLIANCE_REFUSED: Final = "ComplianceRefused"


async def blame_compliance(chain: Chain, refusal: Refusal, fills: Sequence[FillFact]) -> Blame | None:
    """Say which of a batch's fills the rules refuse, on the newest state; None where they do not tell.

    A receiver refused from everybody loses its buys, a sender refused to everybody its sells; where neither
    is, the rule is about the two together, and what they traded with each other is to blame.
    """
    sender, receiver, lots = (refusal.arguments[name] for name in ("from", "to", "lots"))
    accounts = {order.account for fill in fills for order in (fill.buy, fill.sell)}
    to_receiver = [(other, receiver, lots) for other in sorted(accounts - {receiver})]
    from_sender = [(sender, other, lots) for other in sorted(accounts - {sender})]
    try:
        allowed = await _allowed(chain, fills[0].buy.tranche_token, to_receiver + from_sender)
    except ChainRefusedError:
        return None
    no_buyer, no_seller = not any(allowed[: len(to_receiver)]), not any(allowed[len(to_receiver) :])
    at_fault = frozenset(
        fill.fill_number
        for fill in fills
        if (no_buyer and fill.buy.account == receiver)
        or (no_seller and fill.sell.account == sender)
        or (fill.buy.account == receiver and fill.sell.account == sender)
    )
    return Blame(at_fault, Reason.COMPLIANCE_REFUSED_ON_CHAIN) if at_fault else None


async def _allowed(chain: Chain, token: bytes, transfers: Sequence[tuple[bytes, bytes, int]]) -> list[bool]:
    """Whether the rules of a token would take each of these transfers (sender, receiver, lots)."""
    token_abi = contract_abi(ContractName.TRANCHE_TOKEN)
    rules_abi = contract_abi(ContractName.COUNTRY_COMPLIANCE)
    rules = token_abi.result(
        "compliance", (await chain.calls([Call(token, token_abi.call("compliance"))]))[0]
    )
    answers = await chain.calls(
        [Call(rules, rules_abi.call("canTransfer", *transfer)) for transfer in transfers]
    )
    return [bool(rules_abi.result("canTransfer", answer)) for answer in answers]
