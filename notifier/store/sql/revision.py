"""Which migrations a database has had, and whether that is what this version needs."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import notifier
from notifier.model.errors import AnothersVersion, DatabaseUnusable

SchemaState = Literal["current", "older", "newer", "stranger"]


def scripts_directory() -> Path:
    """Where the migrations are: inside the installed package, or beside it in a checkout."""
    package = Path(notifier.__file__).parent
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def revisions() -> list[str]:
    """All that there are, oldest first: the names of their files begin with them."""
    return sorted(file.name.partition("_")[0] for file in (scripts_directory() / "versions").glob("[0-9]*_*.py"))


def schema_state(tables: Collection[str], revision: str | None) -> SchemaState:
    """How a database stands to this version, by the tables and the revision that it has."""
    if revision is None and set(tables) - {"alembic_version"}:
        return "stranger"
    known = revisions()
    if revision == known[-1]:
        return "current"
    return "older" if revision is None or revision in known else "newer"


def refuse_others(database: object, state: SchemaState, revision: str | None) -> None:
    """Raises DatabaseUnusable for a database that this version can't bring up to date."""
    if state == "newer":
        raise AnothersVersion(
            f"{database} is from a newer version of the notifier (schema {revision}); "
            "install that version, or restore a backup"
        )
    if state == "stranger":
        raise DatabaseUnusable(f"{database} is another program's database; `database` must name one of its own")


def refuse_older(database: object, state: SchemaState) -> None:
    """For who only looks: raises DatabaseUnusable where migrations are due."""
    if state == "older":
        raise AnothersVersion(f"{database} is from an older version; run `notifier migrate`")
