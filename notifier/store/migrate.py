"""Brings a database to the newest schema: Alembic, each migration one transaction, version included.

Alembic is loaded only where there is something to migrate: it brings along what takes a fifth of a second and 10 MB.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, inspect

import notifier
from notifier.model.errors import DatabaseUnusable
from notifier.store.sqlite.files import as_store_errors, check_file, engine_for

if TYPE_CHECKING:
    from alembic.config import Config

SchemaState = Literal["current", "older", "newer", "stranger"]


def scripts_directory() -> Path:
    """Where the migrations are: inside the installed package, or beside it in a checkout."""
    package = Path(notifier.__file__).parent
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def revisions() -> list[str]:
    """All that there are, oldest first: the names of their files begin with them."""
    return sorted(file.name.partition("_")[0] for file in (scripts_directory() / "versions").glob("[0-9]*_*.py"))


def _schema_state(connection: Connection) -> tuple[SchemaState, str | None]:
    tables = set(inspect(connection).get_table_names())
    current: str | None = None
    if "alembic_version" in tables:
        current = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if current is None and tables - {"alembic_version"}:
        return "stranger", current
    known = revisions()
    if current == known[-1]:
        return "current", current
    return ("older" if current is None or current in known else "newer"), current


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts_directory()).replace("%", "%%"))
    return config


def _upgrade(connection: Connection, path: Path) -> None:
    from alembic import command

    config = _config()
    config.attributes |= {"connection": connection, "path": path}
    command.upgrade(config, "head")


def migrate(path: Path) -> bool:
    """Creates or upgrades the database; True when that changed it. Raises DatabaseUnusable with the remedy."""
    check_file(path, may_create=True)
    if path.exists() and path.stat().st_size > 0:
        _roll_back(path)
        _refuse(path, *_look(path))  # before anything of it is touched
    engine = engine_for(path, "migration")
    try:
        with as_store_errors(path, opening=True), engine.connect() as connection:
            journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
            if journal != "wal":
                raise DatabaseUnusable(f"{path}: its file system can't do SQLite's WAL mode (got {journal})")
            state, _ = _schema_state(connection)
            connection.rollback()  # the migrations begin, and end, a transaction of their own
            if state == "older":
                _upgrade(connection, path)
            return state == "older"
    finally:
        engine.dispose()


def _roll_back(path: Path) -> None:
    """Mends what a kill left of the switch to WAL, our only transaction with a journal: a reader can't."""
    if not Path(f"{path.resolve()}-journal").exists():
        return
    engine = engine_for(path, "command")
    try:
        with as_store_errors(path, opening=True), engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    finally:
        engine.dispose()


def check_current(path: Path) -> None:
    """For commands that only look: raises DatabaseUnusable unless the schema is this version's."""
    check_file(path, may_create=False)
    state, current = _look(path)
    _refuse(path, state, current)
    if state == "older":
        raise DatabaseUnusable(f"{path} is from an older version; run `notifier migrate`")


def _look(path: Path) -> tuple[SchemaState, str | None]:
    engine = engine_for(path, "reader")
    try:
        with as_store_errors(path, opening=True), engine.connect() as connection:
            return _schema_state(connection)
    finally:
        engine.dispose()


def _refuse(path: Path, state: SchemaState, revision: str | None) -> None:
    if state == "newer":
        raise DatabaseUnusable(
            f"{path} is from a newer version of the notifier (schema {revision}); "
            "install that version, or restore a backup"
        )
    if state == "stranger":
        raise DatabaseUnusable(f"{path} is another program's database; `database` must name a file of its own")
