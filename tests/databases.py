"""Databases for tests that are not about how one comes to be."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from notifier.store.migrate import migrate
from notifier.watchlist.database import ServerUrl

if TYPE_CHECKING:
    from tests.postgres.server import Postgres


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as place:
        path = Path(place) / "notifier.db"
        migrate(path)
        return path.read_bytes()


def new_database(path: Path) -> None:
    """An empty database of the newest schema, open nowhere. The migrations run once in each process of tests."""
    path.write_bytes(_migrated())


def postgres_template(server: "Postgres") -> str:
    """The name of a PostgreSQL database of the newest schema, to make others from."""
    return server.template("migrated", lambda url: migrate(ServerUrl(url)))


def empty(place: ServerUrl) -> None:
    """A PostgreSQL database as `migrate` leaves it."""
    from notifier.store.postgres.connect import connect

    with connect(place) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
        tables = ", ".join(sorted(str(name) for (name,) in found if name not in ("alembic_version", "counters")))
        connection.execute(f"TRUNCATE {tables} RESTART IDENTITY".encode())
        connection.execute("UPDATE counters SET value = 0")
