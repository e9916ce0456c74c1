"""The worker's SQL, built once: SQLAlchemy compiles and caches each statement by its identity.

WRITES is the order in which one transaction runs them, whoever asked for what: parents before children.
"""

from typing import Any

from sqlalchemy import (
    Executable,
    String,
    Table,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from notifier.model.event import RUN_STORY
from notifier.store.sql.schema import (
    NONE,
    Time,
    census_alerts,
    deliveries,
    events,
    incidents,
    posted,
    receivers,
    run_watches,
    snapshots,
    syncs,
    worker,
    workspaces,
)


def _save(table: Table, keep: frozenset[str] = frozenset()) -> Executable:
    """Insert or overwrite by primary key; columns in `keep` are written at the insert only."""
    statement = upsert(table)
    key = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(
        index_elements=key,
        set_={c.name: statement.excluded[c.name] for c in table.columns if c.name not in key and c.name not in keep},
    )


def _here(table: Table) -> Any:
    return and_(table.c.workspace == bindparam("of_workspace"), table.c.sync_id == bindparam("of_sync_id"))


# --- writes: watching ---

SAVE_WORKER = _save(worker)
SAVE_WORKSPACE = _save(workspaces)

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
    .where(_here(syncs))
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
        "floor": func.max(
            func.coalesce(syncs.c.floor, _marked.excluded.floor), func.coalesce(_marked.excluded.floor, syncs.c.floor)
        ),
    },
)
NOTE_GAP = (
    update(syncs)
    .where(_here(syncs))
    .values(
        gap_noticed_at=bindparam("new_gap_noticed_at"), gap_oldest_reported_run_id=bindparam("new_gap_oldest_run_id")
    )
)
FORGET_SYNC = (
    update(syncs)
    .where(_here(syncs))
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
    .where(_here(syncs))
    .values(
        paused=bindparam("new_paused"), scheduled=bindparam("new_scheduled"), stale_from=bindparam("new_stale_from")
    )
)
_watched_by_id = select(run_watches.c.run_id).where(
    and_(run_watches.c.workspace == bindparam("of_workspace"), run_watches.c.ended_at.is_(None))
)
FORGET_SNAPSHOTS = delete(snapshots).where(and_(_here(snapshots), snapshots.c.run_id.not_in(_watched_by_id)))

_snapshot = upsert(snapshots)
SAVE_SNAPSHOT = _snapshot.on_conflict_do_update(
    index_elements=["workspace", "run_id"],
    set_={
        c.name: _snapshot.excluded[c.name]
        for c in snapshots.columns
        if c.name not in ("id", "workspace", "run_id", "outlier")
    },
)
MARK_OUTLIER = (
    update(snapshots)
    .where(and_(snapshots.c.workspace == bindparam("of_workspace"), snapshots.c.run_id == bindparam("of_run_id")))
    .values(outlier=True)
)
UNMARK_OUTLIER = (
    update(snapshots)
    .where(and_(snapshots.c.workspace == bindparam("of_workspace"), snapshots.c.run_id == bindparam("of_run_id")))
    .values(outlier=False)
)
# What was unusual is the usual from here on, and what was usual before is no measure any more.
TAKE_NEW_LEVEL = (
    update(snapshots)
    .where(_here(snapshots))
    .values(outlier=func.coalesce(snapshots.c.created_at < bindparam("level_from", type_=Time), text("0")))
)
UNFOLLOW = (
    update(snapshots)
    .where(and_(snapshots.c.workspace == bindparam("of_workspace"), snapshots.c.run_id == bindparam("of_run_id")))
    .values(followed=False)
)
SAVE_RUN_WATCH = _save(run_watches)
DROP_RUN_WATCH = delete(run_watches).where(
    and_(run_watches.c.workspace == bindparam("of_workspace"), run_watches.c.run_id == bindparam("of_run_id"))
)

# --- writes: incidents ---

_incident = upsert(incidents)
SAVE_INCIDENT = _incident.on_conflict_do_update(
    index_elements=["id"],
    set_={c.name: _incident.excluded[c.name] for c in incidents.columns if c.name not in ("seq", "id")},
)

