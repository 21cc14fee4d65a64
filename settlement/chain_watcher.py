"""The chain watcher: what happens to the venue's accounts on chain becomes commands to the engine.

Final blocks are read once: their events, the position, and every command they cause are written in one
transaction. Blocks above are read again and again for what they would take away; an event that is there no
longer is marked gone, and what was told because of it is told back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import asyncpg
import structlog

from engine.database import Database
from settlement.chain import Block, Chain, Log
from settlement.chain_events import EventName, WatchedContract, account_events, without_deliveries
from settlement.contract_abi import ContractName
from settlement.countries import Registration, registered_countries
from settlement.errors import DeepReorganisationError
from settlement.finality import final_block
from settlement.settlement_config import SettlementConfig
from settlement.telling import CASH, Subject, lapsed_subjects, subjects_to_tell_again, take_refusals, tell
from settlement.watch_position import Position, read_positions, write_position

_log = structlog.get_logger()

BLOCKS_AT_ONCE: Final = 2_000


class ChainWatcher:
    """Watches vault, tokens and registries; ``round`` takes everything in that is there now."""

    def __init__(self, database: Database, chain: Chain, config: SettlementConfig) -> None:
        self._database = database
        self._chain = chain
        self._config = config
        self._seen: tuple[bytes, list[WatchedContract]] | None = None

    async def round(self) -> int:
        """Do one round; returns how many events were new and commands written.

        Raises ChainUnavailableError when the node does not answer, DeepReorganisationError when the chain has
        lost a block that was final.
        """
        async with self._database.connection() as connection:
            contracts = await self._contracts(connection)
            positions = await read_positions(connection)
        head, final = await self._head_and_final()
        news = 0
        if (head.hash, contracts) != self._seen:
            news = await self._read_chain(contracts, positions, head, final)
            self._seen = (head.hash, contracts)
        return news + await self._tell_again(final)

    async def _read_chain(
        self, contracts: list[WatchedContract], positions: dict[str, Position], head: Block, final: int
    ) -> int:
        """Take in what is on the chain now; returns how many events were new and commands written."""
        news = 0
        for position, group in _by_position(contracts, positions, self._config.first_block - 1).items():
            if position < final:
                news += await self._take_final(group, position, final, positions)
        return news + await self._take_seen(contracts, final, head.number)

    async def _contracts(self, connection: asyncpg.Connection) -> list[WatchedContract]:
        """The vault, and token and registry of every listed tranche."""
        watched = [WatchedContract(self._config.deployment.vault, ContractName.VAULT, CASH)]
        for row in await connection.fetch("select tranche, document from engine.tranche order by tranche"):
            document = json.loads(row["document"])
            for name, kind in (
                ("token", ContractName.TRANCHE_TOKEN),
                ("registry", ContractName.IDENTITY_REGISTRY),
            ):
                address = bytes.fromhex(document[name].removeprefix("0x"))
                watched.append(WatchedContract(address, kind, row["tranche"]))
        return watched

    async def _head_and_final(self) -> tuple[Block, int]:
        rule = self._config.finality
        head = await self._chain.head()
        finalized = await self._chain.finalized() if rule.asks_the_chain else None
        return head, final_block(rule, head.number, finalized.number if finalized else None)

    async def _take_final(
        self, group: Sequence[WatchedContract], after: int, final: int, positions: dict[str, Position]
    ) -> int:
        """Take the final blocks after a position into the tables, a stretch in each transaction."""
        await self._check_lineage(positions.get(_reader(group[0])))
        news = 0
        while after < final:
            last = min(after + BLOCKS_AT_ONCE, final)
            logs = await self._chain.logs([contract.address for contract in group], after + 1, last)
            countries = await registered_countries(self._chain, group, logs, final)
            block = (await self._chain.blocks([last]))[0]
            if block is None:
                return news
            async with self._database.transaction() as connection:
                news += await self._write_final(connection, group, logs, block, countries)
            after = last
        return news

    async def _check_lineage(self, position: Position | None) -> None:
        """Raise DeepReorganisationError when the block of a position is not on the chain any more."""
        if position is None:
            return
        block = (await self._chain.blocks([position.block_number]))[0]
        if block is None or block.hash != position.block_hash:
            raise DeepReorganisationError(f"the chain has lost its final block {position.block_number}")

    async def _write_final(
        self,
        connection: asyncpg.Connection,
        group: Sequence[WatchedContract],
        logs: Sequence[Log],
        block: Block,
        countries: Mapping[Registration, int],
    ) -> int:
        addresses = [contract.address for contract in group]
        concerned = await self._store(connection, group, without_deliveries(logs), countries, "final")
        for row in await connection.fetch(_MARK_GONE, addresses, block.number):
            _log.warning("event gone", name=row["name"], tranche=row["tranche"])
            concerned.add((row["address"], row["tranche"]))
        concerned.update(await self._lapsed(connection, group, block))
        for contract in group:
            position = Position(block.number, block.hash, block.timestamp)
            await write_position(connection, _reader(contract), position)
        return await tell(connection, concerned, block.timestamp) + len(logs)

    async def _lapsed(
        self, connection: asyncpg.Connection, group: Sequence[WatchedContract], block: Block
    ) -> list[Subject]:
        """Whose request lapsed since the group's last position."""
        before = await connection.fetchval(
            "select min(block_time) from settlement.watch_position where reader = any($1)",
            [_reader(contract) for contract in group],
        )
        return await lapsed_subjects(connection, before or 0, block.timestamp)

    async def _take_seen(self, contracts: Sequence[WatchedContract], final: int, head: int) -> int:
        """Look at the blocks that are not final: store what is new there, mark what is gone from there."""
        addresses = [contract.address for contract in contracts]
        every = await self._chain.logs(addresses, final + 1, head) if head > final else []
        logs = without_deliveries(every)
        places = {(log.block_hash, log.log_index) for log in logs}
        async with self._database.connection() as connection:
            stored = await connection.fetch(
                "select distinct block_hash, log_index from settlement.chain_event"
                " where state = 'seen' and block_number > $1",
                final,
            )
        known = {(row["block_hash"], row["log_index"]) for row in stored}
        fresh = [log for log in logs if (log.block_hash, log.log_index) not in known]
        gone = known - places
        if not fresh and not gone:
            return 0
        countries = await registered_countries(self._chain, contracts, fresh, head)
        async with self._database.transaction() as connection:
            concerned = await self._store(connection, contracts, fresh, countries, "seen")
            for block_hash, log_index in gone:
                for row in await connection.fetch(_MARK_ONE_GONE, block_hash, log_index):
                    concerned.add((row["address"], row["tranche"]))
            return await tell(connection, concerned, await _final_time(connection)) + len(concerned)

    async def _store(
        self,
        connection: asyncpg.Connection,
        group: Sequence[WatchedContract],
        logs: Iterable[Log],
        countries: Mapping[Registration, int],
        state: str,
    ) -> set[Subject]:
        """Store what logs say of accounts; returns whom they concern."""
        by_address = {contract.address: contract for contract in group}
        concerned: set[Subject] = set()
        for log in logs:
            contract = by_address[log.address]
            for event in account_events(contract, log, self._config.deployment.cash):
                is_registered = event.name == EventName.IDENTITY_REGISTERED
                amount = countries[log.address, event.address] if is_registered else event.amount
                await connection.execute(
                    _STORE, log.block_hash, log.log_index, log.block_number, log.transaction_hash,
                    log.address, str(event.name), contract.tranche, event.address, amount, event.until_s,
                    state,
                )  # fmt: skip
                concerned.add((event.address, contract.tranche))
        return concerned

    async def _tell_again(self, final: int) -> int:
        """Read refusals, and tell again what was refused or had no account until now."""
        async with self._database.transaction() as connection:
            await take_refusals(connection)
        async with self._database.connection() as connection:
            again = await subjects_to_tell_again(connection)
        if not again or final < 0:
            return 0
        async with self._database.transaction() as connection:
            return await tell(connection, again, await _final_time(connection))


