"""What the commands show of a database, and the little that they change. Each opens it for a moment.

Beside a running worker these read, or write with BEGIN IMMEDIATE, and never checkpoint (see sqlite.py).
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, and_, func, or_, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from notifier.model.delivery import DeliveryState
from notifier.model.errors import DatabaseUnusable
from notifier.store.migrate import check_current
from notifier.store.sql.schema import NONE, deliveries, events, receivers, snapshots, syncs, worker, workspaces
from notifier.store.sqlite.files import engine_for, explained, is_open_here


@dataclass(frozen=True, slots=True)
class WorkerView:
    version: str
    started_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class WorkspaceView:
    """`stretch` is above 1 where the intervals are longer than asked for; `needed_rate` would avoid that."""

    name: str
    ok: bool
    last_error: str | None
    last_polled_at: datetime | None
    stretch: float
    needed_rate: float | None


@dataclass(frozen=True, slots=True)
class RunView:
    id: int
    status: str | None
    error_code: str | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class SyncView:
    """`gap_noticed_at`: when more runs had come than can be reported; those below the given run were skipped.
    `unread_since`: since when its runs, or one of them, can't be read, and `last_error` why; None while they can."""

    workspace: str
    id: int
    label: str | None
    newest_run: RunView | None
    gap_noticed_at: datetime | None
    gap_oldest_reported_run_id: int | None
    unread_since: datetime | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiverView:
    """The fields of `notifier status --json`, in its order, and why it is not `ok`: it is failing, or else broken."""

    name: str
    ok: bool
    last_error: str | None
    pending: int
    dead: int
    failing: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    worker: WorkerView | None
    workspaces: tuple[WorkspaceView, ...]
    syncs: tuple[SyncView, ...]
    receivers: tuple[ReceiverView, ...]


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
    delivered_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries; what is None does not matter."""

    ids: Collection[int] | None = None
    state: DeliveryState | None = None
    receiver: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """What is tried again, and what is left as it is, since its receiver (named beside the ID) is gone."""

    ids: tuple[int, ...]
    left: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class EventView:
    """`body` is what every receiver gets, to the byte. Not every event is of a sync, or of a run."""

    id: str
    type: str
    workspace: str
    sync_id: int | None
    run_id: int | None
    seen_at: datetime
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; what is None does not matter."""

    sync_id: int | None = None
    types: Collection[str] | None = None


@contextmanager
def open_database(path: Path, role: Literal["reader", "command"]) -> Iterator[Connection]:
    """One transaction of a command. Raises DatabaseUnusable where it has nothing to look at."""
    if not is_open_here(path):  # the worker's own server: it has checked the file, and must not open it by other means
        check_current(path)
    engine = engine_for(path, role)
    try:
        with explained(path, opening=True), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def read_worker(path: Path) -> WorkerView | None:
    """The worker's last sign of life. Raises DatabaseUnusable."""
    with open_database(path, "reader") as connection:
        return _worker(connection)


def read_status(path: Path, configured: Collection[str]) -> Status:
    """All that `status` shows; `configured` are the receivers of the watchlist, shown even before their first event."""
    with open_database(path, "reader") as connection:
        return Status(
            _worker(connection), _workspaces(connection), _syncs(connection), _receivers(connection, configured)
        )


def _worker(connection: Connection) -> WorkerView | None:
    row = connection.execute(select(worker)).first()
    return WorkerView(row.version, row.started_at, row.last_seen_at) if row else None


def _workspaces(connection: Connection) -> tuple[WorkspaceView, ...]:
    columns = [workspaces.c[name] for name in WorkspaceView.__slots__]
    return tuple(WorkspaceView(**row._mapping) for row in connection.execute(select(*columns).order_by("name")))


def _syncs(connection: Connection) -> tuple[SyncView, ...]:
    run = snapshots.alias("run")
    newest = (
        select(snapshots.c.id)
        .where(and_(snapshots.c.workspace == syncs.c.workspace, snapshots.c.sync_id == syncs.c.sync_id))
        .order_by(snapshots.c.created_at.desc(), snapshots.c.id.desc())
        .limit(1)
        .correlate(syncs)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(syncs, run.c.run_id, run.c.status, run.c.error_code, run.c.updated_at)
        .select_from(syncs.outerjoin(run, run.c.id == newest))
        .where(syncs.c.watched)
        .order_by(syncs.c.workspace, syncs.c.sync_id)
    )
    return tuple(
        SyncView(
            row.workspace,
            row.sync_id,
            row.label,
            RunView(row.run_id, row.status, row.error_code, row.updated_at) if row.run_id is not None else None,
            row.gap_noticed_at,
            row.gap_oldest_reported_run_id,
            row.unread_since,
            row.last_error,
        )
        for row in rows
    )


