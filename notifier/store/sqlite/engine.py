"""SQLite by SQLAlchemy; see files.py for how its files are opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any, Literal

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from notifier.store.sqlite import files


def url(path: Path, mode: Literal["ro", "rw", "rwc"]) -> URL:
    """SQLAlchemy's URL; the file's URI carries the mode, so that nothing is created by accident."""
    # Not as text: SQLAlchemy would unquote it.
    return URL.create("sqlite+pysqlite", database=files.uri(path), query={"mode": mode, "uri": "true"})


def driver(connection: Connection) -> SqliteConnection:
    """SQLite's own connection: for what must not begin a transaction, and for what knows no SQLAlchemy."""
    own: Any = connection.connection.driver_connection
    return own  # type: ignore[no-any-return]


def wait_for_lock(seconds: float, connection: Connection) -> None:
    """How long a connection waits for another process' write lock from now on."""
    driver(connection).execute(f"PRAGMA busy_timeout={int(seconds * 1000)}").close()


def engine_for(path: Path, role: files.Role) -> Engine:
    """An engine that keeps no connection. Transactions that write begin IMMEDIATE."""
    modes: dict[files.Role, Literal["ro", "rw", "rwc"]] = {
        "worker": "rw",
        "migration": "rwc",
        "reader": "ro",
        "command": "rw",
    }
    engine = create_engine(url(path, modes[role]), poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _connect(connection: SqliteConnection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; SQLAlchemy's recipe
        files.set_up(connection, role)

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN" if role == "reader" else "BEGIN IMMEDIATE")

    return engine


def reading_engine(path: Path) -> Engine:
    """An engine whose connection only reads, and never checkpoints. Each read sees what was committed before it."""
    engine = create_engine(url(path, "ro"), poolclass=NullPool, isolation_level="AUTOCOMMIT")

    @event.listens_for(engine, "connect")
    def _connect(connection: SqliteConnection, _record: object) -> None:
        files.set_up(connection, "reader")

    return engine


@contextmanager
def as_store_errors(path: Path, *, opening: bool = False) -> Iterator[None]:
    """Turns SQLite's errors inside into ours. `opening`: what would pass later is an error now."""
    try:
        yield
    except DBAPIError as error:
        ours = files.store_error_of(error.orig, path, opening=opening)
        if ours is None:
            raise
        raise ours from error
