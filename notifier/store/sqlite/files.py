"""SQLite itself: how its files are opened, and what its errors mean to us.

WAL with `synchronous=FULL` loses no acknowledged commit, at a power loss either. Before SQLite 3.51.3 two connections
that checkpoint can damage a WAL database, so only the worker's writing connection ever does.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection, Cursor, Error, OperationalError, connect
from typing import Literal
from urllib.parse import quote

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


def uri(path: Path) -> str:
    """The file as SQLite's URI, without its mode; as text "?", "#" and "%" in a name would lead to another file."""
    return f"file:{quote(str(path))}"


def set_up(connection: Connection, role: Role) -> None:
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


def _switch_to_wal(cursor: Cursor) -> None:
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


def store_error_of(error: BaseException | None, path: Path, *, opening: bool = False) -> StoreError | None:
    """Our error for one of SQLite's, which tells whether waiting can help; None where the fault is in our SQL.

    `opening`: what would pass later is an error now, and so is the rest.
    """
    name: str = getattr(error, "sqlite_errorname", "") or ""
    for known, reason in FOR_GOOD.items():
        if name.startswith(known):
            return DatabaseUnusable(f"{path}: {reason}")
    for known, reason in FOR_NOW.items():
        if name.startswith(known):
            said = f"{path}: {reason} ({name})"
            return DatabaseUnusable(said) if opening else StoreUnavailable(said)
    return DatabaseUnusable(f"{path}: {error}") if opening else None


@contextmanager
def look(path: Path) -> Iterator[Connection]:
    """One transaction that reads, by SQLite's own module: SQLAlchemy takes a quarter of a second to load.

    Raises DatabaseUnusable.
    """
    try:
        connection = connect(f"{uri(path)}?mode=ro", uri=True, isolation_level=None)
        try:
            set_up(connection, "reader")
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()
    except Error as error:
        raise store_error_of(error, path, opening=True) or error from error


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
