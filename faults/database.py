"""Looks at the worker's database past the worker, by sqlite3 alone."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from faults.row import must

Rows = list[tuple[Any, ...]]


def look(path: Path, query: str, *parameters: object) -> Rows:
    """What a living database says, read-only."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        return connection.execute(query, parameters).fetchall()


@contextmanager
def post_mortem(path: Path) -> Iterator[sqlite3.Connection]:
    """A copy of what a dead worker left, opened: the original stays as it is for the next worker."""
    path = path.resolve()  # SQLite keeps the WAL beside what a symbolic link leads to
    with tempfile.TemporaryDirectory(prefix="faults.") as directory:
        copy = Path(directory) / path.name
        for suffix in ("", "-wal"):
            if (source := path.with_name(path.name + suffix)).exists():
                shutil.copyfile(source, copy.with_name(copy.name + suffix))
        with closing(sqlite3.connect(copy)) as connection:
            yield connection


def pending(path: Path) -> dict[str, set[str]]:
    """By receiver, the events whose outcome a dead worker had not kept."""
    found: dict[str, set[str]] = {}
    with post_mortem(path) as connection:
        for receiver, event_id in connection.execute(
            "SELECT receiver, event_id FROM deliveries WHERE state = 'pending'"
        ):
            found.setdefault(receiver, set()).add(event_id)
    return found


def must_be_sound(path: Path) -> None:
    """The database is whole, by SQLite's own checks."""
    with post_mortem(path) as connection:
        for check, whole in (("integrity_check", [("ok",)]), ("foreign_key_check", [])):
            said = connection.execute(f"PRAGMA {check}").fetchall()
            must(said == whole, f"PRAGMA {check} says {said[:5]}")
