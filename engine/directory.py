"""Who is who and what is what: accounts, participants and tranches, read from PostgreSQL into typed caches.

The tables are the truth; a cache is as old as its last :meth:`Directory.refresh`, which
:meth:`Directory.follow` repeats at every ``engine_directory`` notification and now and then without one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from engine.money import Terms

CHANNEL: Final = "engine_directory"
_REFRESH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Account:
    """A numeric account, its 20-byte address on chain, its beneficial owner, and the epoch of its latest
    log-on.
    """

    account: int
    address: bytes
    owner: int
    session_epoch: int


@dataclass(frozen=True, slots=True)
class Participant:
    """Who may log on: ``credential`` is the 20-byte address whose key signs the challenge, ``accounts`` those
    it acts for.
    """

    login: str
    credential: bytes
    role: str
    accounts: frozenset[int]

    @property
    def is_administrator(self) -> bool:
        """Whether the participant may administer the venue."""
        return self.role == "administrator"


@dataclass(frozen=True, slots=True)
class Tranche:
    """A listed tranche: its number, symbol and shard, the admission document, and the terms its shard
    applied, by id.
    """

    tranche: int
    symbol: str
    shard: int
    document: Mapping[str, Any]
    terms: Mapping[int, Terms]

    @property
    def latest_terms(self) -> Terms | None:
        """The terms applied last; None until the shard has applied the listing."""
        return self.terms[max(self.terms)] if self.terms else None


class Directory:
    """Caches of the directory's tables; look-ups give None for what is not there."""

    def __init__(self) -> None:
        """Make an empty directory; :meth:`refresh` fills it."""
        self.accounts: Mapping[int, Account] = {}
        self.accounts_by_address: Mapping[bytes, Account] = {}
        self.participants: Mapping[str, Participant] = {}
        self.tranches: Mapping[int, Tranche] = {}
        self.tranches_by_symbol: Mapping[str, Tranche] = {}
        self.shards: tuple[int, ...] = ()
        self._refreshing = asyncio.Lock()

    def account(self, account: int) -> Account | None:
        """The account of that number."""
        return self.accounts.get(account)

    def account_at(self, address: bytes) -> Account | None:
        """The account bound to a 20-byte address."""
        return self.accounts_by_address.get(address)

    def participant(self, login: str) -> Participant | None:
        """The participant of that login."""
        return self.participants.get(login)

    def tranche(self, tranche: int) -> Tranche | None:
        """The tranche of that number."""
        return self.tranches.get(tranche)

    def tranche_of(self, symbol: str) -> Tranche | None:
        """The tranche of that symbol."""
        return self.tranches_by_symbol.get(symbol)

    async def refresh(self, connection: asyncpg.Connection) -> None:
        """Read all tables anew, as of one moment, and swap the caches at once.

        Refreshes follow each other, so that no older reading replaces a newer one.
        """
        async with self._refreshing:
            await self._refresh(connection)

    async def _refresh(self, connection: asyncpg.Connection) -> None:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            accounts = await read_accounts(connection)
            participants = await read_participants(connection)
            tranches = await read_tranches(connection)
            shards = await connection.fetch("select shard from engine.lease order by shard")
        self.accounts = {account.account: account for account in accounts}
        self.accounts_by_address = {account.address: account for account in accounts}
        self.participants = {participant.login: participant for participant in participants}
        self.tranches = {tranche.tranche: tranche for tranche in tranches}
        self.tranches_by_symbol = {tranche.symbol: tranche for tranche in tranches}
        self.shards = tuple(row["shard"] for row in shards)

    async def follow(
        self, connection: asyncpg.Connection, *, every_seconds: float = _REFRESH_SECONDS
    ) -> None:
        """Refresh at once and then at every notification until cancelled; ``connection`` is used for nothing
        else meanwhile.

        Raises what asyncpg raises when the connection is lost; the caches stay as they are.
        """
        changed = asyncio.Event()

        def on_change(*_: object) -> None:
            changed.set()

        await connection.add_listener(CHANNEL, on_change)
        try:
            while True:
                changed.clear()
                await self.refresh(connection)
                with suppress(TimeoutError):
                    async with asyncio.timeout(every_seconds):
                        await changed.wait()
        finally:
            if not connection.is_closed():
                await connection.remove_listener(CHANNEL, on_change)


async def notify_directory(connection: asyncpg.Connection) -> None:
    """Say, when the caller's transaction commits, that a row of the directory was written."""
    await connection.execute("select pg_notify($1, '')", CHANNEL)


async def read_accounts(connection: asyncpg.Connection) -> list[Account]:
    """All accounts, by number."""
    rows = await connection.fetch(
        "select account, address, owner, session_epoch from engine.account order by account"
    )
    return [Account(**row) for row in rows]


async def read_participants(connection: asyncpg.Connection) -> list[Participant]:
    """All participants, by login."""
    rows = await connection.fetch(
        "select login, credential, role, accounts from engine.participant order by login"
    )
    return [
        Participant(row["login"], row["credential"], row["role"], frozenset(row["accounts"])) for row in rows
    ]


async def read_tranches(connection: asyncpg.Connection) -> list[Tranche]:
    """All tranches with their terms, by number."""
    terms: dict[int, dict[int, Terms]] = {}
    for row in await connection.fetch("select * from engine.terms order by tranche, terms_id"):
        values = dict(row)
        tranche = values.pop("tranche")
        terms.setdefault(tranche, {})[row["terms_id"]] = Terms(**values)
    rows = await connection.fetch(
        "select tranche, symbol, shard, document::text from engine.tranche order by tranche"
    )
    return [
        Tranche(
            row["tranche"],
            row["symbol"],
            row["shard"],
            json.loads(row["document"]),
            terms.get(row["tranche"], {}),
        )
        for row in rows
    ]
