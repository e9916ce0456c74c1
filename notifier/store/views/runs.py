"""A sync's last runs, as their snapshots have them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ScalarSelect, Select, and_, bindparam, select

from notifier.model.identity import Id
from notifier.store.sql.schema import snapshots, syncs


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run as its snapshot has it."""

    id: Id
    status: str | None
    canceled: bool
    error_code: str | None
    error_message: str | None
    created_at: datetime | None
    updated_at: datetime | None
    completed_at: datetime | None
    records_sent: int | None
    full_sync: bool | None


NEWEST_RUNS: Final[Select[Any]] = (
    select(
        snapshots.c.run_id,
        snapshots.c.status,
        snapshots.c.canceled,
        snapshots.c.error_code,
        snapshots.c.error_message,
        snapshots.c.created_at,
        snapshots.c.updated_at,
        snapshots.c.completed_at,
        snapshots.c.records_sent,
        snapshots.c.full_sync,
    )
    .where(and_(snapshots.c.workspace == bindparam("workspace"), snapshots.c.sync_id == bindparam("sync_id")))
    .order_by(snapshots.c.created_at.desc().nulls_last(), snapshots.c.id.desc())
    .limit(bindparam("most"))
)
"""Of one sync, the newest first."""


def newest_run(*, counted: bool = False) -> ScalarSelect[Any]:
    """The snapshot of a sync's newest run, of each row of syncs; `counted`: of its newest that completed or failed."""
    of_sync = and_(snapshots.c.workspace == syncs.c.workspace, snapshots.c.sync_id == syncs.c.sync_id)
    newest = select(snapshots.c.id).where(of_sync)
    if counted:
        newest = newest.where(snapshots.c.counted)
    newest = newest.order_by(snapshots.c.created_at.desc().nulls_last(), snapshots.c.id.desc()).limit(1)
    return newest.correlate(syncs).scalar_subquery()


def run_summary_of(row: Any) -> RunSummary:
    """One row of NEWEST_RUNS."""
    return RunSummary(
        id=row.run_id,
        status=row.status,
        canceled=bool(row.canceled),
        error_code=row.error_code,
        error_message=row.error_message,
        created_at=row.created_at,
        updated_at=row.updated_at,
        completed_at=row.completed_at,
        records_sent=row.records_sent,
        full_sync=row.full_sync,
    )
