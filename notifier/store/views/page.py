"""What the status page shows of a database; see database.py for how one is looked at.

All of one page is read in one transaction, so that its parts agree.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, or_, select, tuple_

from notifier.model.delivery import DeliveryState
from notifier.model.identity import Id
from notifier.model.incident import Incident
from notifier.store.database import database_at
from notifier.store.sql.rows import incident_of
from notifier.store.sql.schema import NONE, deliveries, events, incidents, snapshots, syncs
from notifier.store.sql.stored import Look
from notifier.store.views.deliveries import in_state
from notifier.store.views.events import EventView, event_of, newest_events
from notifier.store.views.overview import Overview, overview_of
from notifier.store.views.runs import NEWEST_RUNS, RunSummary, newest_run, run_summary_of
from notifier.store.views.status import ReplicaView, replicas_of
from notifier.watchlist.database import DatabasePlace

SyncKey = tuple[str, Id]  # workspace, sync

RUNS_SHOWN: Final = 30
MOST_INCIDENTS: Final = 50
MOST_DELIVERIES: Final = 50
MOST_EVENTS: Final = 50


@dataclass(frozen=True, slots=True)
class LastRuns:
    """What a sync's last runs came to."""

    newest: str | None
    """The status of the newest."""
    failed: bool
    """Whether the last that completed or failed did fail."""


@dataclass(frozen=True, slots=True)
class SyncRow:
    """A watched sync, as the database knows it."""

    workspace: str
    id: Id
    label: str | None
    paused: bool | None
    """None where that is not known yet."""


