"""The sockets that have not logged on: bounded in number, so that who never does keeps nobody else out."""

from __future__ import annotations


class Lobby:
    """At most ``limit`` guests at once; a guest is whatever the caller says it is."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._guests: set[object] = set()

    def enter(self, guest: object) -> bool:
        """Let a guest in; returns False where there is no room."""
        if len(self._guests) >= self._limit:
            return False
        self._guests.add(guest)
        return True

    def leave(self, guest: object) -> None:
        """The guest logged on or went, if it is there."""
        self._guests.discard(guest)
