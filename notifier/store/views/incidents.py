"""What the commands show of incidents; see database.py for how they look."""

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import func, select

from notifier.model.incident import Check, Incident
from notifier.store.sql.rows import incident_of
from notifier.store.sql.schema import incidents
from notifier.store.views.database import open_database


def read_incidents(path: Path, limit: int | None = None, *, resolved: bool = False) -> tuple[Incident, ...]:
    """The open incidents, with `resolved` all of them, newest first, at most `limit`. Raises DatabaseUnusable."""
    statement = select(incidents).order_by(incidents.c.seq.desc()).limit(limit)
    if not resolved:
        statement = statement.where(incidents.c.open)
    with open_database(path, "reader") as connection:
        return tuple(incident_of(row) for row in connection.execute(statement))


def count_open(path: Path) -> Mapping[Check, int]:
    """How many incidents of each check are open; those of none are left out. Raises DatabaseUnusable."""
    count = select(incidents.c.check, func.count().label("number")).where(incidents.c.open)
    with open_database(path, "reader") as connection:
        found = {row.check: row.number for row in connection.execute(count.group_by(incidents.c.check))}
    return {check: found[check] for check in Check if check in found}
