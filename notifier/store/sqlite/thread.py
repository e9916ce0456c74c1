"""A connection with a thread of its own, which runs whole pieces of work there: a transaction, a batch of reads.

The thread is aiosqlite's. Its calls by themselves make a trip there for each cursor, each statement and each close;
under load every trip waits for a turn of the event loop and of the interpreter's lock, twenty times in one transaction.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from sqlite3 import Connection as SqliteConnection
from typing import TypeVar

import aiosqlite
from sqlalchemy import Connection, Engine

T = TypeVar("T")


class _Thread(aiosqlite.Connection):
    """aiosqlite's thread; it also runs what is more than one call of its connection."""

    async def run(self, work: Callable[[], T]) -> T:
        done: T = await self._execute(work)  # type: ignore[no-untyped-call]
        return done


class OwnThread:
    """A connection that only its thread uses. Made by `own_thread`."""

    def __init__(self, thread: _Thread, connection: Connection) -> None:
        self._thread = thread
        self._connection = connection

    async def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, or raises, in the thread; it runs to its end whatever becomes of the caller."""
        return await self._thread.run(partial(work, self._connection))


@asynccontextmanager
async def own_thread(engine: Engine) -> AsyncIterator[OwnThread]:
    """Connects in a new thread. Raises what connecting raises; closes the connection, and ends the thread, after it."""
    connection: Connection

    def connect() -> SqliteConnection:
        nonlocal connection
        connection = engine.connect()
        driver: SqliteConnection = connection.connection.driver_connection  # type: ignore[assignment]
        return driver

    thread = _Thread(connect, iter_chunk_size=64)
    async with thread:
        try:
            yield OwnThread(thread, connection)
        finally:
            await thread.run(connection.close)