def _reader(contract: WatchedContract) -> str:
    """Name of a contract's position."""
    return "0x" + contract.address.hex()


def _by_position(
    contracts: Iterable[WatchedContract], positions: dict[str, Position], before_first: int
) -> dict[int, list[WatchedContract]]:
    """The contracts by the block they were read up to, so that one request reads on for all of a group."""
    groups: dict[int, list[WatchedContract]] = {}
    for contract in contracts:
        position = positions.get(_reader(contract))
        groups.setdefault(position.block_number if position else before_first, []).append(contract)
    return groups


async def _final_time(connection: asyncpg.Connection) -> int:
    """Time of the newest final block taken in, unix seconds."""
    found: Any = await connection.fetchval(
        "select max(block_time) from settlement.watch_position where reader like '0x%'"
    )
    return found or 0


_STORE: Final = """
insert into settlement.chain_event (block_hash, log_index, block_number, transaction_hash, contract, name,
    tranche, address, amount, until_s, state)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (block_hash, log_index, address) do update set state = excluded.state, amount = excluded.amount
"""

_MARK_GONE: Final = """
update settlement.chain_event set state = 'gone'
where contract = any($1) and state = 'seen' and block_number <= $2
returning address, tranche, name
"""

_MARK_ONE_GONE: Final = """
update settlement.chain_event set state = 'gone' where block_hash = $1 and log_index = $2 and state = 'seen'
returning address, tranche
"""
