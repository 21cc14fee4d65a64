"""What can go wrong before and around trading, as one closed, numbered list.

Refusals of orders and of the engine are ``engine.reasons.Reason`` (1xx to 8xx); these are the 9xx:
configuration, machine, data directory, files, and the venue being away. Numbers are never reused.
"""

from __future__ import annotations

from enum import IntEnum


class ProblemNumber(IntEnum):
    """Numbered reason why a command of ``abst`` could not do its work."""

    CONFIGURATION_INVALID = 901
    FILE_MISSING = 902
    FILE_MALFORMED = 903
    PORT_BUSY = 904
    TOOL_MISSING = 905
    DATA_DIRECTORY_IN_USE = 906
    DATA_OF_ANOTHER_VERSION = 907
    DATA_DIRECTORY_UNUSABLE = 908
    PROCESS_DID_NOT_START = 909
    VENUE_NOT_RUNNING = 910
    VENUE_GONE = 911
    NOTHING_TO_RESUME = 912
    RESUME_DIFFERS = 913
    COMMAND_REFUSED = 914
    CHAIN_REFUSED = 915
    WAITED_TOO_LONG = 916


class VenueError(Exception):
    """A command of ``abst`` cannot do its work; ``remedy`` tells the reader what to do about it.

    Shown as one line ``error NUMBER NAME: what`` and one line with the remedy; never with a traceback.
    """

    def __init__(self, number: ProblemNumber, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.number = number
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the line that names the problem."""
        return f"error {int(self.number)} {self.number.name.lower()}: {self.what}"


def problem_said(text: str) -> VenueError | None:
    """Return the problem that a process of the venue ended with, from its last words; None if it was no
    such.
    """
    lines = text.splitlines()
    for index, line in enumerate(lines):
        number, _, what = line.removeprefix("error ").partition(": ")
        if line.startswith("error ") and number.split(" ")[0].isdigit() and what:
            return VenueError(ProblemNumber(int(number.split(" ")[0])), what, "\n".join(lines[index + 1 :]))
    return None
