"""Alembic's entry: runs all that is to do as one transaction, which the caller's connection has set up.

The connection comes from `notifier.store.sql.upgrade`; there is no alembic.ini to edit and no offline mode to misuse.
"""

from alembic import context

from notifier.model.errors import DatabaseUnusable

connection = context.config.attributes["connection"]
is_sqlite = connection.dialect.name == "sqlite"

context.configure(
    connection=connection,
    target_metadata=None,
    # Alembic takes SQLite's DDL for non-transactional; with an explicit BEGIN (see the engine) it is not.
    transactional_ddl=True,
)
# One for all: where two processes migrate at once, the second reads the revision after the first has done everything.
with context.begin_transaction():
    context.run_migrations()
    # A migration that builds tables anew can't have them obeyed meanwhile (see `set_up`).
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").first() if is_sqlite else None
    if lost is not None:
        child, _, parent, _ = lost
        raise DatabaseUnusable(
            f"{context.config.attributes.get('database')}: rows of {child} refer to rows of {parent} that are gone; "
            "restore a backup, or remove them"
        )
