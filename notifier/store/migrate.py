"""Brings a database to the newest schema: Alembic, each migration one transaction, version included.

Alembic is loaded only where there is something to migrate: it brings along what takes a fifth of a second and 10 MB.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from notifier.model.errors import DatabaseUnusable
from notifier.store.revision import refuse_others, schema_state, scripts_directory
from notifier.store.sqlite.engine import as_store_errors, driver, engine_for
from notifier.store.sqlite.files import check_file, look

if TYPE_CHECKING:
    from alembic.config import Config


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
        with look(path) as connection:
            refuse_others(path, *schema_state(connection))  # before anything of it is touched
    engine = engine_for(path, "migration")
    try:
        with as_store_errors(path, opening=True), engine.connect() as connection:
            journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
            if journal != "wal":
                raise DatabaseUnusable(f"{path}: its file system can't do SQLite's WAL mode (got {journal})")
            connection.rollback()  # the migrations begin, and end, a transaction of their own
            state, _ = schema_state(driver(connection))
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
