"""The commands that will share a journal row, with what came of them."""

from __future__ import annotations

from engine.journal import JournalRow, Lease, row_hash


class CommandGroup:
    """Commands applied after ``last_command`` and ``last_event``, in the order in which they were."""

    __slots__ = ("_commands", "_events", "_side", "bytes", "last_command", "last_event")

    def __init__(self, last_command: int, last_event: int) -> None:
        self.last_command = last_command
        self.last_event = last_event
        self.bytes = 0
        self._commands: list[bytes] = []
        self._side: list[bytes] = []
        self._events: list[bytes] = []

    def __bool__(self) -> bool:
        return bool(self._commands)

    def add(self, commands: bytes, side: bytes, events: bytes) -> None:
        """Add stamped commands, their side data as in a COMMANDS frame, and their events."""
        self._commands.append(commands)
        self._side.append(side)
        self._events.append(events)
        self.bytes += len(commands) + len(side) + len(events)

    def row(
        self, lease: Lease, number: int, previous_hash: bytes, last_command: int, last_event: int,
        state_digest: bytes | None,
    ) -> JournalRow:  # fmt: skip
        """Return the group's journal row; ``last_command`` and ``last_event`` are the last ones in it."""
        commands, side, events = b"".join(self._commands), b"".join(self._side), b"".join(self._events)
        chained = row_hash(previous_hash, lease.shard, number, lease.epoch, commands, side, events)
        return JournalRow(
            lease.shard, number, lease.epoch, self.last_command + 1, last_command, self.last_event + 1,
            last_event, commands, side, events, previous_hash, chained, state_digest,
        )  # fmt: skip
