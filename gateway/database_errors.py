"""What it looks like when PostgreSQL does not answer: wait and try again."""

from __future__ import annotations

from typing import Final

import asyncpg

DATABASE_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
