"""What the status page shows of a database; see views.py for how one is looked at.

All of one page is read in one transaction, so that its parts agree.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, func, or_, select, text, tuple_

from notifier.model.delivery import DeliveryState
from notifier.model.incident import Incident
from notifier.store.sql.rows import incident_of
from notifier.store.sql.schema import (
    NONE,
    deliveries,
    events,
    incidents,
    receivers,
    snapshots,
    syncs,
    worker,
    workspaces,
)
from notifier.store.views.status import EventView, WorkerView, event_view, open_database

SyncKey = tuple[str, int]  # workspace, sync

RUNS_SHOWN: Final = 30
MOST_INCIDENTS: Final = 50
MOST_DELIVERIES: Final = 50
MOST_EVENTS: Final = 50


@dataclass(frozen=True, slots=True)
class WorkspaceHealth:
    """`down_since`: when it first gave no usable answer, and has given none since; `stretch` as in WorkspaceView."""

    name: str
    ok: bool
    last_error: str | None
    last_polled_at: datetime | None
    down_since: datetime | None
    stretch: float
    needed_rate: float | None


@dataclass(frozen=True, slots=True)
class ReceiverHealth:
    """`broken_since` and `failing_since` are None while it works; `pending` and `dead` count its deliveries."""

    name: str
    broken_since: datetime | None = None
    failing_since: datetime | None = None
    last_error: str | None = None
    last_accepted_at: datetime | None = None
    pending: int = 0
    dead: int = 0

    @property
    def works(self) -> bool:
        return self.broken_since is None and self.failing_since is None


@dataclass(frozen=True, slots=True)
class LastRuns:
    """How a sync's newest run is (`newest`), and whether the last that counts failed."""

    newest: str | None
    failed: bool


@dataclass(frozen=True, slots=True)
class Unread:
    """A sync whose runs, or one of whose runs, can't be read: since when, and why."""

    since: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run as its snapshot has it."""

    id: int
    status: str | None
    canceled: bool
    error_code: str | None
    error_message: str | None
    created_at: datetime | None
    updated_at: datetime | None
    completed_at: datetime | None
    records_sent: int | None
    full_sync: bool | None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A delivery that waits, or is dead."""

    id: int
    type: str
    receiver: str
    workspace: str
    sync_id: int | None
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


@dataclass(frozen=True, slots=True)
class Health:
    """How the worker, the workspaces and the receivers are."""

    worker: WorkerView | None
    workspaces: Mapping[str, WorkspaceHealth]
    receivers: Mapping[str, ReceiverHealth]


