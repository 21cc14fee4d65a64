"""Logging on: who it is, which accounts are taken over, and where their streams stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.administration import Administration
from engine.database import Database
from engine.directory import Directory, Participant
from engine.reasons import Reason
from engine.signed_order import SignatureError
from gateway.errors import BadParameters, CommandRefused
from gateway.fan_out import FanOut
from gateway.logon import recover_logon
from gateway.protocol import Parameters
from gateway.session import Identity, Session
from gateway.streams import Streams
from gateway.take_over import TakeOver

SIGNATURE_BYTES = 65
ACCOUNTS_MAX = 10_000


class LogOn:
    """Answers ``session.logon``."""

    def __init__(
        self, database: Database, directory: Directory, take_over: TakeOver, fan_out: FanOut, streams: Streams
    ) -> None:
        self._database = database
        self._directory = directory
        self._administration = Administration(database)
        self._take_over = take_over
        self._fan_out = fan_out
        self._streams = streams

    async def log_on(self, session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
        """Log a session on; a trading one takes its accounts over in every shard before this returns.

        A shard that has not taken the session up in time, because it is away or has not heard of the
        account, is named in ``unconfirmed_shards``: until it has, an earlier session may be heard there.

        Raises:
            BadParameters, CommandRefused (702, 703, 712): nothing happened.
        """
        given = Parameters(params)
        login, signature = given.text("login"), given.binary("signature", SIGNATURE_BYTES)
        trading, wanted = given.flag("trading", True), given.value("accounts", None)
        given.finish()
        participant = await self._participant(login, session.challenge, signature)
        accounts = _accounts(participant, wanted)
        epochs = dict.fromkeys(accounts, 0)
        unconfirmed: list[int] = []
        if trading and accounts:
            epochs = await self._administration.raise_session_epoch(accounts)
            unconfirmed = await self._take_over.open(epochs)
        positions = await self._streams.positions(accounts)
        streams = positions()
        self._fan_out.join(session, epochs)
        session.logged_on(Identity(login, participant.is_administrator, trading, epochs))
        return {
            "accounts": [self._account(account, epoch) for account, epoch in sorted(epochs.items())],
            "role": participant.role,
            "streams": streams,
            "unconfirmed_shards": unconfirmed,
        }

    async def _participant(self, login: str, challenge: bytes, signature: bytes) -> Participant:
        participant = self._directory.participant(login)
        if participant is None or not _proves(participant, challenge, signature):
            async with self._database.connection() as connection:
                await self._directory.refresh(connection)
            participant = self._directory.participant(login)
        if participant is None or not _proves(participant, challenge, signature):
            raise CommandRefused("no such login, or not signed by its credential", Reason.BAD_CREDENTIAL)
        return participant

    def _account(self, account: int, epoch: int) -> dict[str, Any]:
        known = self._directory.account(account)
        assert known is not None, "participants act for accounts that exist"
        return {"account": account, "address": "0x" + known.address.hex(), "session_epoch": epoch}


def _proves(participant: Participant, challenge: bytes, signature: bytes) -> bool:
    try:
        return recover_logon(challenge, signature) == participant.credential
    except SignatureError:
        return False


def _accounts(participant: Participant, wanted: Any) -> list[int]:
    """The accounts to act for: all of the participant's, or those wanted."""
    if wanted is None:
        return sorted(participant.accounts)
    if not isinstance(wanted, list) or not all(type(each) is int for each in wanted):
        raise BadParameters("accounts must be an array of account numbers")
    strange = sorted(set(wanted) - participant.accounts)
    if strange:
        raise CommandRefused(
            f"account {strange[0]} is not one of this participant's", Reason.ACCOUNT_NOT_OF_SESSION
        )
    return sorted(set(wanted))
