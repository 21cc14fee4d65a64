"""Whom compliance refuses: the parties are tried, and nobody else fails."""

from collections.abc import Callable, Sequence
from typing import Any

from eth_abi.abi import decode, encode

from engine.reasons import Reason
from engine.settlement_batch import FillFact
from engine.signed_order import KIND_STANDING, SIDE_BUY, SIDE_SELL, SignedOrder
from settlement.chain import Call
from settlement.compliance_blame import blame_compliance
from settlement.dvp_calldata import Refusal
from settlement.errors import ChainRefusedError
from settlement.isolation import Blame

TOKEN, RULES = b"\x0a" * 20, b"\x0b" * 20
Rule = Callable[[int, int], bool]


class Rules:
    """A chain with a token whose rules are a function of sender and receiver."""

    def __init__(self, allows: Rule) -> None:
        self._allows = allows

    async def calls(self, calls: Sequence[Call]) -> list[bytes]:
        return [self._answer(call) for call in calls]

    def _answer(self, call: Call) -> bytes:
        if call.to == TOKEN:
            return encode(["address"], [RULES])
        assert call.to == RULES
        sender, receiver, _ = decode(["address", "address", "uint256"], call.data[4:])
        return encode(["bool"], [self._allows(int(sender[-2:], 16), int(receiver[-2:], 16))])


def order(account: int, side: int) -> SignedOrder:
    return SignedOrder(
        bytes([account]) * 20, TOKEN, bytes(20), side, KIND_STANDING, 100, 0, 0, 0, 0, account, 1
    )


def fill(number: int, buyer: int, seller: int) -> FillFact:
    return FillFact(number, 1, 1, 0, 1, order(buyer, SIDE_BUY), order(seller, SIDE_SELL))


FILLS = [fill(1, 1, 3), fill(2, 2, 3), fill(3, 1, 4), fill(4, 2, 4)]


async def blamed(allows: Rule, sender: int, receiver: int, fills: Sequence[FillFact] = FILLS) -> Blame | None:
    arguments: dict[str, Any] = {"from": bytes([sender]) * 20, "to": bytes([receiver]) * 20, "lots": 2}
    return await blame_compliance(Rules(allows), Refusal("ComplianceRefused", arguments), fills)  # type: ignore[arg-type]


def of(*fills: int) -> Blame:
    return Blame(frozenset(fills), Reason.COMPLIANCE_REFUSED_ON_CHAIN)


async def test_a_receiver_refused_from_everybody_loses_its_buys() -> None:
    assert await blamed(lambda _, receiver: receiver != 1, 3, 1) == of(1, 3)


async def test_a_sender_refused_to_everybody_loses_its_sells() -> None:
    assert await blamed(lambda sender, _: sender != 4, 4, 1) == of(3, 4)


async def test_two_who_may_not_trade_with_each_other_lose_what_they_traded() -> None:
    assert await blamed(lambda *pair: pair != (4, 1), 4, 1) == of(3)


async def test_two_alone_lose_what_goes_the_refused_way() -> None:
    both_ways = [fill(1, 1, 3), fill(2, 3, 1)]
    assert await blamed(lambda *pair: pair != (3, 1), 3, 1, both_ways) == of(1)


async def test_a_refusal_of_two_who_only_met_by_netting_tells_nothing() -> None:
    fills = [fill(1, 2, 3), fill(2, 1, 2), fill(3, 1, 4)]
    assert await blamed(lambda *pair: pair != (3, 1), 3, 1, fills) is None


async def test_rules_that_cannot_be_asked_tell_nothing() -> None:
    def unanswered(sender: int, receiver: int) -> bool:
        raise ChainRefusedError(3, "execution reverted")

    assert await blamed(unanswered, 3, 1) is None
