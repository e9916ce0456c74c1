"""What `notifier status` and `/api/status` show of a database, without SQLAlchemy; see overview.py."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from notifier.model.check import Check
from notifier.model.errors import DatabaseUnusable
from notifier.model.identity import Id, in_order
from notifier.model.part import kind_of, workspace_part
from notifier.model.times import counted
from notifier.store.database import database_at
from notifier.store.sql.stored import Look, Row, identity_of, maybe_identity, maybe_time, time_of
from notifier.store.views.overview import (
    ReceiverView,
    WorkerView,
    WorkspaceView,
    open_incidents,
    overview_of,
)
from notifier.watchlist.database import DatabasePlace

REPLICA_LASTS: Final = timedelta(seconds=15)  # by then a silent one is replaced
MOST_NAMED: Final = 5  # workspaces in a line of text

_WORKSPACE: Final = kind_of(workspace_part(""))
_SYNCS: Final = """
SELECT syncs.*, run.run_id, run.status AS run_status, run.error_code AS run_error, run.updated_at AS run_updated_at
FROM syncs LEFT JOIN snapshots AS run ON run.id = (
    SELECT id FROM snapshots
    WHERE snapshots.workspace = syncs.workspace AND snapshots.sync_id = syncs.sync_id
    ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 1
)
WHERE syncs.watched = {yes}
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


class ReplicaState(StrEnum):
    """How one of several workers is."""

    WORKS = "works"
    STANDS_BY = "stands by"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """One of the workers at a database."""

    name: str
    """NOTIFIER_REPLICA, or the host's name; of SQLite's only one, that of whoever looks."""
    version: str
    started_at: datetime
    """When it took its place there."""
    last_seen_at: datetime
    silence: timedelta
    """Since then, by the server's clock: that of who looks may go otherwise. Of a file it is none: nobody asks."""
    parts: tuple[str, ...]
    """What of the work is its own."""
    standing_by: str | None = None
    """Why it takes no part in the work; None where it may."""

    @property
    def state(self) -> ReplicaState:
        """What people want to know first."""
        if self.silence >= REPLICA_LASTS:
            return ReplicaState.SILENT
        return ReplicaState.WORKS if self.parts and self.standing_by is None else ReplicaState.STANDS_BY

    @property
    def state_in_words(self) -> str:
        """With the reason, where there is one: `stands by: other watchlist`."""
        if self.state is ReplicaState.STANDS_BY and self.standing_by is not None:
            return f"{self.state}: {self.standing_by}"
        return self.state.value

    @property
    def parts_in_words(self) -> tuple[str, ...]:
        """Of many workspaces only how many they are, so that what else it has is to be seen."""
        workspaces = [part for part in self.parts if kind_of(part) == _WORKSPACE]
        others = [part for part in self.parts if kind_of(part) != _WORKSPACE]
        many = len(workspaces) > MOST_NAMED
        return (*others, counted(len(workspaces), "workspace")) if many else (*others, *workspaces)


@dataclass(frozen=True, slots=True)
class Status:
    """All that `notifier status` shows."""

    worker: WorkerView | None
    replicas: tuple[ReplicaView, ...]
    workspaces: tuple[WorkspaceView, ...]
    syncs: tuple[SyncView, ...]
    receivers: tuple[ReceiverView, ...]


def read_status(place: DatabasePlace, configured: Collection[str], replica: str = "") -> Status:
    """All that `status` shows; `configured` are the receivers of the watchlist, shown even before their first event.

    `replica`: the name of the only worker, where there can be no other.
    """
    with database_at(place).look() as look:
        seen = overview_of(look, configured, with_removed=False)
        workspaces, receivers = tuple(seen.workspaces.values()), tuple(seen.receivers.values())
        return Status(seen.worker, replicas_of(look, replica), workspaces, _syncs(look), receivers)


def count_open(place: DatabasePlace) -> Mapping[Check, int]:
    """How many incidents of each check are open; those of none are left out. Raises DatabaseUnusable."""
    with database_at(place).look() as look:
        return open_incidents(look)


def replicas_of(look: Look, only: str = "") -> tuple[ReplicaView, ...]:
    """The workers that there are. `only`: the name of the one that can be the only one."""
    return tuple(
        ReplicaView(
            name=row["name"] or only,
            version=row["version"],
            started_at=time_of(row["started_at"]),
            last_seen_at=time_of(row["last_seen_at"]),
            silence=timedelta(microseconds=max(row["silent"], 0)),  # the server's clock may have been put back
            parts=tuple(row["parts"].splitlines()),
            standing_by=_why_it_stands_by(row),
        )
        for row in look.rows(look.replicas)
    )


def _why_it_stands_by(row: Row) -> str | None:
    if row["is_older"]:
        return "older version"
    return "other watchlist" if row["goes_by_another"] else None


def _syncs(look: Look) -> tuple[SyncView, ...]:
    found = (_sync(row) for row in look.rows(_SYNCS.format(yes=look.yes)))
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


def _nobody(place: DatabasePlace, replica: str) -> str:
    if isinstance(place, Path):
        return "no worker has run yet"
    return f"no replica there is named {replica}; NOTIFIER_REPLICA names this one, or else the host's name"


def require_recent_worker(place: DatabasePlace, replica: str, now: datetime, longest_silence: timedelta) -> None:
    """Raises DatabaseUnusable when the last sign of life of the worker is older than `longest_silence`.

    `replica`: its name, where there may be several.
    """
    silence = database_at(place).silence_of(replica, now)
    if silence is None:
        raise DatabaseUnusable(f"{place}: {_nobody(place, replica)}")
    if silence > longest_silence:
        raise DatabaseUnusable(f"{place}: the worker's last sign of life is from {(now - silence).isoformat()}")
