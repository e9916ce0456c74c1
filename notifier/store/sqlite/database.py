"""A file of SQLite as the database of one worker. What needs SQLAlchemy loads it: a look at the status does not."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Row
from typing import TYPE_CHECKING

from notifier.model.errors import StoreError
from notifier.store.seat import Introduction, Seat
from notifier.store.sql.stored import time_of
from notifier.store.sqlite import files, lock, migration

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from notifier.store.thread import ConnectionThread

SHORT_PATIENCE = 0.5  # seconds


class SqliteLook:
    """One transaction by SQLite's own module."""

    yes = "1"
    replicas = (
        "SELECT '' AS name, version, started_at, last_seen_at, 0 AS silent, 'everything' AS parts, "
        "0 AS goes_by_another, 0 AS is_older FROM worker"
    )

    def __init__(self, connection: SqliteConnection) -> None:
        self._connection = connection

    def rows(self, statement: str) -> Iterator[Row]:
        cursor = self._connection.cursor()
        cursor.row_factory = Row
        return iter(cursor.execute(statement))


class SqliteDatabase:
    """See `Database`, which says what is what."""

    look_every = timedelta(seconds=2)  # `deliveries retry` is taken up within five

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None

    def __str__(self) -> str:
        return str(self._path)

    def check_current(self) -> None:
        migration.check_current(self._path)

    @contextmanager
    def look(self) -> Iterator[SqliteLook]:
        self._look_before()
        with files.look(self._path) as connection:
            yield SqliteLook(connection)

    @contextmanager
    def open(self, role: files.Role) -> "Iterator[Connection]":
        from notifier.store.sqlite.engine import as_store_errors, engine_for

        self._look_before()
        engine = engine_for(self._path, role)
        try:
            with as_store_errors(self._path, opening=True), engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def plain(self, connection: "Connection") -> SqliteLook:
        from notifier.store.sqlite.engine import driver

        return SqliteLook(driver(connection))

    def pulse(self) -> AbstractContextManager[Callable[[], int]]:
        from notifier.store.sqlite.pulse import open_pulse

        return open_pulse(self._path)

    def has_worker(self) -> bool:
        return lock.is_held(self._path)

    def silence_of(self, replica: str, now: datetime) -> timedelta | None:
        with self.look() as look:
            row = next(look.rows("SELECT last_seen_at FROM worker"), None)
        return now - time_of(row["last_seen_at"]) if row is not None else None

    def has_been_made(self) -> bool:
        return self._path.exists()

    def reserved(self) -> AbstractContextManager[None]:
        return lock.worker_lock(self._path)

    def prepare(self) -> bool:
        moved = Path(f"{self._path}.moved")
        if not self._path.exists() and moved.exists():
            import structlog  # which a look at the status needs not

            structlog.get_logger(__name__).warning(
                "a new database is made, where an earlier move left its database: does `database` name the new one?",
                database=str(self._path),
                moved=str(moved),
            )
        return self.migrate()

    def migrate(self) -> bool:
        return migration.migrate(self._path)

    @asynccontextmanager
    async def writing(self) -> "AsyncIterator[ConnectionThread]":
        from notifier.store.sqlite.engine import engine_for

        async with self._thread(engine_for(self._path, "worker")) as thread:
            yield thread

    @asynccontextmanager
    async def reading(self) -> "AsyncIterator[ConnectionThread]":
        from notifier.store.sqlite.engine import reading_engine

        async with self._thread(reading_engine(self._path)) as thread:
            yield thread

    def explain(self, error: BaseException, *, opening: bool = False) -> StoreError | None:
        return files.store_error_of(getattr(error, "orig", error), self._path, opening=opening)

    def hurry(self, connection: "Connection") -> None:
        from notifier.store.sqlite.engine import wait_for_lock

        wait_for_lock(SHORT_PATIENCE, connection)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        self._identity = files.identity(self._path)
        with files.open_here(self._path):
            yield

    def is_in_place(self) -> bool:
        """SQLite writes to a deleted file silently."""
        return files.identity(self._path) == self._identity

    def seat(self, introduction: Introduction) -> Seat:
        from notifier.store.sqlite.pulse import data_version
        from notifier.store.sqlite.seat import SoleSeat

        return SoleSeat(partial(data_version, self._path))

    def _look_before(self) -> None:
        """The worker's own server has checked the file, and must not open it by other means."""
        if not files.is_open_here(self._path):
            self.check_current()

    @asynccontextmanager
    async def _thread(self, engine: "Engine") -> "AsyncIterator[ConnectionThread]":
        from notifier.store.sqlite.engine import as_store_errors
        from notifier.store.sqlite.thread import own_thread

        async with AsyncExitStack() as stack:
            with as_store_errors(self._path, opening=True):
                thread = await stack.enter_async_context(own_thread(engine))
            yield thread
