"""What `notifier status` and `/api/status` show of a database; see database.py for how one is looked at."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, select

from notifier.model.errors import DatabaseUnusable
from notifier.model.identity import Id, in_order
from notifier.store.sql.schema import snapshots, syncs
from notifier.store.views.database import open_database
from notifier.store.views.overview import ReceiverView, WorkerView, WorkspaceView, overview_of, worker_of
from notifier.store.views.runs import newest_run


@dataclass(frozen=True, slots=True)
class RunView:
    """A sync's newest run."""

    id: Id
    status: str | None
    error_code: str | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class SyncView:
    """A watched sync."""

    workspace: str
    id: Id
    label: str | None
    newest_run: RunView | None
    gap_noticed_at: datetime | None
    """When more runs had come than can be reported."""
    gap_oldest_reported_run_id: Id | None
    """Those below it were skipped."""
    unread_since: datetime | None = None
    """Since when its runs, or one of them, can't be read; None while they can."""
    last_error: str | None = None
    """Why they can't be read."""


@dataclass(frozen=True, slots=True)
class Status:
    """All that `notifier status` shows."""

    worker: WorkerView | None
    workspaces: tuple[WorkspaceView, ...]
    syncs: tuple[SyncView, ...]
    receivers: tuple[ReceiverView, ...]


def read_worker(path: Path) -> WorkerView | None:
    """The worker's last sign of life. Raises DatabaseUnusable."""
    with open_database(path, "reader") as connection:
        return worker_of(connection)


def read_status(path: Path, configured: Collection[str]) -> Status:
    """All that `status` shows; `configured` are the receivers of the watchlist, shown even before their first event."""
    with open_database(path, "reader") as connection:
        seen = overview_of(connection, configured, with_removed=False)
        workspaces, receivers = tuple(seen.workspaces.values()), tuple(seen.receivers.values())
        return Status(seen.worker, workspaces, _syncs(connection), receivers)


def _syncs(connection: Connection) -> tuple[SyncView, ...]:
    run = snapshots.alias("run")
    rows = connection.execute(
        select(syncs, run.c.run_id, run.c.status, run.c.error_code, run.c.updated_at)
        .select_from(syncs.outerjoin(run, run.c.id == newest_run()))
        .where(syncs.c.watched)
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
        for row in sorted(rows, key=lambda row: (row.workspace, in_order(row.sync_id)))
    )


def require_recent_worker(path: Path, now: datetime, longest_silence: timedelta) -> None:
    """Raises DatabaseUnusable when the worker's last sign of life is older than `longest_silence`."""
    last = read_worker(path)
    if last is None:
        raise DatabaseUnusable(f"{path}: no worker has run yet")
    if now - last.last_seen_at > longest_silence:
        raise DatabaseUnusable(f"{path}: the worker's last sign of life is from {last.last_seen_at.isoformat()}")
