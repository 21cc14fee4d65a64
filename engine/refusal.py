"""A refusal: the numbered reason, and by how much where the reason has an amount."""

from __future__ import annotations

from typing import NamedTuple

from engine.reasons import Reason


class Refusal(NamedTuple):
    """Why a command changes nothing; ``limit`` is what was allowed or there, ``actual`` what was asked."""

    reason: Reason
    limit: int = 0
    actual: int = 0
