"""The single writer: durable before heard, one row under way, and an end on any doubt."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from engine.command import account_open, numbered
from engine.command_batch import CommandBatch
from engine.event_buffer import EventBuffer
from engine.frames import ErrorCode, FrameError
from engine.journal import CommitInDoubtError, FencedError, JournalRow, MemoryJournal
from engine.recovery import recover
from engine.shard_clock import ClockError, ShardClock
from engine.shard_core import ShardCore
from engine.shard_service import NotServingError, ShardService
from ext.records import Kind, decode_all, decode_header, encode


class GatedJournal(MemoryJournal):
    """A journal in memory whose appends wait for ``gate`` and fail as ``fault`` says."""

    def __init__(self) -> None:
        super().__init__(1)
        self.gate = asyncio.Event()
        self.gate.set()
        self.appends = 0
        self.fault: Callable[[int], str] = lambda append: ""

    async def append(self, row: JournalRow) -> None:
        """Append, or die before or after it."""
        self.appends += 1
        fault = self.fault(self.appends)
        await self.gate.wait()
        if fault == "before":
            raise CommitInDoubtError("the statement never arrived")
        await super().append(row)
        if fault == "answer lost":
            raise CommitInDoubtError("the answer was lost")
        if fault == "killed":
            await asyncio.Event().wait()


class Life:
    """One incarnation on a journal."""

    def __init__(self, journal: GatedJournal, service: ShardService, core: ShardCore) -> None:
        self.journal = journal
        self.service = service
        self.core = core
        self.running = asyncio.ensure_future(service.run())
        self.refusals: list[FrameError] = []

    def submit(self, source: int, first: int, last: int, incarnation: int = 1) -> None:
        """Submit account openings numbered first to last; source 5 opens account 1001 with its number 1."""
        records = b"".join(
            encode(numbered(account_open(source * 200 + number, owner=1), source, incarnation, number))
            for number in range(first, last + 1)
        )
        self.service.submit(CommandBatch(source, incarnation, records, b""), self.refusals.append)

    async def durable(self, event: int) -> list[tuple[int, int]]:
        """Return (source, number) behind each event up to ``event``."""
        heard: list[tuple[int, int]] = []
        at = 1
        while at <= event:
            at, records = await self.service.pull(at, 10**6)
            heard += [(record.header.source, record.header.number) for record in decode_all(records)]
        return heard

    async def end(self) -> None:
        """Kill it."""
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


Begin = Callable[..., Awaitable[Life]]


@pytest.fixture
async def journal() -> GatedJournal:
    return GatedJournal()


@pytest.fixture
async def begin(journal: GatedJournal) -> AsyncIterator[Begin]:
    lives: list[Life] = []

    async def life(core: ShardCore | None = None, **options: Any) -> Life:
        lease = await journal.take_over()
        core, events = core or ShardCore(1), EventBuffer(0, bytes_max=options.pop("held_bytes", 2**20))
        await recover(core, journal, lease, on_row=lambda row: events.add(row.last_event, row.events))
        lives.append(Life(journal, ShardService(core, journal, lease, events=events, **options), core))
        return lives[-1]

    yield life
    for begun in lives:
        await begun.end()


async def turns(count: int = 10) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_nothing_is_told_before_it_is_durable(begin: Begin, journal: GatedJournal) -> None:
    life = await begin()
    journal.gate.clear()
    life.submit(5, 1, 3)
    await turns()
    asked: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(question)
        for question in (life.service.pull(1, 10**6), life.service.book(7), life.service.hello(5, 1))
    ]
    await turns()
    assert life.core.last_command == 3
    assert not any(answer.done() for answer in asked)
    journal.gate.set()
    run, book, welcome = await asyncio.gather(*asked)
    assert run.next_event == 4
    assert book.event == 3
    assert (welcome.last_number, welcome.last_event) == (3, 3)


async def test_commands_that_come_during_a_commit_share_the_next_row(
    begin: Begin, journal: GatedJournal
) -> None:
    life = await begin()
    journal.gate.clear()
    for number in range(1, 6):
        life.submit(5, number, number)
        await turns(3)
    assert (journal.appends, life.core.last_command) == (1, 5)
    journal.gate.set()
    await life.durable(5)
    assert [(row.first_command, row.last_command) for row in journal.stored] == [(1, 1), (2, 5)]


async def test_what_waits_is_grouped_from_all_sources(begin: Begin, journal: GatedJournal) -> None:
    life = await begin()
    for source in (5, 6, 7):
        life.submit(source, 1, 2)
    assert await life.durable(6) == [(5, 1), (5, 2), (6, 1), (6, 2), (7, 1), (7, 2)]
    assert len(journal.stored) == 1


async def test_commands_are_journalled_with_dense_sequence_and_one_monotone_time(
    begin: Begin, journal: GatedJournal
) -> None:
    life = await begin()
    life.submit(5, 1, 3)
    await life.durable(3)
    life.submit(5, 4, 5)
    await life.durable(5)
    heads = [record.header for row in journal.stored for record in decode_all(row.commands)]
    assert [head.sequence for head in heads] == [1, 2, 3, 4, 5]
    times = [head.time_ns for head in heads]
    assert times == sorted(times)
    assert times[0] > 0


async def test_every_so_many_rows_carry_the_digest_of_the_state(begin: Begin, journal: GatedJournal) -> None:
    life = await begin(digest_rows=3, digest_share=0)
    for number in range(1, 8):
        life.submit(5, number, number)
        await life.durable(number)
    assert [row.row for row in journal.stored if row.state_digest] == [3, 6]
    await (await begin()).end()


async def test_what_was_seen_is_dropped_and_only_gaps_and_old_lives_are_refused(begin: Begin) -> None:
    life = await begin()
    life.submit(5, 1, 4)
    life.submit(5, 1, 4)
    life.submit(5, 3, 6)
    life.submit(5, 9, 9)
    life.submit(6, 1, 1)
    life.submit(6, 1, 1, incarnation=2)
    life.submit(6, 2, 2)
    assert await life.durable(8) == [(5, number) for number in range(1, 7)] + [(6, 1), (6, 1)]
    assert [refusal.code for refusal in life.refusals] == [ErrorCode.NUMBER_GAP, ErrorCode.INCARNATION_OVER]
    with pytest.raises(FrameError, match="was heard after incarnation 1"):
        await life.service.hello(6, 1)


async def test_only_seen_commands_make_no_row(begin: Begin, journal: GatedJournal) -> None:
    life = await begin()
    life.submit(5, 1, 2)
    await life.durable(2)
    life.submit(5, 1, 2)
    await turns()
    assert (await life.service.hello(5, 1)).last_number == 2
    assert len(journal.stored) == 1


@pytest.mark.parametrize("fault", ["before", "answer lost", "killed"])
@pytest.mark.parametrize("at", range(1, 7))
async def test_a_crash_between_any_two_steps_loses_and_doubles_nothing(
    begin: Begin, journal: GatedJournal, fault: str, at: int
) -> None:
    journal.fault = lambda append: fault if append == at else ""
    life = await begin()
    heard: list[tuple[int, int]] = []
    for number in range(1, 7):
        for source in (5, 6):
            life.submit(source, 2 * number - 1, 2 * number)
        answer = asyncio.ensure_future(life.durable(4 * number))
        await turns(20)
        if not answer.done() or answer.exception():
            await life.end()
            await asyncio.gather(answer, return_exceptions=True)
            break
        heard = answer.result()
    assert journal.appends == at
    heir = await begin()
    for source in (5, 6):
        last = (await heir.service.hello(source, 1)).last_number
        heir.submit(source, min(last + 1, 12), 12)
    everything = await heir.durable(24)
    assert everything[: len(heard)] == heard
    for source in (5, 6):
        assert [number for other, number in everything if other == source] == list(range(1, 13))
    replayed = await begin()
    assert replayed.core.digest() == heir.core.digest()


async def test_doubt_ends_the_incarnation_and_drops_the_next_group_unheard(
    begin: Begin, journal: GatedJournal
) -> None:
    journal.fault = lambda append: "before"
    life = await begin()
    journal.gate.clear()
    life.submit(5, 1, 1)
    await turns()
    life.submit(5, 2, 2)
    waiting = [asyncio.ensure_future(life.service.pull(1, 100)), asyncio.ensure_future(life.service.book(1))]
    await turns()
    journal.gate.set()
    with pytest.raises(CommitInDoubtError):
        await life.running
    for answer in waiting:
        with pytest.raises(NotServingError):
            await answer
    with pytest.raises(NotServingError):
        life.submit(5, 3, 3)
    assert journal.stored == []


async def test_a_replaced_incarnation_ends_at_its_next_append(begin: Begin, journal: GatedJournal) -> None:
    zombie = await begin()
    heir = await begin()
    zombie.submit(5, 1, 1)
    with pytest.raises(FencedError):
        await zombie.running
    heir.submit(5, 1, 1)
    assert await heir.durable(1) == [(5, 1)]
    assert [row.epoch for row in journal.stored] == [2]


async def test_a_clock_that_jumps_ends_the_incarnation_before_anything_is_written(
    begin: Begin, journal: GatedJournal
) -> None:
    wall = [10**18]
    life = await begin(clock=ShardClock(clock_ns=lambda: wall[0], steady_clock_ns=lambda: 0))
    wall[0] += 10**12
    life.submit(5, 1, 1)
    with pytest.raises(ClockError):
        await life.running
    assert journal.stored == []


async def test_a_due_timer_makes_a_clock_command_when_nothing_else_comes(
    begin: Begin, journal: GatedJournal
) -> None:
    class DueCore(ShardCore):
        def next_deadline_ns(self) -> int:
            return 0 if self.last_command else 1

    life = await begin(DueCore(1))
    life.service.tick()
    await life.durable(1)
    life.service.tick()
    await turns()
    (row,) = journal.stored
    head = decode_header(row.commands)
    assert (head.kind, head.source, head.number) == (Kind.CLOCK, 0, 0)


async def test_the_backlog_is_bounded_while_the_journal_stands_still(
    begin: Begin, journal: GatedJournal
) -> None:
    life = await begin(group_bytes_max=1000, backlog_bytes_max=1000)
    journal.gate.clear()
    submitted = 0
    while submitted < 100:
        submitted += 1
        life.submit(5, submitted, submitted)
        room = asyncio.ensure_future(life.service.room())
        await turns(3)
        if not room.done():
            break
    assert 5 < submitted < 40
    journal.gate.set()
    await room
    assert len(await life.durable(submitted)) == submitted


async def test_events_no_longer_held_are_read_from_the_journal(begin: Begin) -> None:
    life = await begin(held_bytes=200)
    for number in range(1, 31):
        life.submit(5, number, number)
        await life.durable(number)
    at, numbers = 1, []
    while at <= 30:
        at, records = await life.service.pull(at, 300)
        numbers += [record.header.number for record in decode_all(records)]
        assert len(records) <= 300
    assert numbers == list(range(1, 31))
