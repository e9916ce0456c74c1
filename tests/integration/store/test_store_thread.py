"""A connection with a thread of its own: what it runs, and that nothing of it is left."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from notifier.store.sqlite.engine import engine_for
from notifier.store.sqlite.thread import own_thread


@pytest.mark.asyncio
async def test_work_runs_in_one_other_thread_with_one_connection_and_its_answer_comes_back(database: Path) -> None:
    def where(connection: Connection) -> tuple[int, int]:
        return threading.get_ident(), id(connection)

    async with own_thread(engine_for(database, "command")) as thread:
        places = {await thread.run(where) for _ in range(3)}
        assert len(places) == 1
        assert threading.get_ident() not in {ident for ident, _ in places}


@pytest.mark.asyncio
async def test_what_work_raises_reaches_its_caller_and_the_next_work_is_done(database: Path) -> None:
    async with own_thread(engine_for(database, "command")) as thread:
        with pytest.raises(OperationalError, match="no such table"):
            await thread.run(lambda connection: connection.execute(text("SELECT * FROM nowhere")))
        await thread.run(lambda connection: connection.rollback())
        assert await thread.run(lambda connection: connection.scalar(text("SELECT 1"))) == 1


@pytest.mark.asyncio
async def test_work_is_done_to_its_end_though_its_caller_is_cancelled(database: Path) -> None:
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def slow(_: Connection) -> None:
        begun.set()
        go.wait(timeout=60)
        done.set()

    async with own_thread(engine_for(database, "command")) as thread:
        caller = asyncio.create_task(thread.run(slow))
        await asyncio.to_thread(begun.wait, 60)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go.set()
    assert done.is_set()


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["notifier.db", "not there.db"])
async def test_neither_a_thread_nor_an_open_file_is_left(database: Path, name: str) -> None:
    before = threading.active_count()
    driver: sqlite3.Connection | None = None

    def inside(connection: Connection) -> sqlite3.Connection:
        found = connection.connection.driver_connection
        assert isinstance(found, sqlite3.Connection)
        return found

    try:
        async with own_thread(engine_for(database.with_name(name), "command")) as thread:
            driver = await thread.run(inside)
            raise ZeroDivisionError
    except (ZeroDivisionError, OperationalError):
        async with asyncio.timeout(60):
            while threading.active_count() > before:
                await asyncio.sleep(0.01)
    if driver is not None:
        with pytest.raises(sqlite3.ProgrammingError, match=r"closed|thread"):
            driver.execute("SELECT 1")
    assert (driver is None) == (name == "not there.db")
