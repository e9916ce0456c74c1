"""The statements of watching: what is remembered of syncs and runs, and what is recorded of them."""

from typing import Final

from sqlalchemy import and_, bindparam, delete, false, func, insert, literal, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from notifier.store.sql.parts import at_run, at_sync, later_of, save
from notifier.store.sql.schema import (
    IdText,
    Time,
    census_alerts,
    deliveries,
    events,
    incidents,
    run_watches,
    snapshots,
    syncs,
    workspaces,
)

# --- writes ---

SAVE_WORKSPACE = save(workspaces)

_listed = upsert(syncs).values(
    workspace=bindparam("workspace"),
    sync_id=bindparam("sync_id"),
    label=bindparam("label"),
    watched=literal(value=True),
    marked=literal(value=False),
    missing_listings=bindparam("missing_listings"),
)
SAVE_LISTED_SYNC = _listed.on_conflict_do_update(
    index_elements=["workspace", "sync_id"],
    set_={
        "label": func.coalesce(_listed.excluded.label, syncs.c.label),
        "watched": literal(value=True),
        "deleted": literal(value=False),
        "missing_listings": _listed.excluded.missing_listings,
    },
)
SAVE_SHOWN_SYNC = (
    upsert(syncs)
    .values(
        workspace=bindparam("workspace"),
        sync_id=bindparam("sync_id"),
        label=bindparam("label"),
        watched=literal(value=False),
        marked=literal(value=False),
    )
    .on_conflict_do_nothing()
)
SAVE_UNREAD = (
    update(syncs)
    .where(at_sync(syncs))
    .values(unread_since=bindparam("new_unread_since"), last_error=bindparam("new_last_error"))
)

_marked = upsert(syncs).values(
    workspace=bindparam("workspace"),
    sync_id=bindparam("sync_id"),
    label=bindparam("label"),
    watched=literal(value=True),
    marked=literal(value=True),
    mark_run_id=bindparam("mark_run_id"),
    mark_created_at=bindparam("mark_created_at"),
    floor=bindparam("floor"),
)
MOVE_MARK = _marked.on_conflict_do_update(
    index_elements=["workspace", "sync_id"],
    set_={
        "label": func.coalesce(_marked.excluded.label, syncs.c.label),
        "deleted": literal(value=False),
        **{name: _marked.excluded[name] for name in ("watched", "marked", "mark_run_id", "mark_created_at")},
        # Retention may have raised it since whoever writes this read it.
        "floor": later_of(syncs.c.floor, _marked.excluded.floor),
    },
)
NOTE_GAP = (
    update(syncs)
    .where(at_sync(syncs))
    .values(
        gap_noticed_at=bindparam("new_gap_noticed_at"), gap_oldest_reported_run_id=bindparam("new_gap_oldest_run_id")
    )
)
FORGET_SYNC = (
    update(syncs)
    .where(at_sync(syncs))
    .values(
        watched=False,
        marked=False,
        mark_run_id=None,
        mark_created_at=None,
        floor=None,
        missing_listings=0,
        gap_noticed_at=None,
        gap_oldest_reported_run_id=None,
        paused=None,
        scheduled=None,
        stale_from=None,
        deleted=bindparam("new_deleted"),
        unread_since=None,
        last_error=None,
    )
)
SAVE_STANDING = (
    update(syncs)
    .where(at_sync(syncs))
    .values(
        paused=bindparam("new_paused"), scheduled=bindparam("new_scheduled"), stale_from=bindparam("new_stale_from")
    )
)
_watched_by_id = select(run_watches.c.run_id).where(
    and_(run_watches.c.workspace == bindparam("of_workspace"), run_watches.c.ended_at.is_(None))
)
FORGET_SNAPSHOTS = delete(snapshots).where(and_(at_sync(snapshots), snapshots.c.run_id.not_in(_watched_by_id)))

_snapshot = upsert(snapshots)
SAVE_SNAPSHOT = _snapshot.on_conflict_do_update(
    index_elements=["workspace", "run_id"],
    set_={
        c.name: _snapshot.excluded[c.name]
        for c in snapshots.columns
        if c.name not in ("id", "workspace", "run_id", "outlier")
    },
)
MARK_OUTLIER = update(snapshots).where(at_run(snapshots)).values(outlier=True)
UNMARK_OUTLIER = update(snapshots).where(at_run(snapshots)).values(outlier=False)
# What was unusual is the usual from here on, and what was usual before is no measure any more.
TAKE_NEW_LEVEL = (
    update(snapshots)
    .where(at_sync(snapshots))
    .values(outlier=func.coalesce(snapshots.c.created_at < bindparam("level_from", type_=Time), false()))
)
UNFOLLOW = update(snapshots).where(at_run(snapshots)).values(followed=False)
SAVE_RUN_WATCH = save(run_watches)
DROP_RUN_WATCH = delete(run_watches).where(at_run(run_watches))

_incident = upsert(incidents)
SAVE_INCIDENT = _incident.on_conflict_do_update(
    index_elements=["id"],
    set_={c.name: _incident.excluded[c.name] for c in incidents.columns if c.name not in ("seq", "id")},
)

