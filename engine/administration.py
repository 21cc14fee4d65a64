"""What administrators do to the venue: open accounts, admit participants, list tranches, set phases and
terms.

Each act is one transaction: the rows it makes, its commands in the outbox of source ``administration``, and a
line in ``engine.administration_act`` saying who did it. The shards hear of it when the ledger process sends
the outbox; :meth:`Administration.wait_for` waits for their answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from engine.admission import AdmissionError, Admitted, admit
from engine.answer import SentCommand, last_journal_row, wait_for
from engine.command import account_open, phase_set, terms_set
from engine.command_outbox import commands_above, enqueue, outbox_source
from engine.database import Database
from engine.directory import notify_directory
from engine.money import Terms
from engine.reasons import Reason
from engine.settlement_facts import SettlementFacts
from ext.records import AccountOpen, Phase, Record, Sourced, decode, encode

SOURCE_NAME: Final = "administration"
ROLES: Final = ("participant", "administrator")
_LOCK: Final = 0x0B0C_AD31
_EVERY_COMMAND: Final = 2**31 - 1


class AdministrationError(ValueError):
    """An act was refused and changed nothing; ``reason`` is its number."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class OpenedAccount(NamedTuple):
    """An account, and the commands that open it in the shards (none if it was there already)."""

    account: int
    sent: list[SentCommand]


class ListedTranche(NamedTuple):
    """A tranche, its shard, and the command that lists it there (None if it was listed already)."""

    tranche: int
    shard: int
    sent: SentCommand | None


