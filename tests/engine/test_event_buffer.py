"""The recent events: any reading gives exactly the events asked for, in order."""

from hypothesis import given
from hypothesis import strategies as st

from engine.event_buffer import EventBuffer, cut
from ext.records import Kind, SessionOpen, encode, header, split


def event(sequence: int) -> bytes:
    """A one-unit record; the buffer reads nothing but lengths."""
    return encode(SessionOpen(header(Kind.SESSION_OPEN, sequence=sequence)))


def run(first: int, last: int) -> bytes:
    return b"".join(event(sequence) for sequence in range(first, last + 1))


def filled(sizes: list[int], bytes_max: int) -> EventBuffer:
    buffer, last = EventBuffer(0, bytes_max=bytes_max), 0
    for size in sizes:
        buffer.add(last + size, run(last + 1, last + size))
        last += size
    return buffer


sizes = st.lists(st.integers(0, 5), min_size=1, max_size=12)


@given(sizes, st.integers(1, 30), st.integers(1, 2000), st.integers(64, 2000))
def test_a_reading_starts_where_it_was_asked_to_and_is_dense(
    sizes: list[int], from_event: int, bytes_max: int, held_bytes: int
) -> None:
    buffer = filled(sizes, held_bytes)
    read = buffer.read(from_event, bytes_max)
    if from_event < buffer.first_event:
        assert read is None
        return
    assert read is not None
    if from_event > buffer.last_event:
        assert read == (from_event, b"")
        return
    assert read.records == run(from_event, read.next_event - 1)
    assert from_event < read.next_event <= buffer.last_event + 1
    assert len(read.records) <= max(bytes_max, 64)


@given(sizes, st.integers(64, 500))
def test_reading_on_and_on_gives_every_event_once(sizes: list[int], bytes_max: int) -> None:
    buffer, out, at = filled(sizes, 10**6), b"", 1
    while at <= buffer.last_event:
        read = buffer.read(at, bytes_max)
        assert read is not None
        out += read.records
        at = read.next_event
    assert out == run(1, sum(sizes))


def test_the_oldest_events_make_room() -> None:
    buffer = filled([3] * 100, 1000)
    assert buffer.bytes <= 1000
    assert (buffer.first_event, buffer.last_event) == (286, 300)


def test_a_cut_gives_at_least_one_event_however_small() -> None:
    assert cut(run(5, 9), 5, 9, 7, 1) == (8, event(7))
    assert len(list(split(cut(run(5, 9), 5, 9, 6, 10**6).records))) == 4
