"""Which migrations a database has had, and whether that is what this version needs. By SQLite's own module alone."""

from pathlib import Path
from sqlite3 import Connection
from typing import Literal

import notifier
from notifier.model.errors import DatabaseUnusable
from notifier.store.sqlite.files import check_file, look

SchemaState = Literal["current", "older", "newer", "stranger"]


def scripts_directory() -> Path:
    """Where the migrations are: inside the installed package, or beside it in a checkout."""
    package = Path(notifier.__file__).parent
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def revisions() -> list[str]:
    """All that there are, oldest first: the names of their files begin with them."""
    return sorted(file.name.partition("_")[0] for file in (scripts_directory() / "versions").glob("[0-9]*_*.py"))


def schema_state(connection: Connection) -> tuple[SchemaState, str | None]:
    """How the database's schema stands to this version's, and its revision if it has one."""
    named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    tables = {name for (name,) in connection.execute(named)}
    current: str | None = None
    if "alembic_version" in tables:
        current, *_ = connection.execute("SELECT version_num FROM alembic_version").fetchone() or (None,)
    if current is None and tables - {"alembic_version"}:
        return "stranger", current
    known = revisions()
    if current == known[-1]:
        return "current", current
    return ("older" if current is None or current in known else "newer"), current


def check_current(path: Path) -> None:
    """For commands that only look: raises DatabaseUnusable unless the schema is this version's."""
    check_file(path, may_create=False)
    with look(path) as connection:
        state, current = schema_state(connection)
    refuse_others(path, state, current)
    if state == "older":
        raise DatabaseUnusable(f"{path} is from an older version; run `notifier migrate`")


def refuse_others(path: Path, state: SchemaState, revision: str | None) -> None:
    """Raises DatabaseUnusable for a database that this version can't bring up to date."""
    if state == "newer":
        raise DatabaseUnusable(
            f"{path} is from a newer version of the notifier (schema {revision}); "
            "install that version, or restore a backup"
        )
    if state == "stranger":
        raise DatabaseUnusable(f"{path} is another program's database; `database` must name a file of its own")
