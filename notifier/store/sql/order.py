"""The order in which one transaction runs what writes, whoever asked for what: parents before children."""

from sqlalchemy import Executable

from notifier.store.sql import delivering, replicas, retention, watching, worker

WRITES: tuple[Executable, ...] = (
    worker.SAVE_WORKER,
    *watching.FORGET_WORKSPACE,
    watching.SAVE_WORKSPACE,
    watching.SAVE_LISTED_SYNC,
    watching.SAVE_SHOWN_SYNC,
    watching.MOVE_MARK,
    watching.NOTE_GAP,
    watching.SAVE_SNAPSHOT,
    watching.UNMARK_OUTLIER,
    watching.TAKE_NEW_LEVEL,  # before what is unusual at that level
    watching.MARK_OUTLIER,
    watching.SAVE_STANDING,
    watching.SAVE_UNREAD,
    watching.UNFOLLOW,
    watching.FORGET_SNAPSHOTS,  # after what a poll under way may still have found of the sync
    watching.FORGET_SYNC,
    watching.DROP_RUN_WATCH,
    watching.SAVE_RUN_WATCH,
    watching.SAVE_INCIDENT,
    watching.ADD_ALERT,
    watching.ADD_EVENT,
    watching.ADD_DELIVERY,
    replicas.ADD_HINT,
    replicas.FORGET_HINT,
    replicas.SAVE_LISTING,
    *replicas.FORGET_WORKSPACE,
    delivering.BEGIN_ATTEMPT,
    delivering.SETTLE,
    delivering.FORGET_POSTED,
    delivering.SAVE_POSTED,
    delivering.ABANDON,
    delivering.FORGET_RECEIVERS,
    delivering.SAVE_RECEIVER,
    retention.PRUNE_DELIVERIES,
    retention.PRUNE_EVENTS,
    retention.PRUNE_POSTED,
    retention.PRUNE_INCIDENTS,
    retention.PRUNE_ALERTS,
    retention.RAISE_FLOOR,
    retention.PRUNE_SNAPSHOTS,
)