# --- writes: delivering ---

ADD_ALERT = insert(census_alerts)
ADD_EVENT = insert(events)
ADD_DELIVERY = insert(deliveries)
SETTLE = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("of_id"))
    .values(
        state=bindparam("new_state"),
        attempts=bindparam("new_attempts"),
        next_attempt_at=bindparam("new_next_attempt_at"),
        first_failed_at=bindparam("new_first_failed_at"),
        aside=bindparam("new_aside"),
        finished_at=bindparam("new_finished_at"),
        last_error=bindparam("new_last_error"),
        maybe_sent_at=bindparam("new_maybe_sent_at"),
    )
)
BEGIN_ATTEMPT = (
    update(deliveries).where(deliveries.c.id == bindparam("of_id")).values(maybe_sent_at=bindparam("new_maybe_sent_at"))
)
SAVE_RECEIVER = _save(receivers, keep=frozenset({"probe_at"}))  # a command writes that one
ABANDON = (
    update(deliveries)
    .where(
        and_(
            deliveries.c.state == text("'pending'"),
            deliveries.c.receiver.not_in(bindparam("names", expanding=True)),
        )
    )
    .values(
        state="dead",
        next_attempt_at=None,
        finished_at=bindparam("now", type_=Time),
        last_error="the receiver is no longer in the watchlist",
    )
)
SAVE_POSTED = _save(posted)
FORGET_POSTED = delete(posted).where(
    and_(posted.c.receiver == bindparam("of_receiver"), posted.c.story == bindparam("of_story"))
)
FORGET_RECEIVERS = delete(receivers).where(receivers.c.name.not_in(bindparam("names", expanding=True)))

# --- writes: retention ---

_finished = (
    select(deliveries.c.id)
    .where(and_(deliveries.c.state != text("'pending'"), deliveries.c.finished_at < bindparam("cutoff", type_=Time)))
    .limit(bindparam("most"))
)
PRUNE_DELIVERIES = delete(deliveries).where(deliveries.c.id.in_(_finished))
_done = (
    select(events.c.seq)
    .where(
        and_(
            events.c.seen_at < bindparam("cutoff", type_=Time),
            not_(select(deliveries.c.id).where(deliveries.c.event_id == events.c.id).exists()),
            # What is open is told of again, however old its last event is.
            or_(
                events.c.incident_id.is_(None),
                events.c.incident_id.not_in(select(incidents.c.id).where(incidents.c.open)),
            ),
        )
    )
    .limit(bindparam("most"))
)
PRUNE_EVENTS = delete(events).where(events.c.seq.in_(_done))
# As `rows.run_story` names it.
_followed_story = (
    literal(RUN_STORY)
    + cast(snapshots.c.run_id, String)
    + literal(":")
    + cast(snapshots.c.sync_id, String)
    + literal(":")
    + snapshots.c.workspace
)
_old_posted = and_(
    posted.c.changed_at < bindparam("cutoff", type_=Time),
    posted.c.story.not_in(select(incidents.c.id).where(incidents.c.open)),
    posted.c.story.not_in(select(_followed_story).where(snapshots.c.followed)),
    not_(
        select(deliveries.c.id)
        .where(
            and_(
                deliveries.c.state == text("'pending'"),
                deliveries.c.receiver == posted.c.receiver,
                deliveries.c.story == posted.c.story,
            )
        )
        .exists()
    ),
)
PRUNE_POSTED = delete(posted).where(_old_posted)
_old_alert = census_alerts.c.seen_at < bindparam("cutoff", type_=Time)
PRUNE_ALERTS = delete(census_alerts).where(_old_alert)
_later = incidents.alias("later")
# The newest of a sync's check stays: it says up to where results are of an incident that is over.
_old_incident = and_(
    not_(incidents.c.open),
    incidents.c.resolved_at < bindparam("cutoff", type_=Time),
    select(_later.c.seq)
    .where(
        and_(
            _later.c.workspace == incidents.c.workspace,
            _later.c.sync_id == incidents.c.sync_id,
            _later.c.check == incidents.c.check,
            _later.c.seq > incidents.c.seq,
        )
    )
    .exists(),
)
PRUNE_INCIDENTS = delete(incidents).where(_old_incident)
KEPT_SNAPSHOTS = 100  # of each sync, however old: what an answer of the API may still show
_newest = (
    select(snapshots.c.id)
    .where(_here(snapshots))
    .order_by(snapshots.c.created_at.desc(), snapshots.c.id.desc())
    .limit(KEPT_SNAPSHOTS)
)
_old = and_(
    _here(snapshots),
    not_(snapshots.c.followed),
    snapshots.c.changed_at < bindparam("cutoff", type_=Time),
    snapshots.c.id.not_in(_newest),
)
RAISE_FLOOR = (
    update(syncs)
    .where(_here(syncs))
    .values(
        floor=func.max(
            func.coalesce(syncs.c.floor, bindparam("new_floor", type_=Time)),
            func.coalesce(bindparam("new_floor", type_=Time), syncs.c.floor),
        )
    )
)
OLD_SNAPSHOTS = select(func.count().label("number"), func.max(snapshots.c.created_at).label("newest")).where(_old)
PRUNE_SNAPSHOTS = delete(snapshots).where(_old)

