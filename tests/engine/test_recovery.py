"""Recovery replays the journal and says where it comes out otherwise."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.command import account_open, numbered, stamped
from engine.journal import JournalBrokenError, JournalRow, MemoryJournal, row_hash
from engine.recovery import ReplayDivergedError, first_difference, recover
from engine.shard_core import ShardCore
from ext.records import Applied, Kind, decode, encode, header


async def journal_of(rows: int) -> MemoryJournal:
    """A journal of one account opened per row, a digest with every second row."""
    journal, core = MemoryJournal(1), ShardCore(1)
    lease = await journal.take_over()
    previous_hash = lease.last_hash
    for number in range(1, rows + 1):
        commands = encode(
            stamped(numbered(account_open(number, owner=1), 5, 1, number), number, 1000 + number)
        )
        first = core.last_event + 1
        events = core.apply(commands)
        chained = row_hash(previous_hash, 1, number, lease.epoch, commands, b"", events)
        digest = core.digest() if number % 2 == 0 else None
        row = JournalRow(
            1, number, lease.epoch, number, number, first, core.last_event, commands, b"", events,
            previous_hash, chained, digest,
        )  # fmt: skip
        await journal.append(row)
        previous_hash = chained
    return journal


def rechained(journal: MemoryJournal, number: int, change: Callable[[JournalRow], JournalRow]) -> None:
    """Change a row as a forger would: with all hashes from there on made good."""
    previous_hash = journal.stored[number - 1].previous_hash
    for index in range(number - 1, len(journal.stored)):
        row = journal.stored[index]
        row = change(row) if index == number - 1 else row
        chained = row_hash(previous_hash, 1, row.row, row.epoch, row.commands, row.side, row.events)
        journal.stored[index] = replace(row, previous_hash=previous_hash, hash=chained)
        previous_hash = chained


async def recovered(journal: MemoryJournal) -> ShardCore:
    core = ShardCore(1)
    await recover(core, journal, await journal.take_over())
    return core


async def test_a_recovered_shard_is_the_shard_that_wrote() -> None:
    journal, seen, progress = await journal_of(6), [], []
    core = ShardCore(1)
    await recover(
        core, journal, await journal.take_over(),
        on_row=lambda row: seen.append(row.row), progress=lambda done, total: progress.append((done, total)),
    )  # fmt: skip
    assert core.digest() == journal.stored[5].state_digest
    assert seen == [1, 2, 3, 4, 5, 6]
    assert progress[-1] == (6, 6)


async def test_an_event_that_comes_out_otherwise_is_named_with_its_field() -> None:
    journal = await journal_of(4)

    def other_kind(row: JournalRow) -> JournalRow:
        event = decode(row.events)
        assert isinstance(event, Applied)
        return replace(row, events=encode(event._replace(command_kind=Kind.PHASE_SET)))

    rechained(journal, 3, other_kind)
    with pytest.raises(ReplayDivergedError, match=r"row 3: event 3 \(Applied\): command_kind 22 became 23"):
        await recovered(journal)


async def test_a_state_that_comes_out_otherwise_is_noticed() -> None:
    journal = await journal_of(4)
    journal.stored[3] = replace(journal.stored[3], state_digest=bytes(32))
    with pytest.raises(ReplayDivergedError, match=r"row 4: the events are equal but the state is not"):
        await recovered(journal)


async def test_a_row_changed_without_its_hash_is_noticed() -> None:
    journal = await journal_of(4)
    journal.stored[1] = replace(journal.stored[1], side=b"other")
    with pytest.raises(JournalBrokenError, match="row 2"):
        await recovered(journal)


async def test_rows_lost_at_the_end_are_noticed() -> None:
    journal = await journal_of(4)
    lease = await journal.take_over()
    del journal.stored[-1]
    with pytest.raises(JournalBrokenError, match="ends with row 3, the lease says 4"):
        await recover(ShardCore(1), journal, lease)


def test_missing_new_and_foreign_events_are_named() -> None:
    event = encode(Applied(header(Kind.APPLIED, sequence=9), *[0] * 10))
    assert first_difference(event, b"") == "event 9 (Applied) is missing in the replay"
    assert first_difference(b"", event) == "event 9 (Applied) is new in the replay"
    assert "unreadable" in first_difference(event, b"\xff" * 64)
    assert first_difference(event, event) == "no event differs"
