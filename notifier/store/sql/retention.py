"""The statements of retention: what is old, and its removal."""

from sqlalchemy import ColumnElement, String, and_, bindparam, delete, func, literal, not_, or_, select, text, update

from notifier.model.event import RUN_STORY
from notifier.model.identity import Id
from notifier.store.sql.parts import at_sync, later_of
from notifier.store.sql.schema import Time, census_alerts, deliveries, events, incidents, posted, snapshots, syncs

# --- writes ---

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


def _in_story(identity: ColumnElement[Id]) -> ColumnElement[str]:
    """As `run_story` writes it."""
    return func.replace(func.replace(identity, "%", "%25", type_=String), ":", "%3A", type_=String)


_followed_story = (
    literal(RUN_STORY)
    + _in_story(snapshots.c.run_id)
    + literal(":")
    + _in_story(snapshots.c.sync_id)
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
    .where(at_sync(snapshots))
    .order_by(snapshots.c.created_at.desc().nulls_last(), snapshots.c.id.desc())
    .limit(KEPT_SNAPSHOTS)
)
_old = and_(
    at_sync(snapshots),
    not_(snapshots.c.followed),
    snapshots.c.changed_at < bindparam("cutoff", type_=Time),
    snapshots.c.id.not_in(_newest),
)
RAISE_FLOOR = (
    update(syncs).where(at_sync(syncs)).values(floor=later_of(syncs.c.floor, bindparam("new_floor", type_=Time)))
)
OLD_SNAPSHOTS = select(func.count().label("number"), func.max(snapshots.c.created_at).label("newest")).where(_old)
PRUNE_SNAPSHOTS = delete(snapshots).where(_old)

# --- reads ---

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
