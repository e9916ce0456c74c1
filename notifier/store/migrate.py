"""Brings a database to the newest schema, or says that it is not there."""

from notifier.store.database import database_at
from notifier.watchlist.database import DatabasePlace


def migrate(place: DatabasePlace) -> bool:
    """Creates or upgrades the database; True when that changed it. Raises DatabaseUnusable with the remedy."""
    return database_at(place).migrate()


def check_current(place: DatabasePlace) -> None:
    """For commands that only look: raises DatabaseUnusable unless the schema is this version's."""
    database_at(place).check_current()
