"""A file of SQLite as one end of a move. By SQLite's own module: rows are moved as they are stored."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from sqlite3 import Connection, Error, OperationalError, connect
from typing import Any, Final

from sqlalchemy import Table

from notifier.model.errors import AlreadyRunning, DatabaseUnusable
from notifier.store.sql.moving import BATCH, OF_ALL, Batches, columns_of, number_of, truths_of
from notifier.store.sqlite import files, lock

PATIENCE: Final = 5.0  # seconds, for a command that looks at the file for a moment
PAUSE: Final = 0.05
_GIVEN: Final = "sqlite_sequence"  # SQLite's own table of the last numbers that it gave


class SqliteRows:
    """What is in the file, in one transaction that keeps all others from writing."""

    tables: Sequence[Table] = OF_ALL

    def __init__(self, path: Path, connection: Connection) -> None:
        self._path = path
        self._connection = connection

    def count(self, table: Table) -> int:
        return int(self._one(f'SELECT count(*) FROM "{table.name}"'))  # noqa: S608 - names of ours, as all below

    def rows(self, table: Table) -> Batches:
        names, truths = ", ".join(f'"{name}"' for name in columns_of(table)), truths_of(table)
        with _errors(self._path):
            cursor = self._connection.execute(f'SELECT {names} FROM "{table.name}"')  # noqa: S608
            while rows := cursor.fetchmany(BATCH):
                yield [_with_truths(row, truths) for row in rows] if truths else rows

    def add(self, table: Table, batches: Batches) -> None:
        names = ", ".join(f'"{name}"' for name in columns_of(table))
        marks = ", ".join("?" * len(table.columns))
        for rows in batches:
            self._connection.executemany(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', rows)  # noqa: S608

    def last_number(self, table: Table) -> int:
        column = number_of(table)
        if column is None:
            return 0
        given = self._one(f"SELECT seq FROM {_GIVEN} WHERE name = ?", table.name)  # noqa: S608
        return max(given or 0, self._one(f'SELECT max("{column.name}") FROM "{table.name}"') or 0)  # noqa: S608

    def count_on_from(self, table: Table, number: int) -> None:
        if table.dialect_options["sqlite"]["autoincrement"]:  # of others SQLite takes the largest
            self._connection.execute(f"DELETE FROM {_GIVEN} WHERE name = ?", (table.name,))  # noqa: S608
            self._connection.execute(f"INSERT INTO {_GIVEN} (name, seq) VALUES (?, ?)", (table.name, number))  # noqa: S608

    def is_wanted(self) -> bool:
        """Who wants to write waits for the transaction's end, and a worker for the lock's: nobody comes between."""
        return False

    def make_room(self) -> None:
        """There is nothing but the tables."""

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def _one(self, query: str, *given: object) -> Any:
        with _errors(self._path):
            (value,) = self._connection.execute(query, given).fetchone() or (None,)
        return value


def _with_truths(row: Sequence[Any], truths: Sequence[int]) -> tuple[Any, ...]:
    values = list(row)
    for place in truths:
        if values[place] is not None:
            values[place] = bool(values[place])
    return tuple(values)


class SqliteEnd:
    """See `End`, which says what is what."""

    def __init__(self, path: Path) -> None:
        self._path = path
        real = Path(os.path.realpath(path))  # SQLite keeps its files beside what a symbolic link points to
        self._real = real
        named = real if path.is_symlink() else path  # as people named it, where that is the file itself
        self._moved = named.parent / f"{named.name}.moved"  # also of one that has no name, as "."

    def __str__(self) -> str:
        return str(self._path)

    def is_at(self, other: object) -> bool:
        return isinstance(other, SqliteEnd) and self._real == other._real

    def check_source(self, *, keep: bool) -> None:
        found = files.identity(self._path)
        if found is None or self._path.stat().st_size == 0:
            was = f"; {self._moved} is what an earlier move left of it" if self._moved.exists() else ""
            raise DatabaseUnusable(f"{self}: there is no database to move{was}; `--from` must name the one to leave")
        files.check_file(self._path, may_create=False)
        if not keep and os.path.lexists(self._moved):
            raise DatabaseUnusable(
                f"{self} would be renamed, but {self._moved} is there already; put that elsewhere, or say --keep"
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                stack.enter_context(lock.worker_lock(self._path))
            except AlreadyRunning as error:
                who = f"the worker with PID {error.pid}" if error.pid else "a worker"
                raise DatabaseUnusable(f"{self} is in use by {who}; stop it before anything is moved") from None
            yield

    @contextmanager
    def source(self) -> Iterator[SqliteRows]:
        with self._transaction("command") as rows:
            yield rows

    @contextmanager
    def target(self) -> Iterator[SqliteRows]:
        with self._transaction("worker") as rows:
            yield rows

    @contextmanager
    def _transaction(self, role: files.Role) -> Iterator[SqliteRows]:
        """Rolled back unless it is committed inside."""
        with _errors(self._path), closing(self._connected(role)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield SqliteRows(self._path, connection)

    def put_away(self) -> str:
        with _errors(self._path), closing(self._connected("worker")) as connection:
            _bring_home(connection)
        try:
            self._real.rename(self._moved)
            _sync(self._real.parent)
        except OSError as error:
            raise DatabaseUnusable(f"{self} can't be renamed: {error.strerror}") from error
        return f"{self} is {self._moved} now, so that no worker goes on with it"

    def advice(self) -> str:
        return f"{self} is as it was: remove it, for a worker that goes on with it tells everything a second time"

    def _connected(self, role: files.Role) -> Connection:
        connection = connect(f"{files.uri(self._path)}?mode=rw", uri=True, isolation_level=None)
        files.set_up(connection, role)
        return connection


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Around each read too: behind what is read here may stand another file, whose fault it is not."""
    try:
        yield
    except Error as error:
        raise files.store_error_of(error, path, opening=True) or error from error


def _bring_home(connection: Connection) -> None:
    """All into the file itself: the WAL and its index go. Waits itself: SQLite does not, for who looks meanwhile."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
            return
        except OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > give_up:
                raise
            time.sleep(PAUSE)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