_OF_WORKSPACE = [delete(t).where(t.c.workspace == bindparam("of_workspace")) for t in (syncs, snapshots, run_watches)]
FORGET_WORKSPACE = [*_OF_WORKSPACE, delete(workspaces).where(workspaces.c.name == bindparam("of_workspace"))]

WRITES: tuple[Executable, ...] = (
    SAVE_WORKER,
    *FORGET_WORKSPACE,
    SAVE_WORKSPACE,
    SAVE_LISTED_SYNC,
    SAVE_SHOWN_SYNC,
    MOVE_MARK,
    NOTE_GAP,
    SAVE_SNAPSHOT,
    UNMARK_OUTLIER,
    TAKE_NEW_LEVEL,  # before what is unusual at that level
    MARK_OUTLIER,
    SAVE_STANDING,
    SAVE_UNREAD,
    UNFOLLOW,
    FORGET_SNAPSHOTS,  # after what a poll under way may still have found of the sync
    FORGET_SYNC,
    DROP_RUN_WATCH,
    SAVE_RUN_WATCH,
    SAVE_INCIDENT,
    ADD_ALERT,
    ADD_EVENT,
    ADD_DELIVERY,
    BEGIN_ATTEMPT,
    SETTLE,
    FORGET_POSTED,
    SAVE_POSTED,
    ABANDON,
    FORGET_RECEIVERS,
    SAVE_RECEIVER,
    PRUNE_DELIVERIES,
    PRUNE_EVENTS,
    PRUNE_POSTED,
    PRUNE_INCIDENTS,
    PRUNE_ALERTS,
    RAISE_FLOOR,
    PRUNE_SNAPSHOTS,
)

# --- reads ---

