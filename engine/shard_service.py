"""The single writer of a shard: durable before heard (DESIGN D4).

What waits from all connections is admitted by its source's number, stamped, and applied to the core in
slices, while the journal row before is being committed. When that row is durable its events are released,
and what was applied meanwhile becomes the next row. So one row is under way and one group is being made,
never more.

The core runs ahead of the journal, so everything that is told (events, books, last numbers) waits until the
events it reflects are durable. On any doubt about a commit the incarnation ends: :meth:`ShardService.run`
raises, and what was not durable is dropped unheard.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

import structlog

from engine.command_batch import CommandBatch
from engine.command_group import CommandGroup
from engine.event_buffer import EventBuffer, EventRun, cut
from engine.frames import Book, ErrorCode, FrameError, Level, Welcome
from engine.journal import Journal, JournalBrokenError, JournalRow, Lease
from engine.shard_clock import ShardClock
from engine.shard_metrics import ShardMetrics
from ext.records import Clock, Kind, encode, header

DIGEST_ROWS: Final = 64
"""Every so many rows the journal has the digest of the state after the row, time permitting."""
DIGEST_SHARE: Final = 20
"""A digest waits for so many times as long as the last one took; it costs in the size of the state."""
SLICE_COMMANDS: Final = 256
GROUP_BYTES_MAX: Final = 4 * 2**20
BACKLOG_BYTES_MAX: Final = 8 * 2**20
PULL_BYTES_MAX: Final = 4 * 2**20

log = structlog.get_logger()


class NotServingError(RuntimeError):
    """The incarnation is over: it answers nothing any more."""


class Core(Protocol):
    """What the service asks of the shard core (:class:`engine.shard_core.ShardCore`)."""

    @property
    def last_command(self) -> int:
        """Sequence of the last command applied."""

    @property
    def last_event(self) -> int:
        """Sequence of the last event."""

    @property
    def last_time_ns(self) -> int:
        """Stamp of the last command."""

    def apply(self, commands: bytes, /) -> bytes:
        """Apply stamped commands, return their events."""

    def digest(self) -> bytes:
        """Digest of the whole state."""

    def source_number(self, source: int, incarnation: int, /) -> int | None:
        """Last number taken of an incarnation, 0 for a new one, None for one that is over."""

    def next_deadline_ns(self) -> int:
        """When the next timer is due, 0 for none."""

    def book(self, tranche: int, /) -> tuple[int, int, Sequence[tuple[int, int, int, int]]]:
        """(book sequence, phase, levels as (side, price, lots, orders)); (0, 0, []) if not listed."""


Refuse = Callable[[FrameError], None]


@dataclass(slots=True)
class _Submission:
    batch: CommandBatch
    refuse: Refuse


@dataclass(slots=True)
class _Commit:
    task: asyncio.Task[None]
    row: JournalRow
    began_seconds: float


class ShardService:
    """One incarnation of one shard, from the state its journal gave to the end of :meth:`run`."""

    def __init__(
        self,
        core: Core,
        journal: Journal,
        lease: Lease,
        *,
        clock: ShardClock | None = None,
        events: EventBuffer | None = None,
        digest_rows: int = DIGEST_ROWS,
        digest_share: int = DIGEST_SHARE,
        slice_commands: int = SLICE_COMMANDS,
        group_bytes_max: int = GROUP_BYTES_MAX,
        backlog_bytes_max: int = BACKLOG_BYTES_MAX,
    ) -> None:
        """``core`` stands where row ``lease.last_row`` left it; ``events`` holds the last events."""
        self.lease = lease
        self.durable_event = core.last_event
        self.durable_command = core.last_command
        self.last_row = lease.last_row
        self.metrics = ShardMetrics(lease.shard)
        self._core = core
        self._journal = journal
        self._clock = clock or ShardClock()
        self._events = events if events is not None else EventBuffer(core.last_event)
        self._digest_rows = digest_rows
        self._digest_share = digest_share
        self._digest_not_before = 0.0
        self._slice_commands = slice_commands
        self._group_bytes_max = group_bytes_max
        self._backlog_bytes_max = backlog_bytes_max
        self._last_hash = lease.last_hash
        self._waiting: deque[_Submission] = deque()
        self._backlog_bytes = 0
        self._group = CommandGroup(core.last_command, core.last_event)
        self._commit: _Commit | None = None
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []
        self._over = False
        self._timer_due = False
        assert self._events.last_event == core.last_event

    # -- for connections

    def submit(self, batch: CommandBatch, refuse: Refuse) -> None:
        """Let commands wait for the writer; ``refuse`` is told, once, if their numbers do not fit."""
        self._check_serving()
        self._waiting.append(_Submission(batch, refuse))
        self._backlog_bytes += len(batch.records) + len(batch.side)
        if self._backlog_bytes > self._backlog_bytes_max:
            self._room.clear()
        self._wake.set()

    async def room(self) -> None:
        """Return when the backlog has room; who brings more without asking makes memory grow."""
        await self._room.wait()
        self._check_serving()

    async def hello(self, source: int, incarnation: int) -> Welcome:
        """Answer HELLO, once the last number it tells is durable.

        Raises:
            FrameError: INCARNATION_OVER.
            NotServingError: The incarnation ended.
        """
        last_number = self._core.source_number(source, incarnation) if source and incarnation else 0
        if last_number is None or (source and not incarnation):
            over = f"source {source} was heard after incarnation {incarnation}"
            raise FrameError(ErrorCode.INCARNATION_OVER, over)
        await self._until_durable(self._core.last_event)
        return Welcome(self.lease.shard, self.lease.epoch, last_number, self.durable_event)

    async def pull(self, from_event: int, bytes_max: int) -> EventRun:
        """Return durable events from ``from_event`` on, as soon as there is one.

        Raises:
            NotServingError: The incarnation ended.
        """
        from_event = max(from_event, 1)
        bytes_max = min(bytes_max, PULL_BYTES_MAX)
        await self._until_durable(from_event)
        return self._events.read(from_event, bytes_max) or await self._read_journal(from_event, bytes_max)

    async def book(self, tranche: int) -> Book:
        """Return the book of a tranche, once what it shows is durable; an empty, closed one if it is not
        listed.

        Raises:
            NotServingError: The incarnation ended.
        """
        event = self._core.last_event
        book_sequence, phase, levels = self._core.book(tranche)
        await self._until_durable(event)
        return Book(tranche, event, book_sequence, phase, tuple(Level(*level) for level in levels))

    # -- the writer

    def tick(self) -> None:
        """Let a due timer fire although no command comes; to be called now and then."""
        deadline_ns = self._core.next_deadline_ns()
        if 0 < deadline_ns <= self._clock.now_ns():
            self._timer_due = True
            self._wake.set()

    async def run(self) -> NoReturn:
        """Write until the incarnation ends, then raise why.

        Raises:
            JournalError: FencedError, or a commit in doubt.
            ClockError: The clock cannot be trusted.
            Exception: Whatever a broken core raises.
        """
        self.metrics.epoch.set(self.lease.epoch)
        try:
            while True:
                self._settle()
                self._apply_slice()
                self._begin_commit()
                if self._may_apply():
                    await asyncio.sleep(0)
                else:
                    await self._wake.wait()
                    self._wake.clear()
        finally:
            await self._end()

    def _may_apply(self) -> bool:
        return bool(self._waiting or self._timer_due) and self._group.bytes < self._group_bytes_max

    def _settle(self) -> None:
        """Release the row under way if its commit is done."""
        commit = self._commit
        if commit is None or not commit.task.done():
            return
        commit.task.result()
        self._commit = None
        row = commit.row
        self._events.add(row.last_event, row.events)
        self.durable_event, self.durable_command, self.last_row = row.last_event, row.last_command, row.row
        self._tell_watchers()
        self._count(row, asyncio.get_running_loop().time() - commit.began_seconds)

    def _apply_slice(self) -> None:
        """Admit, stamp and apply some of what waits."""
        if not self._may_apply():
            return
        batches = self._admit_slice()
        if not batches and not self._timer_due:
            return
        core = self._core
        time_ns = self._clock.stamp_ns(core.last_time_ns)
        sequence = core.last_command + 1
        for batch in batches:
            batch.stamp(sequence, time_ns)
            sequence += len(batch)
        commands = b"".join(batch.records for batch in batches)
        if not batches:
            commands = encode(Clock(header(Kind.CLOCK, sequence=sequence, time_ns=time_ns)))
        self._timer_due = False
        self._group.add(commands, b"".join(batch.side for batch in batches), core.apply(commands))

    def _admit_slice(self) -> list[CommandBatch]:
        admitted: list[CommandBatch] = []
        ahead: dict[int, tuple[int, int]] = {}
        room = self._slice_commands
        while self._waiting and room > 0:
            submission = self._waiting.popleft()
            batch = submission.batch
            self._backlog_bytes -= len(batch.records) + len(batch.side)
            room -= len(batch)
            if self._admit(submission, ahead):
                ahead[batch.source] = (batch.incarnation, batch.last_number)
                admitted.append(batch)
        if self._backlog_bytes <= self._backlog_bytes_max // 2:
            self._room.set()
        return admitted

    def _admit(self, submission: _Submission, ahead: dict[int, tuple[int, int]]) -> bool:
        batch = submission.batch
        count = len(batch)
        try:
            admitted = batch.admit_after(self._last_number(batch, ahead))
        except FrameError as error:
            self.metrics.refused_batches.inc()
            log.warning("batch refused", shard=self.lease.shard, source=batch.source, error=str(error))
            submission.refuse(error)
            return False
        self.metrics.seen.inc(count - len(batch) if admitted else count)
        return admitted

    def _last_number(self, batch: CommandBatch, ahead: dict[int, tuple[int, int]]) -> int | None:
        """Last number of the batch's incarnation, counting what this slice has admitted so far."""
        if batch.source in ahead:
            live, last = ahead[batch.source]
            if batch.incarnation <= live:
                return last if batch.incarnation == live else None
        return self._core.source_number(batch.source, batch.incarnation)

    def _begin_commit(self) -> None:
        """Close the group and send its row, unless a row is under way."""
        if self._commit is not None or not self._group:
            return
        core, number = self._core, self.last_row + 1
        digest = self._digest(number)
        row = self._group.row(self.lease, number, self._last_hash, core.last_command, core.last_event, digest)
        self._last_hash = row.hash
        self._group = CommandGroup(core.last_command, core.last_event)
        loop = asyncio.get_running_loop()
        self._commit = _Commit(loop.create_task(self._journal.append(row)), row, loop.time())
        self._commit.task.add_done_callback(lambda _: self._wake.set())

    def _digest(self, number: int) -> bytes | None:
        clock = asyncio.get_running_loop().time
        began = clock()
        if number % self._digest_rows or began < self._digest_not_before:
            return None
        digest = self._core.digest()
        ended = clock()
        self._digest_not_before = ended + (ended - began) * self._digest_share
        return digest

    async def _end(self) -> None:
        self._over = True
        self._waiting.clear()
        self._room.set()
        for _, watcher in self._watchers:
            if not watcher.done():
                watcher.set_exception(NotServingError("the incarnation is over"))
        self._watchers.clear()
        if self._commit is not None and not self._commit.task.done():
            self._commit.task.cancel()
            await asyncio.wait([self._commit.task])

    # -- what is durable

    async def _until_durable(self, event: int) -> None:
        self._check_serving()
        if event > self.durable_event:
            watcher = asyncio.get_running_loop().create_future()
            self._watchers.append((event, watcher))
            await watcher

    def _tell_watchers(self) -> None:
        still_waiting = []
        for event, watcher in self._watchers:
            if watcher.done():
                continue
            if event <= self.durable_event:
                watcher.set_result(None)
            else:
                still_waiting.append((event, watcher))
        self._watchers = still_waiting

    async def _read_journal(self, from_event: int, bytes_max: int) -> EventRun:
        rows = await self._journal.rows_with_event(from_event, bytes_max)
        parts: list[bytes] = []
        next_event = from_event
        for row in rows:
            if row.last_event > self.durable_event:
                break  # committed, but not yet known here to be
            if not row.first_event <= next_event <= row.last_event:
                raise JournalBrokenError(f"shard {row.shard}: event {next_event} is not in row {row.row}")
            run = cut(row.events, row.first_event, row.last_event, next_event, bytes_max)
            if parts and len(run.records) > bytes_max:
                break
            parts.append(run.records)
            next_event = run.next_event
            bytes_max -= len(run.records)
            if next_event <= row.last_event or bytes_max <= 0:
                break
        return EventRun(next_event, b"".join(parts))

    def _check_serving(self) -> None:
        if self._over:
            raise NotServingError("the incarnation is over")

    def _count(self, row: JournalRow, seconds: float) -> None:
        metrics, commands = self.metrics, row.last_command - row.first_command + 1
        metrics.rows.inc()
        metrics.commands.inc(commands)
        metrics.events.inc(row.last_event - row.first_event + 1)
        metrics.group_commands.observe(commands)
        metrics.commit_seconds.observe(seconds)