# `inline`: nobody wants the number that a row gets, and PostgreSQL would be asked for it.
ADD_ALERT = insert(census_alerts).inline()
ADD_EVENT = insert(events).inline()
ADD_DELIVERY = insert(deliveries).inline()

_OF_WORKSPACE = [delete(t).where(t.c.workspace == bindparam("of_workspace")) for t in (syncs, snapshots, run_watches)]
FORGET_WORKSPACE = [*_OF_WORKSPACE, delete(workspaces).where(workspaces.c.name == bindparam("of_workspace"))]

# --- reads ---

SYNCS = select(syncs).where(syncs.c.workspace == bindparam("workspace")).order_by(syncs.c.sync_id)
WORKSPACES = select(workspaces)
# The columns as `snapshot_of` takes them, by their place: by name costs three times as much.
_snapshots = select(
    snapshots.c.run_id,
    snapshots.c.sync_id,
    snapshots.c.status,
    snapshots.c.canceled,
    snapshots.c.error_code,
    snapshots.c.error_message,
    snapshots.c.error_detail,
    snapshots.c.created_at,
    snapshots.c.updated_at,
    snapshots.c.changed_at,
    snapshots.c.followed,
    snapshots.c.completed_at,
    snapshots.c.records_sent,
    snapshots.c.full_sync,
    snapshots.c.counts,
    snapshots.c.api,
).where(snapshots.c.workspace == bindparam("workspace"))
SNAPSHOTS = _snapshots.where(snapshots.c.run_id.in_(bindparam("run_ids", expanding=True)))
# As many as a poll mostly looks up: an IN that SQLAlchemy need not write anew for each execution.
FEW: Final = ("run_id_1", "run_id_2", "run_id_3", "run_id_4", "run_id_5")
FEW_SNAPSHOTS = _snapshots.where(snapshots.c.run_id.in_([bindparam(name, type_=IdText) for name in FEW]))
FOLLOWED = select(snapshots.c.sync_id, snapshots.c.run_id, snapshots.c.changed_at, snapshots.c.created_at).where(
    and_(snapshots.c.workspace == bindparam("workspace"), snapshots.c.followed)
)
PREVIOUS_RESULT = (
    select(snapshots.c.run_id, snapshots.c.status)
    .where(
        and_(
            snapshots.c.workspace == bindparam("workspace"),
            snapshots.c.sync_id == bindparam("sync_id"),
            snapshots.c.counted,
            snapshots.c.created_at < bindparam("before", type_=Time),
        )
    )
    .order_by(snapshots.c.created_at.desc().nulls_last(), snapshots.c.id.desc())
    .limit(1)
)
LATEST_RESULTS = (
    select(snapshots.c.run_id, snapshots.c.status)
    .where(
        and_(
            snapshots.c.workspace == bindparam("workspace"),
            snapshots.c.sync_id == bindparam("sync_id"),
            snapshots.c.counted,
            snapshots.c.run_id.not_in(bindparam("excluding", expanding=True)),
        )
    )
    .order_by(snapshots.c.id.desc())
    .limit(1)
)
_results = (
    select(
        snapshots.c.run_id,
        snapshots.c.status,
        snapshots.c.created_at,
        snapshots.c.completed_at,
        snapshots.c.updated_at,
        snapshots.c.records_sent,
        snapshots.c.outlier,
    )
    .where(
        and_(
            snapshots.c.workspace == bindparam("workspace"),
            snapshots.c.sync_id == bindparam("sync_id"),
            snapshots.c.counted,
        )
    )
    .order_by(snapshots.c.created_at.desc().nulls_last(), snapshots.c.id.desc())
    .limit(bindparam("most"))
)
RESULTS = _results
GOOD_RESULTS = _results.where(snapshots.c.status == text("'completed'"))
FULL_SYNCS = (
    select(snapshots.c.full_sync)
    .where(
        and_(
            snapshots.c.workspace == bindparam("workspace"),
            snapshots.c.sync_id == bindparam("sync_id"),
            snapshots.c.full_sync.is_not(None),
            snapshots.c.run_id != bindparam("run_id"),
            snapshots.c.created_at < bindparam("before", type_=Time),
        )
    )
    .order_by(snapshots.c.created_at.desc().nulls_last(), snapshots.c.id.desc())
    .limit(1)
)
INCIDENTS = select(incidents).where(and_(incidents.c.workspace == bindparam("workspace"), incidents.c.open))
_newest_counted = (
    select(func.max(incidents.c.seq))
    .where(
        and_(
            incidents.c.workspace == bindparam("workspace"),
            incidents.c.check == text("'failing'"),
            incidents.c.counted_to.is_not(None),
        )
    )
    .group_by(incidents.c.sync_id)
)
COUNTED_TO = select(incidents.c.sync_id, incidents.c.counted_to, incidents.c.counted_run_id).where(
    incidents.c.seq.in_(_newest_counted)
)
RUN_WATCHES = select(run_watches).where(run_watches.c.workspace == bindparam("workspace"))
TOLD_ALERT = select(census_alerts.c.alert_id).where(
    and_(
        census_alerts.c.workspace == bindparam("workspace"),
        census_alerts.c.alert_id == bindparam("alert_id"),
        census_alerts.c.type == bindparam("type"),
    )
)
