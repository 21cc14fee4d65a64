"""TCP ports of the stack: a free one, or a clear word that one is busy."""

from __future__ import annotations

import socket

from venue.problems import ProblemNumber, VenueError


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refuse_busy_port(host: str, port: int, name: str, what: str) -> None:
    """Raise VenueError 903 if the port cannot be listened on; ``name`` is its name in the configuration."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        variable = f"ABST_{name.upper().replace('.', '__')}"
        raise VenueError(
            ProblemNumber.PORT_BUSY,
            f"port {port} of {host} for {what} cannot be used: {error.strerror}",
            f"Stop what uses it, or set {name} in abst.toml, or {variable}; 0 takes a free one.",
        ) from error
