"""The time a shard stamps on its commands: never before the last one, never from a clock that jumped.

Time is state: one stamp far in the future would stand in every later one. So a wall clock that disagrees
with the machine's steady clock, or at the start with the journal's own clock, is refused:
:class:`ClockError`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

JUMP_NS_MAX: Final = 2_000_000_000
_SLEW_PARTS: Final = 1000


class ClockError(RuntimeError):
    """The wall clock jumped, lies behind the journal, or disagrees with the journal's clock."""


def steady_ns() -> int:
    """Return a clock that nobody sets and that also runs while the machine sleeps, in nanoseconds."""
    boot_clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(boot_clock)


class ShardClock:
    """Stamps for one incarnation, from ``clock_ns`` (wall, UTC) watched by ``steady_clock_ns``."""

    def __init__(
        self,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        steady_clock_ns: Callable[[], int] = steady_ns,
        jump_ns_max: int = JUMP_NS_MAX,
    ) -> None:
        self._clock_ns = clock_ns
        self._steady_clock_ns = steady_clock_ns
        self._jump_ns_max = jump_ns_max
        self._wall_ns = clock_ns()
        self._steady_ns = steady_clock_ns()

    def now_ns(self) -> int:
        """Return the wall clock, unchecked."""
        return self._clock_ns()

    def compare(self, journal_ns: int) -> None:
        """Raise :class:`ClockError` unless the wall clock agrees with the journal's, read just now."""
        self._refuse_beyond(self._clock_ns() - journal_ns, self._jump_ns_max, "the journal's clock")

    def stamp_ns(self, last_ns: int) -> int:
        """Return the time of a command after one stamped ``last_ns``.

        Raises:
            ClockError: The clock jumped since the last stamp, or lies further behind ``last_ns`` than a jump
            may.
        """
        wall_ns, steady = self._clock_ns(), self._steady_clock_ns()
        passed = steady - self._steady_ns
        self._refuse_beyond(
            wall_ns - self._wall_ns - passed, self._jump_ns_max + passed // _SLEW_PARTS, "itself"
        )
        self._wall_ns, self._steady_ns = wall_ns, steady
        if wall_ns < last_ns:
            self._refuse_beyond(wall_ns - last_ns, self._jump_ns_max, "the last command")
        return max(wall_ns, last_ns)

    def _refuse_beyond(self, off_ns: int, limit_ns: int, what: str) -> None:
        if abs(off_ns) > limit_ns:
            raise ClockError(
                f"the wall clock is {off_ns / 1e9:+.3f} s off {what}: set it right, commands wait until then"
            )
