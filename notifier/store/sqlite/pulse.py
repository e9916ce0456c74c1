"""Whether anyone else has written to the database, without reading any of it (SQLite's data_version)."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from notifier.model.errors import StoreUnavailable
from notifier.store.sqlite.engine import as_store_errors, engine_for


def data_version(path: Path, connection: Connection) -> int:
    """A number that differs once another connection than this one has written. Raises StoreUnavailable."""
    return _ask(path, connection.connection.driver_connection)


@contextmanager
def open_pulse(path: Path) -> Iterator[Callable[[], int]]:
    """A question whose answer differs once anyone has written. Raises StoreError.

    It is not to be asked twice at once, but from any thread. A thread that nobody waits for any more may still ask
    while this closes: SQLite's connection must not go away under it, which would crash the process.
    """
    engine, in_use = engine_for(path, "reader"), threading.Lock()
    try:
        with as_store_errors(path, opening=True), engine.connect() as connection:
            driver = connection.connection.driver_connection

            def ask() -> int:
                with in_use:
                    return _ask(path, driver)

            try:
                yield ask
            finally:
                with in_use:
                    connection.close()
    finally:
        engine.dispose()


def _ask(path: Path, driver: Any) -> int:
    """Costs one stat of the WAL's index, and no transaction: SQLAlchemy by itself would begin one."""
    try:
        return int(driver.execute("PRAGMA data_version").fetchone()[0])
    except sqlite3.Error as error:  # the driver's own: this one statement does not pass through SQLAlchemy
        raise StoreUnavailable(f"{path}: {error}") from error
