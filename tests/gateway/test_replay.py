"""Joining records and live events: whatever the order of things, every event once and in order."""

from hypothesis import given
from hypothesis import strategies as st

from gateway import replay as replay_module
from gateway.replay import Replay


def frame(sequence: int) -> bytes:
    return str(sequence).encode()


@given(
    after=st.integers(0, 20),
    live_from=st.integers(1, 40),
    steps=st.lists(st.sampled_from(["live", "record", "read"]), max_size=120),
    page=st.integers(1, 7),
)
def test_a_stream_is_whole_whenever_it_joins(after: int, live_from: int, steps: list[str], page: int) -> None:
    live_next = max(live_from, after + 1)
    recorded = min(after, live_next - 1)
    replay, sent, joined = Replay(after, live_next - 1), list[bytes](), False
    for step in [*steps, *["record", "read"] * 200]:
        if step == "live":
            if joined:
                sent.append(frame(live_next))
            else:
                replay.live(live_next, frame(live_next))
            live_next += 1
        elif step == "record":
            recorded = min(recorded + 3, live_next - 1)
        elif not joined:
            rows = [(number, frame(number)) for number in range(replay.last + 1, recorded + 1)][:page]
            sent += replay.recorded(rows)
            if len(rows) < page and replay.joined(recorded):
                sent += replay.rest()
                joined = True
    assert joined
    assert sent == [frame(number) for number in range(after + 1, live_next)]


def test_too_much_held_is_dropped_and_comes_from_the_records(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(replay_module, "HELD_MAX", 3)
    replay = Replay(0, 0)
    for sequence in range(1, 6):
        replay.live(sequence, frame(sequence))
    assert replay.dropping
    assert not replay.joined(10**9)
    replay.hold_anew(5)
    replay.live(6, frame(6))
    sent = replay.recorded([(number, frame(number)) for number in range(1, 6)])
    assert replay.joined(5)
    assert sent + replay.rest() == [frame(number) for number in range(1, 7)]


def test_what_is_held_is_bounded_in_bytes(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(replay_module, "HELD_BYTES_MAX", 100)
    replay = Replay(0, 0)
    replay.live(1, b"x" * 60)
    replay.live(2, b"x" * 41)
    assert replay.dropping
    replay.hold_anew(2)
    replay.live(3, b"x" * 100)
    assert not replay.dropping
    assert replay.recorded([(1, b"1"), (2, b"2")])
    assert replay.rest() == [b"x" * 100]
    replay.live(4, b"x" * 100)
    assert not replay.dropping


def test_a_replay_that_waits_its_turn_holds_nothing_and_misses_nothing() -> None:
    replay = Replay(0, 0)
    replay.drop()
    replay.live(1, frame(1))
    assert not replay.joined(10**9)
    replay.hold_anew(7)
    assert not replay.joined(6)
    assert replay.recorded([(1, frame(1))]) == [frame(1)]
    assert replay.joined(7)
    assert replay.rest() == []
