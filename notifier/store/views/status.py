"""What `notifier status` and `/api/status` show of a database, without SQLAlchemy; see overview.py."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection, Row
from typing import Final

from notifier.model.check import Check
from notifier.model.errors import DatabaseUnusable
from notifier.model.identity import Id, in_order
from notifier.store.revision import check_current
from notifier.store.sql.stored import identity_of, maybe_identity, maybe_time, rows
from notifier.store.sqlite.files import is_open_here, look
from notifier.store.views.overview import (
    ReceiverView,
    WorkerView,
    WorkspaceView,
    open_incidents,
    overview_of,
    worker_of,
)

_SYNCS: Final = """
SELECT syncs.*, run.run_id, run.status AS run_status, run.error_code AS run_error, run.updated_at AS run_updated_at
FROM syncs LEFT JOIN snapshots AS run ON run.id = (
    SELECT id FROM snapshots
    WHERE snapshots.workspace = syncs.workspace AND snapshots.sync_id = syncs.sync_id
    ORDER BY created_at DESC, id DESC LIMIT 1
)
WHERE syncs.watched = 1
"""


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


@contextmanager
def _looked_at(path: Path) -> Iterator[Connection]:
    """One transaction. Raises DatabaseUnusable where there is nothing to look at. As database.py's, which says why."""
    if not is_open_here(path):
        check_current(path)
    with look(path) as connection:
        yield connection


def read_worker(path: Path) -> WorkerView | None:
    """The worker's last sign of life. Raises DatabaseUnusable."""
    with _looked_at(path) as connection:
        return worker_of(connection)


def read_status(path: Path, configured: Collection[str]) -> Status:
    """All that `status` shows; `configured` are the receivers of the watchlist, shown even before their first event."""
    with _looked_at(path) as connection:
        seen = overview_of(connection, configured, with_removed=False)
        workspaces, receivers = tuple(seen.workspaces.values()), tuple(seen.receivers.values())
        return Status(seen.worker, workspaces, _syncs(connection), receivers)


def count_open(path: Path) -> Mapping[Check, int]:
    """How many incidents of each check are open; those of none are left out. Raises DatabaseUnusable."""
    with _looked_at(path) as connection:
        return open_incidents(connection)


def _syncs(connection: Connection) -> tuple[SyncView, ...]:
    found = (_sync(row) for row in rows(connection, _SYNCS))
    return tuple(sorted(found, key=lambda sync: (sync.workspace, in_order(sync.id))))


def _sync(row: Row) -> SyncView:
    run_id = row["run_id"]
    run = None
    if run_id is not None:
        run = RunView(identity_of(run_id), row["run_status"], row["run_error"], maybe_time(row["run_updated_at"]))
    return SyncView(
        workspace=row["workspace"],
        id=identity_of(row["sync_id"]),
        label=row["label"],
        newest_run=run,
        gap_noticed_at=maybe_time(row["gap_noticed_at"]),
        gap_oldest_reported_run_id=maybe_identity(row["gap_oldest_reported_run_id"]),
        unread_since=maybe_time(row["unread_since"]),
        last_error=row["last_error"],
    )


def require_recent_worker(path: Path, now: datetime, longest_silence: timedelta) -> None:
    """Raises DatabaseUnusable when the worker's last sign of life is older than `longest_silence`."""
    last = read_worker(path)
    if last is None:
        raise DatabaseUnusable(f"{path}: no worker has run yet")
    if now - last.last_seen_at > longest_silence:
        raise DatabaseUnusable(f"{path}: the worker's last sign of life is from {last.last_seen_at.isoformat()}")
