"""The statements of delivering: what waits, what became of it, and what receivers show."""

from dataclasses import fields

from sqlalchemy import and_, bindparam, delete, func, select, text, update

from notifier.model.delivery import PendingDelivery
from notifier.store.sql.parts import at_sync, save
from notifier.store.sql.schema import NONE, Time, deliveries, events, posted, receivers

# --- writes ---

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
SAVE_RECEIVER = save(receivers, keep=frozenset({"probe_at"}))  # a command writes that one
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
SAVE_POSTED = save(posted)
FORGET_POSTED = delete(posted).where(
    and_(posted.c.receiver == bindparam("of_receiver"), posted.c.story == bindparam("of_story"))
)
FORGET_RECEIVERS = delete(receivers).where(receivers.c.name.not_in(bindparam("names", expanding=True)))

# --- reads ---

RECEIVERS = select(receivers)
_pending = (
    select(*(deliveries.c[field.name] for field in fields(PendingDelivery)))
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
PENDING_IN_LANE = _pending.where(and_(at_sync(deliveries), deliveries.c.id <= bindparam("upto")))
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
