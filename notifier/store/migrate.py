"""Brings a database to the newest schema: Alembic, each migration one transaction, version included."""

from pathlib import Path
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

import notifier
from notifier.errors import DatabaseUnusable
from notifier.store.sqlite import check_file, command_engine, explained

Standing = Literal["current", "older", "newer", "stranger"]


def scripts_directory() -> Path:
    """Where the migrations are: inside the installed package, or beside it in a checkout."""
    package = Path(notifier.__file__).parent
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts_directory()).replace("%", "%%"))
    return config


def _standing(connection: Connection) -> tuple[Standing, str | None]:
    scripts = ScriptDirectory.from_config(_config())
    current = MigrationContext.configure(connection).get_current_revision()
    tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
    if current is None and tables:
        return "stranger", current
    if current == scripts.get_current_head():
        return "current", current
    known = {script.revision for script in scripts.walk_revisions()}
    return ("older" if current is None or current in known else "newer"), current


def migrate(path: Path) -> bool:
    """Creates or upgrades the database; True when that changed it. Raises DatabaseUnusable with the remedy."""
    check_file(path, may_create=True)
    if path.exists() and path.stat().st_size > 0:
        _roll_back(path)
        _refuse(path, *_look(path))  # before anything of it is touched
    engine = command_engine(path, "migration")
    try:
        with explained(path, opening=True), engine.connect() as connection:
            journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
            if journal != "wal":
                raise DatabaseUnusable(f"{path}: its file system can't do SQLite's WAL mode (got {journal})")
            standing, _ = _standing(connection)
            connection.rollback()  # each migration begins, and ends, a transaction of its own
            if standing == "older":
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
            return standing == "older"
    finally:
        engine.dispose()


def _roll_back(path: Path) -> None:
    """Mends what a kill left of the switch to WAL, our only transaction with a journal: a reader can't."""
    if not Path(f"{path.resolve()}-journal").exists():
        return
    engine = command_engine(path, "command")
    try:
        with explained(path, opening=True), engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    finally:
        engine.dispose()


def check_current(path: Path) -> None:
    """For commands that only look: raises DatabaseUnusable unless the schema is this version's."""
    check_file(path, may_create=False)
    standing, current = _look(path)
    _refuse(path, standing, current)
    if standing == "older":
        raise DatabaseUnusable(f"{path} is from an older version; run `notifier migrate`")


def _look(path: Path) -> tuple[Standing, str | None]:
    engine = command_engine(path, "reader")
    try:
        with explained(path, opening=True), engine.connect() as connection:
            return _standing(connection)
    finally:
        engine.dispose()


def _refuse(path: Path, standing: Standing, revision: str | None) -> None:
    if standing == "newer":
        raise DatabaseUnusable(
            f"{path} is from a newer version of the notifier (schema {revision}); "
            "install that version, or restore a backup"
        )
    if standing == "stranger":
        raise DatabaseUnusable(f"{path} is another program's database; `database` must name a file of its own")
