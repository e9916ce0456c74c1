"""What commands and the page order: each is a short write beside the worker, which looks for it every few seconds."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from notifier.model.delivery import DeliveryState
from notifier.store.sql.schema import deliveries, receivers
from notifier.store.views.database import open_database
from notifier.store.views.deliveries import DeliveryFilter
from notifier.watchlist.database import DatabasePlace


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of an order to try deliveries again."""

    ids: tuple[int, ...]
    """What is tried again."""
    left: Mapping[int, str]
    """What is left as it is, since its receiver (named beside the ID) is gone."""


def retry_deliveries(
    place: DatabasePlace, wanted: DeliveryFilter, now: datetime, configured: Collection[str]
) -> Retried:
    """Makes dead deliveries pending with a fresh clock and pending ones due now.

    `configured`: the receivers of the watchlist. No others can be sent anything: what is theirs would wait for ever.
    Broken ones are tried at once. Raises DatabaseUnusable.
    """
    unfinished = or_(deliveries.c.state == DeliveryState.DEAD.value, deliveries.c.state == DeliveryState.PENDING.value)
    with open_database(place, "command") as connection:
        rows = connection.execute(
            select(deliveries.c.id, deliveries.c.receiver).where(and_(unfinished, wanted.condition()))
        ).all()
        ids = [row.id for row in rows if row.receiver in configured]
        for start in range(0, len(ids), 1_000):
            chosen = deliveries.c.id.in_(ids[start : start + 1_000])
            revived = {"state": "pending", "clock_started_at": now, "first_failed_at": None, "finished_at": None}
            dead = deliveries.c.state == DeliveryState.DEAD.value
            connection.execute(update(deliveries).where(chosen).values(next_attempt_at=now))
            connection.execute(update(deliveries).where(and_(chosen, dead)).values(aside=False, **revived))
        for name in {row.receiver for row in rows} & set(configured):
            _ask_to_try(connection, name, now)
    return Retried(tuple(ids), {row.id: row.receiver for row in rows if row.receiver not in configured})


def try_receiver(place: DatabasePlace, name: str, now: datetime) -> None:
    """Has a running worker try a receiver at once that it has found broken. Raises DatabaseUnusable."""
    with open_database(place, "command") as connection:
        _ask_to_try(connection, name, now)


def _ask_to_try(connection: Connection, name: str, now: datetime) -> None:
    ask = upsert(receivers).values(name=name, probe_at=now)
    connection.execute(ask.on_conflict_do_update(index_elements=["name"], set_={"probe_at": now}))
