"""Brings a file of SQLite to the newest schema, and says how it stands to this version."""

from pathlib import Path
from sqlite3 import Connection

from notifier.model.errors import DatabaseUnusable
from notifier.store.sql.revision import SchemaState, refuse_older, refuse_others, schema_state
from notifier.store.sqlite.files import check_file, look


def state_of(connection: Connection) -> tuple[SchemaState, str | None]:
    """How the file's schema stands to this version's, and its revision if it has one."""
    named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    tables = {name for (name,) in connection.execute(named)}
    revision: str | None = None
    if "alembic_version" in tables:
        revision, *_ = connection.execute("SELECT version_num FROM alembic_version").fetchone() or (None,)
    return schema_state(tables, revision), revision


def check_current(path: Path) -> None:
    """Raises DatabaseUnusable unless the schema is this version's."""
    check_file(path, may_create=False)
    with look(path) as connection:
        state, revision = state_of(connection)
    refuse_others(path, state, revision)
    refuse_older(path, state)


def migrate(path: Path) -> bool:
    """Creates or upgrades the file; True when that changed it. Raises DatabaseUnusable with the remedy."""
    from notifier.store.sql.upgrade import upgrade
    from notifier.store.sqlite.engine import as_store_errors, driver, engine_for

    check_file(path, may_create=True)
    if path.exists() and path.stat().st_size > 0:
        _roll_back(path)
        with look(path) as connection:
            refuse_others(path, *state_of(connection))  # before anything of it is touched
    engine = engine_for(path, "migration")
    try:
        with as_store_errors(path, opening=True), engine.connect() as connection:
            journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
            if journal != "wal":
                raise DatabaseUnusable(f"{path}: its file system can't do SQLite's WAL mode (got {journal})")
            connection.rollback()  # the migrations begin, and end, a transaction of their own
            state, _ = state_of(driver(connection))
            if state == "older":
                upgrade(connection, path)
            return state == "older"
    finally:
        engine.dispose()


def _roll_back(path: Path) -> None:
    """Mends what a kill left of the switch to WAL, our only transaction with a journal: a reader can't."""
    from notifier.store.sqlite.engine import as_store_errors, engine_for

    if not Path(f"{path.resolve()}-journal").exists():
        return
    engine = engine_for(path, "command")
    try:
        with as_store_errors(path, opening=True), engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    finally:
        engine.dispose()
