"""A look at the database, or a command's short write to it, open for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from notifier.store.database import Role, database_at
from notifier.watchlist.database import DatabasePlace


@contextmanager
def open_database(place: DatabasePlace, role: Role) -> Iterator[Connection]:
    """One transaction. Raises DatabaseUnusable where there is nothing to look at."""
    with database_at(place).open(role) as connection:
        yield connection
