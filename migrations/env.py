"""Alembic's entry: runs each migration as one transaction, which the caller's connection has set up.

The connection comes from `notifier.store.migrate`; there is no alembic.ini to edit and no offline mode to misuse.
"""

from alembic import context

connection = context.config.attributes["connection"]

context.configure(
    connection=connection,
    target_metadata=None,
    # Alembic takes SQLite's DDL for non-transactional; with an explicit BEGIN (see migrate.py) it is not.
    transactional_ddl=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
