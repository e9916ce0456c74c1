"""A look at the database, open for a moment.

Beside a running worker these read, or write with BEGIN IMMEDIATE, and never checkpoint (see sqlite/files.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection

from notifier.store.revision import check_current
from notifier.store.sqlite.engine import as_store_errors, engine_for
from notifier.store.sqlite.files import is_open_here


@contextmanager
def open_database(path: Path, role: Literal["reader", "command"]) -> Iterator[Connection]:
    """One transaction. Raises DatabaseUnusable where there is nothing to look at."""
    if not is_open_here(path):  # the worker's own server: it has checked the file, and must not open it by other means
        check_current(path)
    engine = engine_for(path, role)
    try:
        with as_store_errors(path, opening=True), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
