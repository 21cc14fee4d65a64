"""Taking accounts over: a new session is opened in every shard, however late the shard hears of the account.

A log-on waits a while for the shards' answers. Where there was none, or the shard did not know the account
yet, it is asked again behind the log-on until it has the session: else it would open the account later with
no session, and hear the earlier one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from engine.command import session_open
from engine.reasons import Reason
from engine.shard_link import LinkError
from ext.records import Record, Refused, encode
from gateway.errors import WireError
from gateway.shard_feeds import ShardFeeds

AGAIN_AFTER_S: Final = 0.05
AGAIN_AFTER_MAX_S: Final = 5.0

log = structlog.get_logger()


class TakeOver:
    """Opens the sessions of one gateway; ``within_s`` is how long a log-on waits for the shards."""

    def __init__(self, feeds: ShardFeeds, within_s: float) -> None:
        self._feeds = feeds
        self._within_s = within_s
        self._latest: dict[int, int] = {}
        self._tasks: set[asyncio.Task[bool]] = set()
        feeds.on_link = self._linked

    async def open(self, epochs: Mapping[int, int]) -> list[int]:
        """Open sessions (account: epoch) in every shard; return the shards that do not have them in time.

        Those are asked on, one command for each account at a time and ever less often, until they have them
        or a later log-on takes the account over.
        """
        for account, epoch in epochs.items():
            self._latest[account] = max(epoch, self._latest.get(account, 0))
        opening = {self._open_behind(shard, epochs): shard for shard in self._feeds.shards}
        if not opening:
            return []
        done, _ = await asyncio.wait(opening, timeout=self._within_s)
        opened = {opening[task] for task in done if task.result()}
        return sorted(set(opening.values()) - opened)

    async def close(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _linked(self, shard: int) -> None:
        """Tell a shard that is linked only now of the sessions there are."""
        if self._latest:
            self._open_behind(shard, self._latest)

    def _open_behind(self, shard: int, epochs: Mapping[int, int]) -> asyncio.Task[bool]:
        task = asyncio.create_task(self._open_in(shard, dict(epochs)), name=f"sessions in shard {shard}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _open_in(self, shard: int, epochs: dict[int, int]) -> bool:
        """Open sessions in a shard until it has them all; returns whether, False where the link ended."""
        again_after_s = AGAIN_AFTER_S
        while True:
            asked = [self._ask(shard, account, epoch) for account, epoch in epochs.items()]
            answers = dict(zip(epochs, await asyncio.gather(*asked), strict=True))
            missing = [account for account, answer in answers.items() if not _has_session(answer)]
            epochs = {account: epochs[account] for account in missing if self._is_latest(account, epochs)}
            if not epochs:
                return True
            log.info("shard has not opened sessions yet", shard=shard, accounts=len(epochs))
            await asyncio.sleep(again_after_s)
            try:
                await self._feeds.connected(shard)
            except LinkError:
                return False
            again_after_s = min(2 * again_after_s, AGAIN_AFTER_MAX_S)

    def _is_latest(self, account: int, epochs: Mapping[int, int]) -> bool:
        return epochs[account] == self._latest[account]

    def _ask(self, shard: int, account: int, epoch: int) -> asyncio.Future[Record | WireError]:
        answer: asyncio.Future[Record | WireError] = asyncio.get_running_loop().create_future()

        def answered(outcome: Record | WireError) -> None:
            if not answer.done():
                answer.set_result(outcome)

        try:
            self._feeds.send(shard, encode(session_open(account, epoch)), b"", answered)
        except WireError as problem:
            answer.set_result(problem)
        return answer


def _has_session(answer: Record | WireError) -> bool:
    """Whether a shard has the session, or a later one already."""
    if isinstance(answer, Refused):
        return answer.reason == Reason.SESSION_SUPERSEDED
    return not isinstance(answer, WireError)
