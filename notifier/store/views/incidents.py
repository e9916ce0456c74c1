"""What the commands show of incidents; see database.py for how they look."""

from sqlalchemy import select

from notifier.model.incident import Incident
from notifier.store.sql.rows import incident_of
from notifier.store.sql.schema import incidents
from notifier.store.views.database import open_database
from notifier.watchlist.database import DatabasePlace


def read_incidents(place: DatabasePlace, limit: int | None = None, *, resolved: bool = False) -> tuple[Incident, ...]:
    """The open incidents, with `resolved` all of them, newest first, at most `limit`. Raises DatabaseUnusable."""
    statement = select(incidents).order_by(incidents.c.seq.desc()).limit(limit)
    if not resolved:
        statement = statement.where(incidents.c.open)
    with open_database(place, "reader") as connection:
        return tuple(incident_of(row) for row in connection.execute(statement))
