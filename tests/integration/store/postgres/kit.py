"""Workers at one PostgreSQL server: whole stores, and seats whose looks and clock the test moves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, LiteralString

import psycopg

from notifier.store.postgres.engine import PostgresThread, engine_for_thread
from notifier.store.postgres.replica import Replica
from notifier.store.seat import Introduction
from notifier.store.sql import worker as statements
from notifier.store.sql.parts import Group
from notifier.store.store import Store
from notifier.watchlist.database import ServerUrl
from tests.integration.store.builders import NOW


def rows_at(url: str, query: LiteralString, *given: Any) -> list[tuple[Any, ...]]:
    """What a query finds, past all workers and lines."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query, given).fetchall()


def change_at(url: str, statement: LiteralString, *given: Any) -> int:
    """The number of rows that a statement changed, past all workers and lines."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement, given).rowcount


WORK = "everything"
"""The only part that there is."""


async def until(holds: Callable[[], object]) -> None:
    """Waits until something holds; not for ever."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


def a_sign_of_life(version: str) -> Group:
    """The least write there is; the version says whose it was."""
    return statements.SAVE_WORKER, [{"id": 1, "version": version, "started_at": NOW, "last_seen_at": NOW}]


def kept(url: str) -> str | None:
    """The version of the last such write that is in the database."""
    return next((version for (version,) in rows_at(url, "SELECT version FROM worker")), None)


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Worker:
    """A seat with its two connections. It looks when it is told to; nobody else writes or looks."""

    def __init__(self, place: ServerUrl, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.seat = Replica(place, Introduction(name, 1, "0"), clock)
        self.seat.wants([WORK], "the watchlist")
        self.writing = PostgresThread(engine_for_thread(place, "READ COMMITTED"))
        self.looking = PostgresThread(engine_for_thread(place, "AUTOCOMMIT"))

    async def look(self) -> None:
        """Looks until there is no reason to look again at once."""
        while await self.seat._look(self.writing, self.looking):
            pass
        await self.seat._show_life(self.writing)

    async def write(self, version: str) -> None:
        """A write as the store's writer makes it."""
        await self.writing.run(partial(self.seat.transact, [a_sign_of_life(version)], self.seat.life))

    @property
    def id(self) -> str:
        assert self.seat.life is not None
        return self.seat.life.id

    async def close(self) -> None:
        await self.writing.close()
        await self.looking.close()


async def settled(store: Store) -> None:
    """Until the worker has all the work, and nothing else is written just then."""
    store.seat.wants([WORK], "the watchlist")
    await store.seat.changed(frozenset(), frozenset())


@asynccontextmanager
async def workers(url: str, *names: str, clock: Clock | None = None) -> AsyncIterator[list[Worker]]:
    """Workers that share a clock, none of which has joined."""
    shared = clock or Clock()
    stand = [Worker(ServerUrl(url), name, shared) for name in names]
    try:
        yield stand
    finally:
        for worker in stand:
            await worker.close()


async def pass_time(seconds: float, *living: Worker) -> None:
    """Moves the clock by steps; the living look at each."""
    clock = living[0].clock
    end = clock.now + seconds
    while clock.now < end:
        clock.now = min(clock.now + 0.5, end)
        for worker in living:
            await worker.look()


@contextmanager
def holding(url: str, statement: LiteralString, *given: Any) -> Iterator[psycopg.Connection]:
    """A transaction that has done this and does not end."""
    with psycopg.connect(url) as connection:
        connection.execute(statement, given)
        yield connection
        connection.rollback()
