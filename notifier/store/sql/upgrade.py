"""Runs the migrations that are due, by Alembic, in the caller's transaction.

Alembic is loaded only where there is something to migrate: it brings along what takes a fifth of a second and 10 MB.
"""

from typing import TYPE_CHECKING

from sqlalchemy import Connection

from notifier.store.sql.revision import scripts_directory

if TYPE_CHECKING:
    from alembic.config import Config


def alembic_config() -> "Config":
    """Where the migrations are, without an alembic.ini."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts_directory()).replace("%", "%%"))
    return config


def upgrade(connection: Connection, database: object) -> None:
    """To the newest schema. `database` is named in errors. Raises DatabaseUnusable."""
    from alembic import command

    config = alembic_config()
    config.attributes |= {"connection": connection, "database": database}
    command.upgrade(config, "head")