class Administration:
    """The acts, on one database; ``actor`` says in whose name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_account(self, address: bytes, owner: int | None = None, *, actor: str) -> OpenedAccount:
        """Open the account of a 20-byte address in every shard; idempotent on the address.

        ``owner`` is the number of the beneficial owner; None makes the account its own.

        Raises:
            AdministrationError: The address is none, or its account has another owner.
        """
        if len(address) != 20:
            raise AdministrationError(Reason.BAD_PARAMETERS, f"an address has 20 bytes, not {len(address)}")
        async with self._database.transaction() as connection:
            await _lock(connection)
            found = await connection.fetchrow(_ACCOUNT_AT, address)
            if found is not None:
                _check_owner(found["owner"], owner, found["account"])
                return OpenedAccount(found["account"], [])
            account, owner = await connection.fetchrow(_OPEN_ACCOUNT, address, owner)
            sent = await _send_to_all(connection, account, owner, actor)
            await _record(
                connection, actor, "open account", account=account, address=address.hex(), owner=owner
            )
            await notify_directory(connection)
        return OpenedAccount(account, sent)

    async def set_participant(
        self, login: str, credential: bytes, accounts: Sequence[int], role: str = "participant", *, actor: str
    ) -> None:
        """Say who may log on as ``login``: the key of address ``credential``, for these accounts, in this
        role.

        Raises:
            AdministrationError: The login is empty, the credential no address, the role or an account
            unknown.
        """
        if not login or len(credential) != 20 or role not in ROLES:
            raise AdministrationError(Reason.BAD_PARAMETERS, f"login, 20-byte credential, role of {ROLES}")
        async with self._database.transaction() as connection:
            await _check_accounts(connection, accounts)
            await connection.execute(_SET_PARTICIPANT, login, credential, role, sorted(set(accounts)))
            detail = {
                "login": login,
                "credential": credential.hex(),
                "role": role,
                "accounts": list(accounts),
            }
            await _record(connection, actor, "set participant", **detail)
            await notify_directory(connection)

    async def list_tranche(
        self, document: Mapping[str, Any], venue: SettlementFacts, *, actor: str
    ) -> ListedTranche:
        """Admit a tranche by its document and list it in the shard with the fewest; idempotent on symbol and
        document. ``venue`` says what the tranche must settle in.

        Raises:
            AdministrationError: The gate refuses (NOT_ADMITTED), the symbol is taken by another document
                (ALREADY_EXISTS), or there is no shard (SHARD_UNAVAILABLE).
        """
        try:
            admitted = admit(document, venue)
        except AdmissionError as error:
            raise AdministrationError(Reason.NOT_ADMITTED, str(error)) from error
        async with self._database.transaction() as connection:
            await _lock(connection)
            found = await connection.fetchrow(_TRANCHE_OF, admitted.symbol, admitted.side_data.decode())
            if found is None:
                return await _list(connection, admitted, actor)
        if not found["same"]:
            raise AdministrationError(
                Reason.ALREADY_EXISTS, f"{admitted.symbol} is listed by another document"
            )
        return ListedTranche(found["tranche"], found["shard"], None)

    async def set_phase(self, symbol: str, phase: Phase, *, actor: str) -> SentCommand:
        """Send a change of a tranche's phase; whether it is allowed is the shard's answer.

        Raises:
            AdministrationError: There is no such tranche.
        """
        async with self._database.transaction() as connection:
            tranche, shard = await _tranche_and_shard(connection, symbol)
            await _record(connection, actor, "set phase", symbol=symbol, phase=phase.name)
            command = Sourced(encode(phase_set(tranche, phase)))
            return await _send(connection, shard, command, cause=f"phase of {symbol}", actor=actor)

    async def set_terms(self, symbol: str, terms: Terms, *, actor: str) -> SentCommand:
        """Send new numbered terms of a tranche; whether they are allowed is the shard's answer.

        Raises:
            AdministrationError: There is no such tranche, or it already has terms of that number.
        """
        async with self._database.transaction() as connection:
            tranche, shard = await _tranche_and_shard(connection, symbol)
            if await connection.fetchval(_HAS_TERMS, tranche, terms.terms_id):
                raise AdministrationError(Reason.BAD_TERMS, f"{symbol} already has terms {terms.terms_id}")
            await _record(connection, actor, "set terms", symbol=symbol, terms=terms.terms_id)
            command = Sourced(encode(terms_set(tranche, terms)))
            return await _send(connection, shard, command, cause=f"terms of {symbol}", actor=actor)

    async def wait_for(self, sent: SentCommand, *, timeout_seconds: float = 10.0) -> list[Record]:
        """Wait for a shard's answer to an act; see :func:`engine.answer.wait_for`.

        Raises:
            TimeoutError: There is none yet; the command will still be sent and answered.
        """
        async with self._database.connection() as connection:
            return await wait_for(connection, sent, timeout_seconds=timeout_seconds)

    async def raise_session_epoch(self, accounts: Iterable[int]) -> dict[int, int]:
        """Begin a new session for each account and return its epoch; the gateway then sends SESSION_OPEN.

        Accounts that do not exist are left out.
        """
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_RAISE_EPOCHS, sorted(set(accounts)))
            await notify_directory(connection)
        return {row["account"]: row["session_epoch"] for row in rows}

    async def introduce_accounts(self) -> int:
        """Open every account in shards that do not know it yet (a shard added later); returns how many
        commands.
        """
        async with self._database.transaction() as connection:
            await _lock(connection)
            source = await outbox_source(connection, SOURCE_NAME)
            owners = {row["account"]: row["owner"] for row in await connection.fetch(_OWNERS)}
            count = 0
            for shard in await _shards(connection):
                known = await _accounts_sent(connection, source, shard)
                opening = [
                    account_open(account, owners[account]) for account in sorted(owners.keys() - known)
                ]
                commands = [Sourced(encode(command)) for command in opening]
                if commands:
                    await enqueue(connection, source, shard, commands, cause="new shard", actor=SOURCE_NAME)
                count += len(commands)
        return count


async def _list(connection: Any, admitted: Admitted, actor: str) -> ListedTranche:
    """Give an admitted tranche its number and shard, and send its listing."""
    shard: int | None = await connection.fetchval(_EMPTIEST_SHARD)
    if shard is None:
        raise AdministrationError(Reason.SHARD_UNAVAILABLE, "there is no shard to list a tranche in")
    tranche: int = await connection.fetchval(_LIST, admitted.symbol, shard, admitted.side_data.decode())
    command = Sourced(encode(admitted.listing(tranche)), admitted.side_data)
    sent = await _send(connection, shard, command, cause=f"list {admitted.symbol}", actor=actor)
    await _record(connection, actor, "list tranche", tranche=tranche, symbol=admitted.symbol, shard=shard)
    await notify_directory(connection)
    return ListedTranche(tranche, shard, sent)


async def _send(connection: Any, shard: int, command: Sourced, *, cause: str, actor: str) -> SentCommand:
    """Put one command into the outbox."""
    source = await outbox_source(connection, SOURCE_NAME)
    row = await last_journal_row(connection, shard)
    numbers = await enqueue(connection, source, shard, [command], cause=cause, actor=actor)
    return SentCommand(source, shard, numbers[0], row)


async def _send_to_all(connection: Any, account: int, owner: int, actor: str) -> list[SentCommand]:
    """Open an account in every shard."""
    command = Sourced(encode(account_open(account, owner)))
    shards = await _shards(connection)
    cause = f"open account {account}"
    return [await _send(connection, shard, command, cause=cause, actor=actor) for shard in shards]


async def _accounts_sent(connection: Any, source: int, shard: int) -> set[int]:
    """Accounts whose opening a shard was already sent."""
    records = [
        decode(command.record)
        for command in await commands_above(connection, source, shard, 0, _EVERY_COMMAND)
    ]
    return {record.header.account for record in records if isinstance(record, AccountOpen)}


async def _shards(connection: Any) -> list[int]:
    """The shards there are, in ascending order."""
    return [row["shard"] for row in await connection.fetch("select shard from engine.lease order by shard")]


async def _tranche_and_shard(connection: Any, symbol: str) -> tuple[int, int]:
    """Number and shard of a symbol."""
    row = await connection.fetchrow("select tranche, shard from engine.tranche where symbol = $1", symbol)
    if row is None:
        raise AdministrationError(Reason.UNKNOWN_TRANCHE, f"there is no tranche {symbol}")
    return row["tranche"], row["shard"]


async def _check_accounts(connection: Any, accounts: Sequence[int]) -> None:
    """Refuse accounts that do not exist."""
    rows = await connection.fetch("select account from engine.account where account = any($1)", accounts)
    unknown = sorted(set(accounts) - {row["account"] for row in rows})
    if unknown:
        raise AdministrationError(Reason.UNKNOWN_ACCOUNT, f"there is no account {unknown[0]}")


def _check_owner(found: int, asked: int | None, account: int) -> None:
    """Refuse another owner than the account has."""
    if asked is not None and asked != found:
        raise AdministrationError(Reason.WRONG_OWNER, f"account {account} is of owner {found}, not {asked}")


async def _record(connection: Any, actor: str, what: str, **detail: Any) -> None:
    """Write down who did what."""
    await connection.execute(_RECORD, actor, what, json.dumps(detail))


async def _lock(connection: Any) -> None:
    """Let acts that look before they write follow each other."""
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)


_ACCOUNT_AT = "select account, owner from engine.account where address = $1"

_OPEN_ACCOUNT = """
with next as (select nextval(pg_get_serial_sequence('engine.account', 'account'))::integer as account)
insert into engine.account (account, address, owner)
select account, $1, coalesce($2, account) from next returning account, owner
"""

_SET_PARTICIPANT = """
insert into engine.participant (login, credential, role, accounts) values ($1, $2, $3, $4)
on conflict (login) do update
set credential = excluded.credential, role = excluded.role, accounts = excluded.accounts
"""

_TRANCHE_OF = """
select tranche, shard, document = $2::text::jsonb as same from engine.tranche where symbol = $1
"""

_EMPTIEST_SHARD = """
select l.shard from engine.lease l left join engine.tranche t using (shard)
group by l.shard order by count(t.tranche), l.shard limit 1
"""

_LIST = """
insert into engine.tranche (symbol, shard, document) values ($1, $2, $3::text::jsonb) returning tranche
"""

_HAS_TERMS = "select exists (select from engine.terms where tranche = $1 and terms_id = $2)"

_RAISE_EPOCHS = """
update engine.account set session_epoch = session_epoch + 1
where account in (select account from engine.account where account = any($1) order by account for update)
returning account, session_epoch
"""

_OWNERS = "select account, owner from engine.account"

_RECORD = "insert into engine.administration_act (actor, what, detail) values ($1, $2, $3::text::jsonb)"
