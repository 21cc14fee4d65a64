"""The journal's rows chain by hash, in memory as in PostgreSQL."""

from dataclasses import replace
from hashlib import sha256

import pytest

from engine.journal import (
    ZERO_HASH,
    FencedError,
    JournalBrokenError,
    JournalRow,
    MemoryJournal,
    check_chain,
    row_hash,
)


def make_row(number: int, epoch: int = 1, previous_hash: bytes = ZERO_HASH) -> JournalRow:
    chained = row_hash(previous_hash, 1, number, epoch, b"commands", b"side", b"events")
    return JournalRow(
        1,
        number,
        epoch,
        number,
        number,
        number,
        number,
        b"commands",
        b"side",
        b"events",
        previous_hash,
        chained,
    )


def test_the_hash_is_what_the_architecture_says() -> None:
    numbers = (1).to_bytes(8, "little") + (2).to_bytes(8, "little") + (3).to_bytes(8, "little")
    assert row_hash(ZERO_HASH, 1, 2, 3, b"c", b"s", b"e") == sha256(bytes(32) + numbers + b"cse").digest()


def test_a_chain_holds_from_row_to_row() -> None:
    first = make_row(1)
    check_chain(first, 0, ZERO_HASH)
    check_chain(make_row(2, previous_hash=first.hash), 1, first.hash)


@pytest.mark.parametrize(
    "broken",
    [
        make_row(3),
        replace(make_row(2), commands=b"other"),
        replace(make_row(2), epoch=9),
        make_row(2, previous_hash=b"x" * 32),
    ],
    ids=["missing row", "changed commands", "changed epoch", "another past"],
)
def test_a_row_that_does_not_chain_is_noticed(broken: JournalRow) -> None:
    with pytest.raises(JournalBrokenError):
        check_chain(broken, 1, ZERO_HASH)


async def test_the_journal_in_memory_fences_too() -> None:
    journal = MemoryJournal(1)
    old = await journal.take_over()
    await journal.append(make_row(1, old.epoch))
    new = await journal.take_over()
    with pytest.raises(FencedError):
        await journal.append(make_row(2, old.epoch, journal.stored[-1].hash))
    with pytest.raises(FencedError):
        await journal.append(make_row(3, new.epoch))
    assert new.last_row == len(journal.stored) == 1
