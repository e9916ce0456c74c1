"""A PostgreSQL server as the database of any number of workers. What needs SQLAlchemy loads it."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import psycopg
from psycopg.rows import dict_row

import notifier
from notifier.model.errors import StoreError
from notifier.store.postgres import connect as border
from notifier.store.postgres import migration
from notifier.store.seat import Introduction, Seat
from notifier.watchlist.database import ServerUrl

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from notifier.store.thread import ConnectionThread

MIGRATING: Final = "notifier migrate"  # its name among the replicas, as long as it waits for those of older versions
LONGEST_LOOK: Final = "20s"
# A command that is stopped at its terminal must not stop the worker.
_HOLD: Final = "SELECT set_config('idle_in_transaction_session_timeout', '5s', true)"
# Beats are left out: nothing that people see changes by them.
_PULSE: Final = (
    "SELECT id, written FROM replicas UNION ALL SELECT name, value FROM counters WHERE name = 'commanded' ORDER BY 1"
)
_SILENT: Final = (
    "SELECT name, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - seen_at AS silent FROM replicas"
)
# As `Versions.ailment` has it: where nobody of the database's version is there, none of an older one is of any use.
_IS_WORKED_AT: Final = (
    "SELECT FROM replicas WHERE revision >= (SELECT version_num FROM alembic_version) "
    "AND seen_at > (extract(epoch FROM clock_timestamp()) - 60) * 1000000"
)
# Within 15 s, five times as long as a living one is silent.
_ALIVE: Final = (
    "SELECT count(*) > 0 AS alive FROM replicas WHERE seen_at > (extract(epoch FROM clock_timestamp()) - 15) * 1000000"
)


class PostgresLook:
    """One transaction by psycopg alone."""

    yes = "true"
    replicas = (
        "SELECT replicas.name, version, joined_at AS started_at, seen_at AS last_seen_at, "
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint - seen_at AS silent, "
        "coalesce(string_agg(parts.name, chr(10) ORDER BY parts.name), '') AS parts, "
        "watchlist <> '' AND watchlist <> (SELECT watchlist FROM in_force) AS goes_by_another, "
        "revision < (SELECT version_num FROM alembic_version) "
        "OR (revision < (SELECT max(revision) FROM replicas) AND count(parts.name) = 0) AS is_older "
        "FROM replicas LEFT JOIN parts ON owner = replicas.id GROUP BY replicas.id ORDER BY replicas.name, joined_at"
    )

    def __init__(self, connection: border.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str) -> Iterator[dict[str, Any]]:
        cursor = self._connection.cursor(row_factory=dict_row)
        return iter(cursor.execute(statement.encode()))


class PostgresDatabase:
    """See `Database`, which says what is what."""

    look_every = timedelta(seconds=0.25)  # what another worker watches is told here

    def __init__(self, place: ServerUrl) -> None:
        self._place = place

    def __str__(self) -> str:
        return str(self._place)

    def check_current(self) -> None:
        with self.look():
            pass

    @contextmanager
    def look(self) -> Iterator[PostgresLook]:
        with self._errors(), border.connect(self._place) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            connection.execute("SELECT set_config('statement_timeout', %s, true)", (LONGEST_LOOK,))
            migration.check_current(self._place, connection)
            yield PostgresLook(connection)

    @contextmanager
    def open(self, role: str) -> "Iterator[Connection]":
        from sqlalchemy import text

        from notifier.store.postgres.engine import as_store_errors, engine_for_looks
        from notifier.store.postgres.statements import COMMANDED

        engine = engine_for_looks(self._place, "REPEATABLE READ" if role == "reader" else "READ COMMITTED")
        with as_store_errors(self._place, opening=True), engine.begin() as connection:
            connection.execute(text(f"SELECT set_config('statement_timeout', '{LONGEST_LOOK}', true)"))
            migration.check_current(self._place, self.plain(connection)._connection)
            if role == "command":
                connection.execute(text(_HOLD))
                # Waits for the workers' transactions, and they for it: rows that both want can be no deadlock.
                connection.execute(text("LOCK TABLE deliveries IN SHARE ROW EXCLUSIVE MODE"))
                # What it waited for may have been a migration.
                migration.check_current(self._place, self.plain(connection)._connection)
                connection.execute(COMMANDED)
            yield connection

    def plain(self, connection: "Connection") -> PostgresLook:
        driver: Any = connection.connection.driver_connection
        return PostgresLook(driver)

    @contextmanager
    def pulse(self) -> Iterator[Callable[[], object]]:
        with self._errors():
            connection = border.connect(self._place)
        connection.autocommit = True
        in_use = threading.Lock()

        def ask() -> object:
            try:
                with in_use:
                    return connection.execute(_PULSE).fetchall()
            except psycopg.Error as error:
                raise border.explain(self._place, error) or error from error

        try:
            yield ask
        finally:
            with in_use:
                connection.close()

    def has_worker(self) -> bool:
        with self.look() as look:
            return next(look.rows(_ALIVE))["alive"] is True

    def silence_of(self, replica: str, now: datetime) -> timedelta | None:
        """By the server's clock, whatever `now` is; also of one that stands by for another version's sake."""
        with self._errors(), border.connect(self._place) as connection:
            migration.check_made(self._place, connection)
            if connection.execute(_IS_WORKED_AT).fetchone() is None:
                migration.check_current(self._place, connection)
            silent = [row["silent"] for row in PostgresLook(connection).rows(_SILENT) if row["name"] == replica]
        return timedelta(microseconds=min(silent)) if silent else None

    def has_been_made(self) -> bool:
        return True

    def reserved(self) -> AbstractContextManager[None]:
        """Others may work on it; that only one migrates is a lock of the migration's own."""
        return nullcontext()

    def prepare(self) -> bool:
        return migration.prepare(self._place)

    def migrate(self) -> bool:
        return self.prepare() or (not self._is_current() and asyncio.run(self._take_over()))

    @asynccontextmanager
    async def writing(self) -> "AsyncIterator[ConnectionThread]":
        async with self._thread("READ COMMITTED") as thread:
            yield thread

    @asynccontextmanager
    async def reading(self) -> "AsyncIterator[ConnectionThread]":
        async with self._thread("AUTOCOMMIT") as thread:
            yield thread

    def explain(self, error: BaseException, *, opening: bool = False) -> StoreError | None:
        return border.explain(self._place, error, opening=opening)

    def hurry(self, connection: "Connection") -> None:
        """No write waits long for a lock as it is."""

    def in_use(self) -> AbstractContextManager[None]:
        return nullcontext()

    def is_in_place(self) -> bool:
        """A server whose database went back in time is noticed by the seat."""
        return True

    def seat(self, introduction: Introduction) -> Seat:
        from notifier.store.postgres.replica import Replica

        return Replica(self._place, introduction)

    @asynccontextmanager
    async def _thread(self, isolation: Literal["READ COMMITTED", "AUTOCOMMIT"]) -> "AsyncIterator[ConnectionThread]":
        from notifier.store.postgres.engine import as_store_errors, engine_for_thread, own_thread

        async with AsyncExitStack() as stack:
            with as_store_errors(self._place, opening=True):
                thread = await stack.enter_async_context(own_thread(engine_for_thread(self._place, isolation)))
            yield thread

    def _is_current(self) -> bool:
        with self._errors(), border.connect(self._place) as connection:
            return migration.state_of(connection)[0] == "current"

    async def _take_over(self) -> bool:
        """As a worker of this version does, and leaves. Raises StoreError."""
        from notifier.store.postgres.replica import Replica

        seat = Replica(self._place, Introduction(MIGRATING, os.getpid(), notifier.__version__))
        async with self.writing() as writing:
            attending = asyncio.create_task(seat.run(writing))
            migrated = asyncio.create_task(seat.until_migrated())
            try:
                await asyncio.wait((attending, migrated), return_when=asyncio.FIRST_COMPLETED)
                if attending.done():
                    attending.result()
                await migrated
                return True
            finally:
                attending.cancel()
                migrated.cancel()
                await asyncio.gather(attending, migrated, return_exceptions=True)
                await seat.leave(writing)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Of a look: what would pass later is an error now."""
        try:
            yield
        except psycopg.Error as error:
            raise border.explain(self._place, error, opening=True) or error from error
