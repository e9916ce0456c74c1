"""Events as `notifier events`, `/api/events` and the page show them."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select

from notifier.model.identity import Id
from notifier.store.sql.schema import NONE, events
from notifier.store.views.database import open_database
from notifier.watchlist.database import DatabasePlace


@dataclass(frozen=True, slots=True)
class EventView:
    """One event. Not every one is of a sync, or of a run."""

    id: str
    type: str
    workspace: str
    sync_id: Id | None
    run_id: Id | None
    seen_at: datetime
    body: bytes = field(repr=False)
    """What every receiver gets, to the byte."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; what is None does not matter."""

    sync_id: Id | None = None
    types: Collection[str] | None = None


def read_events(place: DatabasePlace, wanted: EventFilter, limit: int | None) -> tuple[EventView, ...]:
    """The events that fit, newest first, at most `limit`. Raises DatabaseUnusable."""
    statement = newest_events(limit)
    if wanted.sync_id is not None:
        statement = statement.where(events.c.sync_id == wanted.sync_id)
    if wanted.types is not None:
        statement = statement.where(events.c.type.in_(wanted.types))
    with open_database(place, "reader") as connection:
        return tuple(event_of(row) for row in connection.execute(statement))


def newest_events(limit: int | None) -> Select[Any]:
    """The newest first, with the columns that `event_of` reads."""
    columns = (
        *(events.c.id, events.c.type, events.c.workspace, events.c.sync_id, events.c.run_id),
        *(events.c.seen_at, events.c.body),
    )
    return select(*columns).order_by(events.c.seq.desc()).limit(limit)


def event_of(row: Any) -> EventView:
    """One row of events."""
    return EventView(
        id=row.id,
        type=row.type,
        workspace=row.workspace,
        sync_id=None if row.sync_id == NONE else row.sync_id,
        run_id=None if row.run_id == NONE else row.run_id,
        seen_at=row.seen_at,
        body=row.body,
    )
