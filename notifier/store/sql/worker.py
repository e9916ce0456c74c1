"""The statements of the worker as a whole: its sign of life, and what there is to count."""

from sqlalchemy import func, select, text

from notifier.store.sql.parts import save
from notifier.store.sql.schema import deliveries, incidents, worker

SAVE_WORKER = save(worker)
LAST_SEEN = select(worker.c.last_seen_at)

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
