"""``admin.*``: acts of administrators, over :mod:`engine.administration`, and the venue's status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from engine.administration import ROLES, Administration, AdministrationError
from engine.answer import SentCommand
from engine.database import Database
from engine.settlement_facts import SettlementFacts
from ext.records import PhaseChanged, Record, Refused
from gateway.errors import BadParameters, CommandRefused, OutcomeUnknown
from gateway.listing import Listings
from gateway.protocol import Parameters
from gateway.record_lag import POLL_S
from gateway.session import Session
from gateway.wire_events import phase_changed, refusal
from gateway.words import PHASES

ANSWER_S: Final = 10.0
ACCOUNTS_MAX: Final = 10_000

_SHARDS: Final = """
select l.shard, l.epoch, l.address, l.last_row as rows,
       coalesce(j.last_event, 0) as events, coalesce(p.event, 0) as projected
from engine.lease l
left join engine.projector_position p using (shard)
left join lateral (
    select last_event from engine.journal where shard = l.shard order by row desc limit 1
) j on true
order by l.shard"""

_BATCHES: Final = "select status, count(*) as count from settlement.batch group by status"
_FILLS: Final = "select status, count(*) as count from settlement.instruction group by status"
_OLDEST: Final = """
select (extract(epoch from now()) * 1e9)::bigint - min(matched_at_ns) from settlement.instruction
where status not in ('final', 'failed')"""
_BREAKS: Final = "select count(*) from settlement.reconciliation_break where cleared_at is null"
_RECONCILED: Final = """
select block_number, (extract(epoch from clock_timestamp() - as_of) * 1000)::bigint as age_ms
from settlement.reconciliation_run where complete order by run desc limit 1"""
_UNDECIDED: Final = """
select kind, subject, runs from settlement.reconciliation_undecided
order by runs desc, kind, subject limit 20"""


class AdminMethods:
    """The administrators' methods; each takes the session and the request's parameters.

    Refusals of :mod:`engine.administration` and of the shards become CommandRefused with their reason.
    ``settlement`` is what a tranche must settle in; ``learn`` refreshes the directory behind ``listings``.
    """

    def __init__(
        self,
        database: Database,
        listings: Listings,
        settlement: SettlementFacts,
        learn: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._listings = listings
        self._settlement = settlement
        self._learn = learn
        self._administration = Administration(database)

    async def account_open(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        """``admin.account.open``: idempotent on the address."""
        given = Parameters(params)
        address, owner = given.binary("address", 20), given.small("owner", None, low=1, high=2**31 - 1)
        given.finish()
        try:
            opened = await self._administration.open_account(address, owner, actor=session.identity.login)
        except AdministrationError as problem:
            raise CommandRefused(str(problem), problem.reason) from None
        for sent in opened.sent:
            await self._answer(sent)
        await self._learn()
        return {"account": opened.account}

    async def participant_set(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        """``admin.participant.set``: who may log on, by which key, for which accounts, in which role."""
        given = Parameters(params)
        login, credential = given.text("login"), given.binary("credential", 20)
        accounts = _accounts(given)
        role = given.choice("role", {role: role for role in ROLES})
        given.finish()
        try:
            await self._administration.set_participant(
                login, credential, accounts, role, actor=session.identity.login
            )
        except AdministrationError as problem:
            raise CommandRefused(str(problem), problem.reason) from None
        await self._learn()
        return {}

    async def tranche_list(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        """``admin.tranche.list``: idempotent on symbol and document."""
        given = Parameters(params)
        document = given.value("document")
        given.finish()
        if not isinstance(document, dict):
            raise BadParameters("document must be an object")
        try:
            listed = await self._administration.list_tranche(
                document, self._settlement, actor=session.identity.login
            )
        except AdministrationError as problem:
            raise CommandRefused(str(problem), problem.reason) from None
        if listed.sent is not None:
            await self._answer(listed.sent)
        await self._until_listed(listed.tranche)
        return {"tranche": listed.tranche, "shard": listed.shard}

    async def phase_set(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        """``admin.phase.set``: answers with the phase entered, and after an uncross with the auction."""
        given = Parameters(params)
        symbol, phase = given.text("symbol"), given.choice("phase", PHASES)
        given.finish()
        try:
            sent = await self._administration.set_phase(symbol, phase, actor=session.identity.login)
        except AdministrationError as problem:
            raise CommandRefused(str(problem), problem.reason) from None
        for event in await self._answer(sent):
            if isinstance(event, PhaseChanged):
                await self._until_listed(event.header.tranche)
                return phase_changed(event, self._listings.of_symbol(symbol))
        return {"symbol": symbol, "phase": phase.name.lower()}

    async def _until_listed(self, tranche: int) -> None:
        """Wait until this gateway knows the tranche with its terms, so that whoever is told may trade
        it.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                while True:
                    listing = self._listings.get(tranche)
                    if listing is not None and listing.terms is not None:
                        return
                    await asyncio.sleep(POLL_S)
                    await self._learn()
        except TimeoutError:
            raise OutcomeUnknown("done, but the records are behind") from None

    async def _answer(self, sent: SentCommand) -> list[Record]:
        try:
            events = await self._administration.wait_for(sent, timeout_seconds=ANSWER_S)
        except TimeoutError:
            raise OutcomeUnknown(f"shard {sent.shard} has not answered; it will be done there") from None
        if isinstance(events[0], Refused):
            raise refusal(events[0])
        return events

    async def status(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        """``admin.status``: how shards, records, batches and fills stand."""
        Parameters(params).finish()
        async with self._database.connection() as connection:
            shards = [dict(row) for row in await connection.fetch(_SHARDS)]
            batches = {row["status"]: row["count"] for row in await connection.fetch(_BATCHES)}
            fills = {row["status"]: row["count"] for row in await connection.fetch(_FILLS)}
            oldest_ns = await connection.fetchval(_OLDEST)
            breaks = await connection.fetchval(_BREAKS)
            reconciled = await connection.fetchrow(_RECONCILED)
            undecided = [dict(row) for row in await connection.fetch(_UNDECIDED)]
        for shard in shards:
            shard["projector_lag"] = shard["events"] - shard.pop("projected")
        return {
            "shards": shards,
            "batches": batches,
            "fills": fills,
            "oldest_unsettled_ms": None if oldest_ns is None else max(0, oldest_ns // 1_000_000),
            "fails": fills.get("failed", 0),
            "breaks": breaks,
            "reconciled_block": reconciled["block_number"] if reconciled else None,
            "reconciled_age_ms": reconciled["age_ms"] if reconciled else None,
            "undecided": undecided,
        }


def _accounts(given: Parameters) -> list[int]:
    accounts = given.value("accounts")
    whole = isinstance(accounts, list) and all(type(each) is int and 0 < each < 2**31 for each in accounts)
    if not whole or len(accounts) > ACCOUNTS_MAX:
        raise BadParameters(f"accounts must be an array of at most {ACCOUNTS_MAX} account numbers")
    return list(accounts)
