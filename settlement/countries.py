"""Of which country the registry says an investor is: its event of a registration does not tell.

Read at the block that decides: a final one for what is final, so that no reorganisation can take the answer
back. What changed between the registration and that block is told again by events that follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from settlement.chain import Call, Chain, Log
from settlement.chain_events import EventName, WatchedContract, account_events
from settlement.contract_abi import ContractName, contract_abi

Registration = tuple[bytes, bytes]
"""(registry, investor), addresses."""


async def registered_countries(
    chain: Chain, contracts: Iterable[WatchedContract], logs: Sequence[Log], block_number: int
) -> Mapping[Registration, int]:
    """ISO 3166-1 numeric country, after a block, of everyone whom these logs register; 0 for one who is not
    registered then.

    Raises ChainUnavailableError, ChainRefusedError.
    """
    abi = contract_abi(ContractName.IDENTITY_REGISTRY)
    registries = {each.address: each for each in contracts if each.kind == ContractName.IDENTITY_REGISTRY}
    registered = sorted(
        {
            (log.address, event.address)
            for log in logs
            if log.address in registries
            for event in account_events(registries[log.address], log, b"")
            if event.name == EventName.IDENTITY_REGISTERED
        }
    )
    calls = [Call(registry, abi.call("investorCountry", investor)) for registry, investor in registered]
    answers = await chain.calls(calls, block_number)
    found = (int(abi.result("investorCountry", answer)) for answer in answers)
    return dict(zip(registered, found, strict=True))
