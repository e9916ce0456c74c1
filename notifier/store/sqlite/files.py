"""SQLite itself: how its files are opened, and what its errors mean to us.

WAL with `synchronous=FULL` loses no acknowledged commit, at a power loss either. Before SQLite 3.51.3 two connections
that checkpoint can damage a WAL database, so only the worker's writing connection ever does.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Cursor as SqliteCursor
from sqlite3 import OperationalError
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from notifier.model.errors import DatabaseUnusable, StoreError, StoreUnavailable

BUSY_TIMEOUT = 5.0  # seconds that SQLite itself waits for another process' write lock
HEADER = b"SQLite format 3\x00"
Role = Literal["worker", "migration", "reader", "command"]

FOR_NOW = {  # the first that the error's name begins with
    "SQLITE_FULL": "the disk is full",
    "SQLITE_BUSY": "another process holds the write lock",
    "SQLITE_LOCKED": "another process holds the write lock",
    "SQLITE_IOERR_SHMSIZE": "the disk is full",  # the WAL's index can't grow
    "SQLITE_IOERR": "the disk failed",
    "SQLITE_READONLY_ROLLBACK": "left in mid-transaction; `notifier run` or `notifier migrate` rolls it back",
    "SQLITE_READONLY": "the file can't be written",
    "SQLITE_CANTOPEN": "the file, or one beside it, can't be opened",
    "SQLITE_NOMEM": "SQLite is out of memory",
}
FOR_GOOD = {
    "SQLITE_NOTADB": "the file is not an SQLite database",
    "SQLITE_CORRUPT": "the file is damaged; restore a backup",
}


def url(path: Path, mode: Literal["ro", "rw", "rwc"]) -> URL:
    """SQLAlchemy's URL; the file's URI carries the mode, so that nothing is created by accident."""
    # Not as text: SQLAlchemy would unquote it, and "?", "#" and "%" in a name would lead to another file.
    return URL.create("sqlite+pysqlite", database=f"file:{quote(str(path))}", query={"mode": mode, "uri": "true"})


def set_up(connection: Any, role: Role) -> None:
    """Sets the pragmas of a new DBAPI connection for its role."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT * 1000)}")
    # A migration that builds a table anew drops the old one, which would be its rows' end for those that refer to them.
    cursor.execute(f"PRAGMA foreign_keys={'OFF' if role == 'migration' else 'ON'}")
    cursor.execute("PRAGMA synchronous=FULL")
    if role == "migration":
        # A property of the file, set outside any transaction; read-only media refuse here, before anything else.
        _switch_to_wal(cursor)
    if role != "worker":
        cursor.execute("PRAGMA wal_autocheckpoint=0")
    if role == "reader":
        cursor.execute("PRAGMA query_only=ON")
    cursor.close()


def wait_for_lock(seconds: float, connection: Connection) -> None:
    """How long a connection waits for another process' write lock from now on."""
    driver: Any = connection.connection.driver_connection  # by itself: SQLAlchemy would begin a transaction
    driver.execute(f"PRAGMA busy_timeout={int(seconds * 1000)}").close()


def _switch_to_wal(cursor: SqliteCursor) -> None:
    """Waits itself: for this lock SQLite does not, and of two that make a database at once one would fail."""
    give_up = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def engine_for(path: Path, role: Role) -> Engine:
    """An engine that keeps no connection. Transactions that write begin IMMEDIATE."""
    modes: dict[Role, Literal["ro", "rw", "rwc"]] = {
        "worker": "rw",
        "migration": "rwc",
        "reader": "ro",
        "command": "rw",
    }
    engine = create_engine(url(path, modes[role]), poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _connect(connection: SqliteConnection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; SQLAlchemy's recipe
        set_up(connection, role)

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN" if role == "reader" else "BEGIN IMMEDIATE")

    return engine


def store_error_of(error: DBAPIError, path: Path) -> StoreError | None:
    """Our error for one of SQLite's, which tells whether waiting can help; None where the fault is in our SQL."""
    name: str = getattr(error.orig, "sqlite_errorname", "") or ""
    for known, reason in FOR_GOOD.items():
        if name.startswith(known):
            return DatabaseUnusable(f"{path}: {reason}")
    for known, reason in FOR_NOW.items():
        if name.startswith(known):
            return StoreUnavailable(f"{path}: {reason} ({name})")
    return None


@contextmanager
def as_store_errors(path: Path, *, opening: bool = False) -> Iterator[None]:
    """Turns SQLite's errors inside into ours. `opening`: what would pass later is an error now."""
    try:
        yield
    except DBAPIError as error:
        ours = store_error_of(error, path)
        if opening and not isinstance(ours, DatabaseUnusable):
            ours = DatabaseUnusable(str(ours) if ours else f"{path}: {error.orig}")
        if ours is None:
            raise
        raise ours from error


_OPEN_HERE: set[tuple[int, int]] = set()


def identity(path: Path) -> tuple[int, int] | None:
    """Which file a path leads to; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


@contextmanager
def open_here(path: Path) -> Iterator[None]:
    """Meanwhile this process, the worker, has the database open by SQLite.

    Nothing else of it may open the file then: closing that again would take SQLite's locks away with it (POSIX locks
    are a process', see sqlite.org/howtocorrupt.html, 2.2), and another process might then remove the WAL.
    """
    found = identity(path)
    if found is not None:
        _OPEN_HERE.add(found)
    try:
        yield
    finally:
        _OPEN_HERE.discard(found or (0, 0))


def is_open_here(path: Path) -> bool:
    """Whether this process' worker has this database open, and so has looked at it before."""
    return identity(path) in _OPEN_HERE


def check_file(path: Path, *, may_create: bool) -> None:
    """Looks at the file before SQLite does, for the mistakes that it would answer by making a new database."""
    try:
        _check_file(path, may_create=may_create)
    except OSError as error:
        raise DatabaseUnusable(f"{path}: {error.strerror}") from error


def _check_file(path: Path, *, may_create: bool) -> None:
    if not path.parent.is_dir():
        raise DatabaseUnusable(f"{path}: the directory {path.parent} does not exist; create it or change `database`")
    if path.is_dir():
        raise DatabaseUnusable(f"{path} is a directory; `database` must name a file")
    size = path.stat().st_size if path.exists() else 0
    if size == 0:
        real = Path(os.path.realpath(path))  # SQLite keeps its files beside what a symbolic link points to
        wal = real.with_name(real.name + "-wal")
        if wal.exists() and wal.stat().st_size > 0:
            raise DatabaseUnusable(f"{path} is empty or gone but {wal.name} is not: restore both, or remove {wal.name}")
        if not may_create:
            raise DatabaseUnusable(f"{path}: no database there yet; `notifier run` or `notifier migrate` makes it")
        return
    with path.open("rb") as file:
        if file.read(len(HEADER)) != HEADER:
            raise DatabaseUnusable(f"{path}: the file is not an SQLite database")