@dataclass(frozen=True, slots=True)
class UnreadSync:
    """A sync whose runs, or one of whose runs, can't be read: since when, and why."""

    since: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A delivery that waits, or is dead."""

    id: int
    type: str
    receiver: str
    workspace: str
    sync_id: Id | None
    sync_label: str | None
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Happenings:
    """What is open or over, waits, died and happened to one sync. The newest first, except for what waits."""

    incidents: tuple[Incident, ...]
    waiting: tuple[Unfinished, ...]
    dead: tuple[Unfinished, ...]
    events: tuple[EventView, ...]


class PageReader:
    """One look at the database."""

    def __init__(self, connection: Connection, plain: Look) -> None:
        self._connection = connection
        self._plain = plain

    def health(self, configured: Collection[str]) -> Overview:
        """`configured`: the receivers of the watchlist; others are shown while they have unfinished deliveries."""
        return overview_of(self._plain, configured, with_removed=True)

    def replicas(self) -> tuple[ReplicaView, ...]:
        """The workers that there are, as `notifier status` shows them."""
        return replicas_of(self._plain)

    def watched(self, workspaces: Collection[str], sync_id: Id | None = None) -> tuple[SyncRow, ...]:
        """The watched syncs of these workspaces, all or only those with an ID."""
        columns = (syncs.c.workspace, syncs.c.sync_id, syncs.c.label, syncs.c.paused)
        statement = select(*columns).where(syncs.c.watched, syncs.c.workspace.in_(workspaces))
        if sync_id is not None:
            statement = statement.where(syncs.c.sync_id == sync_id)
        return tuple(SyncRow(*row) for row in self._connection.execute(statement))

    def last_runs(self) -> Mapping[SyncKey, LastRuns]:
        """Of each watched sync that has runs."""
        run, result = snapshots.alias("run"), snapshots.alias("result")
        with_run = syncs.outerjoin(run, run.c.id == newest_run())
        rows = self._connection.execute(
            select(syncs.c.workspace, syncs.c.sync_id, run.c.id, run.c.status, result.c.status.label("result"))
            .select_from(with_run.outerjoin(result, result.c.id == newest_run(counted=True)))
            .where(syncs.c.watched)
        )
        return {
            (row.workspace, row.sync_id): LastRuns(row.status, row.result == "failed")
            for row in rows
            if row.id is not None
        }

    def last_runs_of(self, key: SyncKey) -> LastRuns | None:
        """The same of one sync, watched or not; None where it has no runs."""
        of_sync = (
            select(snapshots.c.status, snapshots.c.counted)
            .where(tuple_(snapshots.c.workspace, snapshots.c.sync_id) == key)
            .order_by(snapshots.c.created_at.desc().nulls_last(), snapshots.c.id.desc())
        )
        newest = self._connection.execute(of_sync.limit(1)).first()
        result = self._connection.execute(of_sync.where(snapshots.c.counted).limit(1)).first()
        return LastRuns(newest.status, result is not None and result.status == "failed") if newest else None

    def unread(self) -> Mapping[SyncKey, UnreadSync]:
        """The watched syncs that can't be read now."""
        is_unread = and_(syncs.c.watched, or_(syncs.c.unread_since.is_not(None), syncs.c.last_error.is_not(None)))
        columns = (syncs.c.workspace, syncs.c.sync_id, syncs.c.unread_since, syncs.c.last_error)
        rows = self._connection.execute(select(*columns).where(is_unread))
        return {(row.workspace, row.sync_id): UnreadSync(row.unread_since, row.last_error) for row in rows}

    def runs(self, keys: Sequence[SyncKey], limit: int = RUNS_SHOWN) -> Mapping[SyncKey, tuple[RunSummary, ...]]:
        """The last runs of each of these syncs, oldest first."""
        found: dict[SyncKey, tuple[RunSummary, ...]] = {}
        for workspace, sync_id in keys:
            wanted = {"workspace": workspace, "sync_id": sync_id, "most": limit}
            rows = self._connection.execute(NEWEST_RUNS, wanted).all()
            found[workspace, sync_id] = tuple(run_summary_of(row) for row in reversed(rows))
        return found

    def open_incidents(self) -> tuple[Incident, ...]:
        """All that are open, newest first."""
        statement = select(incidents).where(incidents.c.open).order_by(incidents.c.seq.desc())
        return tuple(incident_of(row) for row in self._connection.execute(statement))

    def waiting(self) -> tuple[Unfinished, ...]:
        """What has waited longest, at most 50."""
        return self._unfinished(DeliveryState.PENDING)

    def dead(self) -> tuple[Unfinished, ...]:
        """The newest that died, at most 50."""
        return self._unfinished(DeliveryState.DEAD)

    def newest_events(self) -> tuple[EventView, ...]:
        """The newest 50."""
        return self._events()

    def sync_label(self, key: SyncKey) -> str | None:
        """What the database calls a sync that may no longer be watched."""
        of_sync = select(syncs.c.label).where(tuple_(syncs.c.workspace, syncs.c.sync_id) == key)
        label: str | None = self._connection.execute(of_sync).scalar()
        return label

    def happenings(self, key: SyncKey) -> Happenings:
        """All of one sync: incidents that are over too."""
        of_sync = and_(incidents.c.workspace == key[0], incidents.c.sync_id == key[1])
        rows = self._connection.execute(
            select(incidents).where(of_sync).order_by(incidents.c.seq.desc()).limit(MOST_EVENTS)
        )
        return Happenings(
            tuple(incident_of(row) for row in rows),
            self._unfinished(DeliveryState.PENDING, key),
            self._unfinished(DeliveryState.DEAD, key),
            self._events(key),
        )

    def _unfinished(self, state: DeliveryState, key: SyncKey | None = None) -> tuple[Unfinished, ...]:
        first = deliveries.c.id if state is DeliveryState.PENDING else deliveries.c.id.desc()
        statement = (
            select(deliveries, syncs.c.label)
            .select_from(
                deliveries.outerjoin(
                    syncs, and_(syncs.c.workspace == deliveries.c.workspace, syncs.c.sync_id == deliveries.c.sync_id)
                )
            )
            .where(in_state(state))
            .order_by(first)
            .limit(MOST_DELIVERIES)
        )
        if key is not None:
            statement = statement.where(tuple_(deliveries.c.workspace, deliveries.c.sync_id) == key)
        return tuple(_delivery(row) for row in self._connection.execute(statement))

    def _events(self, key: SyncKey | None = None) -> tuple[EventView, ...]:
        statement = newest_events(MOST_EVENTS)
        if key is not None:
            statement = statement.where(tuple_(events.c.workspace, events.c.sync_id) == key)
        return tuple(event_of(row) for row in self._connection.execute(statement))


@contextmanager
def looked_at(place: DatabasePlace) -> Iterator[PageReader]:
    """One look at the database. Raises DatabaseUnusable where it has nothing to look at."""
    database = database_at(place)
    with database.open("reader") as connection:
        yield PageReader(connection, database.plain(connection))


def _delivery(row: Any) -> Unfinished:
    return Unfinished(
        id=row.id,
        type=row.event_type,
        receiver=row.receiver,
        workspace=row.workspace,
        sync_id=None if row.sync_id == NONE else row.sync_id,
        sync_label=row.label,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at,
        last_error=row.last_error,
    )