SYNCS = select(syncs).where(syncs.c.workspace == bindparam("workspace")).order_by(syncs.c.sync_id)
WORKSPACES = select(workspaces)
SNAPSHOTS = select(snapshots).where(
    and_(
        snapshots.c.workspace == bindparam("workspace"),
        snapshots.c.run_id.in_(bindparam("run_ids", expanding=True)),
    )
)
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
    .order_by(snapshots.c.created_at.desc(), snapshots.c.id.desc())
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
    .order_by(snapshots.c.created_at.desc(), snapshots.c.id.desc())
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
    .order_by(snapshots.c.created_at.desc(), snapshots.c.id.desc())
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
RECEIVERS = select(receivers)
_pending = (
    select(deliveries)
    .where(
        and_(
            deliveries.c.state == text("'pending'"),
            deliveries.c.receiver == bindparam("receiver"),
            deliveries.c.id > bindparam("after"),
        )
    )
    .order_by(deliveries.c.id)
    .limit(bindparam("most"))
)
PENDING = _pending
PENDING_IN_LANE = _pending.where(and_(_here(deliveries), deliveries.c.id <= bindparam("upto")))
# Literals, not parameters: SQLite then sees that its partial indexes answer the question. Of those that wait, the first
# is the oldest.
_waiting = (
    select(deliveries.c.receiver, func.count().label("number"), func.min(deliveries.c.id).label("first"))
    .where(deliveries.c.state == text("'pending'"))
    .group_by(deliveries.c.receiver)
    .subquery()
)
WAITING = select(_waiting.c.receiver, _waiting.c.number, deliveries.c.created_at).join(
    deliveries, deliveries.c.id == _waiting.c.first
)
DEAD = (
    select(deliveries.c.receiver, func.count().label("number"))
    .where(deliveries.c.state == text("'dead'"))
    .group_by(deliveries.c.receiver)
)
OPEN_INCIDENTS = (
    select(incidents.c.workspace, incidents.c.check, func.count().label("number"))
    .where(incidents.c.open)
    .group_by(incidents.c.workspace, incidents.c.check)
)
COUNT_PENDING = select(func.count()).select_from(deliveries).where(deliveries.c.state == text("'pending'"))
EVENT = (
    select(events.c.id, events.c.type, events.c.body, deliveries.c.mentions)
    .select_from(
        events.outerjoin(
            deliveries, and_(deliveries.c.event_id == events.c.id, deliveries.c.receiver == bindparam("receiver"))
        )
    )
    .where(events.c.id == bindparam("event_id"))
)
# What a living message is made of: the events of a story that wait, what shows the story now, and the incident's newest
# event that tells of a run.
STORY_EVENTS = (
    select(
        events.c.id,
        events.c.type,
        events.c.body,
        events.c.workspace,
        events.c.sync_id,
        events.c.run_id,
        events.c.seq,
        deliveries.c.quiet,
        deliveries.c.mentions,
    )
    .select_from(deliveries.join(events, events.c.id == deliveries.c.event_id))
    .where(deliveries.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(deliveries.c.id)
)
POSTED = select(posted).where(
    and_(posted.c.receiver == bindparam("receiver"), posted.c.story.in_(bindparam("stories", expanding=True)))
)
_of_incident = (
    select(events.c.id, events.c.body, events.c.seq, events.c.run_id)
    .where(events.c.incident_id == bindparam("incident_id"))
    .order_by(events.c.seq.desc())
    .limit(1)
)
INCIDENT_STATE = _of_incident
INCIDENT_RUN = _of_incident.where(events.c.run_id != NONE)
PLACE_OF_EVENT = select(events.c.seq).where(events.c.id == bindparam("event_id"))
CROWDED_SYNCS = (
    select(snapshots.c.workspace, snapshots.c.sync_id)
    .group_by(snapshots.c.workspace, snapshots.c.sync_id)
    .having(func.count() > KEPT_SNAPSHOTS)
)
OLD_STORIES = select(
    select(posted.c.story).where(_old_posted).exists()
    | select(incidents.c.seq).where(_old_incident).exists()
    | select(census_alerts.c.alert_id).where(_old_alert).exists()
)
TOLD_ALERT = select(census_alerts.c.alert_id).where(
    and_(
        census_alerts.c.workspace == bindparam("workspace"),
        census_alerts.c.alert_id == bindparam("alert_id"),
        census_alerts.c.type == bindparam("type"),
    )
)
# By the events' own index: a million finished deliveries have none for their ends, and are not to be read each hour.
LEFT_OVER = select(
    select(deliveries.c.id)
    .select_from(events.join(deliveries, deliveries.c.event_id == events.c.id))
    .where(
        and_(
            events.c.seen_at < bindparam("cutoff", type_=Time),
            deliveries.c.state != text("'pending'"),
            deliveries.c.finished_at < bindparam("cutoff", type_=Time),
        )
    )
    .exists()
    | _done.exists()
)