def _receivers(connection: Connection, configured: Collection[str]) -> tuple[ReceiverView, ...]:
    known = {row.name: row for row in connection.execute(select(receivers))}
    counts: dict[str, dict[str, int]] = {"pending": {}, "dead": {}}
    for state, by_receiver in counts.items():
        # A literal, not a parameter: SQLite then sees that its partial index answers the question.
        of_state = deliveries.c.state == text(f"'{state}'")
        count = select(deliveries.c.receiver, func.count().label("number")).where(of_state)
        by_receiver.update({row.receiver: row.number for row in connection.execute(count.group_by("receiver"))})
    names = sorted(set(configured) | known.keys())
    return tuple(
        ReceiverView(
            name,
            ok=name not in known or (known[name].broken_since is None and not known[name].failing),
            last_error=known[name].last_error if name in known else None,
            pending=counts["pending"].get(name, 0),
            dead=counts["dead"].get(name, 0),
            failing=name in known and known[name].broken_since is None and known[name].failing,
        )
        for name in names
    )


def read_deliveries(path: Path, wanted: DeliveryFilter, limit: int | None) -> tuple[DeliveryView, ...]:
    """The deliveries that fit, newest first, at most `limit`. Raises DatabaseUnusable."""
    statement = select(deliveries).where(_fits(wanted)).order_by(deliveries.c.id.desc()).limit(limit)
    with open_database(path, "reader") as connection:
        return tuple(_delivery(row) for row in connection.execute(statement))


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


def _fits(wanted: DeliveryFilter) -> Any:
    conditions: list[Any] = [text("1")]
    if wanted.ids is not None:
        conditions.append(deliveries.c.id.in_(wanted.ids))
    if wanted.state is not None:
        conditions.append(deliveries.c.state == wanted.state.value)
    if wanted.receiver is not None:
        conditions.append(deliveries.c.receiver == wanted.receiver)
    if wanted.since is not None:
        conditions.append(deliveries.c.created_at >= wanted.since)
    return and_(*conditions)


def read_events(path: Path, wanted: EventFilter, limit: int | None) -> tuple[EventView, ...]:
    """The events that fit, newest first, at most `limit`. Raises DatabaseUnusable."""
    statement = select(*(events.c[name] for name in EventView.__slots__)).order_by(events.c.seq.desc()).limit(limit)
    if wanted.sync_id is not None:
        statement = statement.where(events.c.sync_id == wanted.sync_id)
    if wanted.types is not None:
        statement = statement.where(events.c.type.in_(wanted.types))
    with open_database(path, "reader") as connection:
        return tuple(event_view(row) for row in connection.execute(statement))


def event_view(row: Any) -> EventView:
    """One row of events."""
    none = {name: None for name in ("sync_id", "run_id") if row._mapping[name] == NONE}
    return EventView(**{**row._mapping, **none})


def retry_deliveries(path: Path, wanted: DeliveryFilter, now: datetime, receivers: Collection[str]) -> Retried:
    """Makes dead deliveries pending with a fresh clock and pending ones due now.

    `receivers`: those of the watchlist. No others can be sent anything: what is theirs would wait for ever. Broken ones
    are tried at once. Raises DatabaseUnusable.
    """
    unfinished = or_(deliveries.c.state == DeliveryState.DEAD.value, deliveries.c.state == DeliveryState.PENDING.value)
    with open_database(path, "command") as connection:
        rows = connection.execute(
            select(deliveries.c.id, deliveries.c.receiver).where(and_(unfinished, _fits(wanted)))
        ).all()
        ids = [row.id for row in rows if row.receiver in receivers]
        for start in range(0, len(ids), 1_000):
            chosen = deliveries.c.id.in_(ids[start : start + 1_000])
            revived = {"state": "pending", "clock_started_at": now, "first_failed_at": None, "finished_at": None}
            dead = deliveries.c.state == DeliveryState.DEAD.value
            connection.execute(update(deliveries).where(chosen).values(next_attempt_at=now))
            connection.execute(update(deliveries).where(and_(chosen, dead)).values(aside=False, **revived))
        for name in {row.receiver for row in rows} & set(receivers):
            _ask_to_try(connection, name, now)
    return Retried(tuple(ids), {row.id: row.receiver for row in rows if row.receiver not in receivers})


def try_receiver(path: Path, name: str, now: datetime) -> None:
    """Has a running worker try a receiver at once that it has found broken. Raises DatabaseUnusable."""
    with open_database(path, "command") as connection:
        _ask_to_try(connection, name, now)


def _ask_to_try(connection: Connection, name: str, now: datetime) -> None:
    ask = upsert(receivers).values(name=name, probe_at=now)
    connection.execute(ask.on_conflict_do_update(index_elements=["name"], set_={"probe_at": now}))


def require_recent_worker(path: Path, now: datetime, longest_silence: timedelta) -> None:
    """Raises DatabaseUnusable when the worker's last sign of life is older than `longest_silence`."""
    last = read_worker(path)
    if last is None:
        raise DatabaseUnusable(f"{path}: no worker has run yet")
    if now - last.last_seen_at > longest_silence:
        raise DatabaseUnusable(f"{path}: the worker's last sign of life is from {last.last_seen_at.isoformat()}")