class PageReader:
    """One look at the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def health(self, configured: Collection[str]) -> Health:
        """`configured`: the receivers of the watchlist; others are shown while they have dead deliveries."""
        row = self._connection.execute(select(worker)).first()
        return Health(
            WorkerView(row.version, row.started_at, row.last_seen_at) if row else None,
            {each.name: _workspace(each) for each in self._connection.execute(select(workspaces))},
            self._receivers(configured),
        )

    def last_runs(self) -> Mapping[SyncKey, LastRuns]:
        """Of each watched sync that has runs."""
        run, result = snapshots.alias("run"), snapshots.alias("result")
        rows = self._connection.execute(
            select(syncs.c.workspace, syncs.c.sync_id, run.c.id, run.c.status, result.c.status.label("result"))
            .select_from(
                syncs.outerjoin(run, run.c.id == _newest()).outerjoin(result, result.c.id == _newest(counted=True))
            )
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
            .order_by(snapshots.c.created_at.desc(), snapshots.c.id.desc())
        )
        newest = self._connection.execute(of_sync.limit(1)).first()
        result = self._connection.execute(of_sync.where(snapshots.c.counted).limit(1)).first()
        return LastRuns(newest.status, result is not None and result.status == "failed") if newest else None

    def unread(self) -> Mapping[SyncKey, Unread]:
        """The watched syncs that can't be read now."""
        is_unread = and_(syncs.c.watched, or_(syncs.c.unread_since.is_not(None), syncs.c.last_error.is_not(None)))
        columns = (syncs.c.workspace, syncs.c.sync_id, syncs.c.unread_since, syncs.c.last_error)
        rows = self._connection.execute(select(*columns).where(is_unread))
        return {(row.workspace, row.sync_id): Unread(row.unread_since, row.last_error) for row in rows}

    def runs(self, keys: Sequence[SyncKey], limit: int = RUNS_SHOWN) -> Mapping[SyncKey, tuple[RunSummary, ...]]:
        """The last runs of each of these syncs, oldest first."""
        found: dict[SyncKey, tuple[RunSummary, ...]] = {}
        for workspace, sync_id in keys:
            rows = self._connection.execute(_RUNS, {"workspace": workspace, "sync_id": sync_id, "most": limit}).all()
            found[workspace, sync_id] = tuple(_run(row) for row in reversed(rows))
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

    def _receivers(self, configured: Collection[str]) -> Mapping[str, ReceiverHealth]:
        known = {row.name: row for row in self._connection.execute(select(receivers))}
        pending, dead = self._counts(DeliveryState.PENDING), self._counts(DeliveryState.DEAD)
        names = sorted(set(configured) | pending.keys() | dead.keys())
        return {
            name: ReceiverHealth(
                name,
                known[name].broken_since if name in known else None,
                known[name].failed_since if name in known and known[name].failing else None,
                known[name].last_error if name in known else None,
                known[name].last_accepted_at if name in known else None,
                pending.get(name, 0),
                dead.get(name, 0),
            )
            for name in names
        }

    def _counts(self, state: DeliveryState) -> Mapping[str, int]:
        count = select(deliveries.c.receiver, func.count().label("number")).where(_in(state))
        return {row.receiver: row.number for row in self._connection.execute(count.group_by("receiver"))}

    def _unfinished(self, state: DeliveryState, key: SyncKey | None = None) -> tuple[Unfinished, ...]:
        columns = [deliveries.c[name] for name in Unfinished.__slots__ if name not in ("type", "sync_label")]
        first = deliveries.c.id if state is DeliveryState.PENDING else deliveries.c.id.desc()
        statement = (
            select(*columns, deliveries.c.event_type, syncs.c.label)
            .select_from(
                deliveries.outerjoin(
                    syncs, and_(syncs.c.workspace == deliveries.c.workspace, syncs.c.sync_id == deliveries.c.sync_id)
                )
            )
            .where(_in(state))
            .order_by(first)
            .limit(MOST_DELIVERIES)
        )
        if key is not None:
            statement = statement.where(tuple_(deliveries.c.workspace, deliveries.c.sync_id) == key)
        return tuple(_delivery(row) for row in self._connection.execute(statement))

    def _events(self, key: SyncKey | None = None) -> tuple[EventView, ...]:
        columns = (events.c[name] for name in EventView.__slots__)
        statement = select(*columns).order_by(events.c.seq.desc()).limit(MOST_EVENTS)
        if key is not None:
            statement = statement.where(tuple_(events.c.workspace, events.c.sync_id) == key)
        return tuple(event_view(row) for row in self._connection.execute(statement))


@contextmanager
def looked_at(path: Path) -> Iterator[PageReader]:
    """One look at the database. Raises DatabaseUnusable where it has nothing to look at."""
    with open_database(path, "reader") as connection:
        yield PageReader(connection)


def _newest(*, counted: bool = False) -> Any:
    of_sync = and_(snapshots.c.workspace == syncs.c.workspace, snapshots.c.sync_id == syncs.c.sync_id)
    newest = select(snapshots.c.id).where(of_sync)
    if counted:
        newest = newest.where(snapshots.c.counted)
    newest = newest.order_by(snapshots.c.created_at.desc(), snapshots.c.id.desc()).limit(1)
    return newest.correlate(syncs).scalar_subquery()


def _in(state: DeliveryState) -> Any:
    # A literal, not a parameter: SQLite then sees that its partial index answers the question.
    return deliveries.c.state == text(f"'{state.value}'")


_RUN_COLUMNS: Final = tuple(snapshots.c[name] for name in RunSummary.__slots__ if name != "id")
_RUNS: Final[Select[Any]] = (
    select(snapshots.c.run_id, *_RUN_COLUMNS)
    .where(and_(snapshots.c.workspace == bindparam("workspace"), snapshots.c.sync_id == bindparam("sync_id")))
    .order_by(snapshots.c.created_at.desc(), snapshots.c.id.desc())
    .limit(bindparam("most"))
)


def _run(row: Any) -> RunSummary:
    return RunSummary(
        row.run_id,
        row.status,
        bool(row.canceled),
        row.error_code,
        row.error_message,
        row.created_at,
        row.updated_at,
        row.completed_at,
        row.records_sent,
        row.full_sync,
    )


def _workspace(row: Any) -> WorkspaceHealth:
    return WorkspaceHealth(
        row.name, row.ok, row.last_error, row.last_polled_at, row.silent_since, row.stretch, row.needed_rate
    )


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
