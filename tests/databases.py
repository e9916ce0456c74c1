"""Databases for tests that are not about how one comes to be."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from notifier.store.migrate import migrate


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as place:
        path = Path(place) / "notifier.db"
        migrate(path)
        return path.read_bytes()


def new_database(path: Path) -> None:
    """An empty database of the newest schema, open nowhere. The migrations run once in each process of tests."""
    path.write_bytes(_migrated())
