"""Tests of waking up by notifications."""

import asyncpg
import pytest

from engine.notifications import Notifications


async def test_a_notification_wakes_and_is_used_up(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    async with Notifications(postgres, "engine_test_a", "engine_test_b") as woken:
        await connection.execute("select pg_notify('engine_test_b', '')")
        await woken.wait(3600)
        await woken.wait(0)
    connection.terminate()


async def test_a_lost_connection_is_an_error(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    async with Notifications(postgres, "engine_test_lost") as woken:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'abst-listener' and datname = current_database()"
        )
        with pytest.raises(ConnectionError, match="engine_test_lost"):
            await woken.wait(3600)
    connection.terminate()
