"""What is not known to be durable is sent, and sent again, in order and without a gap."""

import pytest

from engine import frames
from engine.command import account_open
from engine.command_batch import CommandBatch
from engine.frames import FrameReader
from engine.unconfirmed_commands import UnconfirmedCommands
from ext.records import RecordError, decode_all, encode


def record(account: int) -> bytes:
    return encode(account_open(account, owner=1))


def sent_numbers(commands: UnconfirmedCommands) -> list[int]:
    """Send all that is unsent; every frame must be what a shard takes."""
    numbers: list[int] = []
    while commands.unsent:
        (frame,) = FrameReader(frames.CLIENT_FRAME_BYTES_MAX).feed(commands.next_frame())
        records, side = frames.read_commands(frame.payload)
        CommandBatch(commands.source, commands.incarnation, records, side)
        numbers += [decoded.header.number for decoded in decode_all(records)]
    return numbers


@pytest.fixture
def commands() -> UnconfirmedCommands:
    made = UnconfirmedCommands(5, 2)
    assert [made.add(record(account), b"side" if account % 2 else b"") for account in range(1, 2001)][
        -1
    ] == 2000
    return made


def test_everything_is_sent_once_in_order(commands: UnconfirmedCommands) -> None:
    assert sent_numbers(commands) == list(range(1, 2001))
    assert commands.add(record(1), b"") == 2001
    assert sent_numbers(commands) == [2001]


def test_a_new_connection_gets_what_the_shard_does_not_have(commands: UnconfirmedCommands) -> None:
    commands.next_frame()
    commands.begin_again(7)
    assert sent_numbers(commands) == list(range(8, 2001))


def test_confirming_frees_the_memory(commands: UnconfirmedCommands) -> None:
    commands.next_frame()
    commands.confirm(1999)
    assert commands.bytes == len(record(1))
    commands.confirm(5)
    assert commands.confirmed_number == 1999
    commands.confirm(2000)
    assert (commands.bytes, commands.sent, commands.unsent) == (0, False, False)


def test_a_shard_that_is_ahead_sets_the_numbers() -> None:
    commands = UnconfirmedCommands(5, 1)
    commands.begin_again(41)
    assert commands.add(record(1), b"") == 42


def test_a_record_that_is_no_command_leaves_no_gap(commands: UnconfirmedCommands) -> None:
    with pytest.raises(RecordError):
        commands.add(record(1)[:-1], b"")
    assert commands.add(record(1), b"") == 2001
