"""Deliveries as `notifier deliveries` and `/api/deliveries` show them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, select, text, true

from notifier.model.delivery import DeliveryState
from notifier.store.sql.schema import deliveries
from notifier.store.views.database import open_database
from notifier.watchlist.database import DatabasePlace


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """The fields of `notifier deliveries --json`, in its order."""

    id: int
    event_id: str
    type: str
    receiver: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    """None once it is over."""
    delivered_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries; what is None does not matter."""

    ids: Collection[int] | None = None
    state: DeliveryState | None = None
    receiver: str | None = None
    since: datetime | None = None

    def condition(self) -> ColumnElement[bool]:
        """The same, for a statement."""
        conditions: list[ColumnElement[bool]] = []
        if self.ids is not None:
            conditions.append(deliveries.c.id.in_(self.ids))
        if self.state is not None:
            conditions.append(deliveries.c.state == self.state.value)
        if self.receiver is not None:
            conditions.append(deliveries.c.receiver == self.receiver)
        if self.since is not None:
            conditions.append(deliveries.c.created_at >= self.since)
        return and_(true(), *conditions)


def read_deliveries(place: DatabasePlace, wanted: DeliveryFilter, limit: int | None) -> tuple[DeliveryView, ...]:
    """The deliveries that fit, newest first, at most `limit`. Raises DatabaseUnusable."""
    statement = select(deliveries).where(wanted.condition()).order_by(deliveries.c.id.desc()).limit(limit)
    with open_database(place, "reader") as connection:
        return tuple(_delivery(row) for row in connection.execute(statement))


def in_state(state: DeliveryState) -> ColumnElement[bool]:
    """Deliveries in a state: a literal, no parameter, so that the database sees that a partial index has the answer."""
    return deliveries.c.state == text(f"'{state.value}'")


def _delivery(row: Any) -> DeliveryView:
    state = DeliveryState(row.state)
    return DeliveryView(
        id=row.id,
        event_id=row.event_id,
        type=row.event_type,
        receiver=row.receiver,
        state=state,
        attempts=row.attempts,
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at if state is DeliveryState.PENDING else None,
        delivered_at=row.finished_at if state is DeliveryState.DELIVERED else None,
        last_error=row.last_error,
    )
