"""All that one observation writes, as rows of its statements."""

from collections.abc import Iterator
from typing import Any

from notifier.model.delivery import DeliveryState
from notifier.model.event import Addressee, Event, Observation
from notifier.store.sql import watching as sql
from notifier.store.sql.parts import Group
from notifier.store.sql.rows import alert_key, incident_row, snapshot_row, standing_row
from notifier.store.sql.schema import NONE


def observation_rows(seen: Observation) -> list[Group]:
    """The statements with their rows; the store runs them in its own order."""
    return [*_of_sync(seen), *_of_runs(seen), *_of_events(seen)]


def _of_sync(seen: Observation) -> Iterator[Group]:
    here = {"of_workspace": seen.workspace, "of_sync_id": seen.sync_id}
    if (mark := seen.mark) is not None:
        moved = {"mark_run_id": mark.run_id, "mark_created_at": mark.created_at, "floor": mark.floor}
        yield sql.MOVE_MARK, [{**_key(seen), "label": seen.label, **moved}]
    if (gap := seen.gap) is not None:
        noted = {"new_gap_noticed_at": gap.noticed_at, "new_gap_oldest_run_id": gap.oldest_reported_run_id}
        yield sql.NOTE_GAP, [{**here, **noted}]
    if seen.new_level_from is not None:
        yield sql.TAKE_NEW_LEVEL, [{**here, "level_from": seen.new_level_from}]
    if seen.standing is not None and seen.sync_id is not None:
        yield sql.SAVE_STANDING, [standing_row(seen.workspace, seen.sync_id, seen.standing)]


def _of_runs(seen: Observation) -> Iterator[Group]:
    yield sql.SAVE_SNAPSHOT, [snapshot_row(seen.workspace, snapshot) for snapshot in seen.snapshots]
    yield sql.MARK_OUTLIER, [{"of_workspace": seen.workspace, "of_run_id": run_id} for run_id in seen.outliers]
    yield sql.UNMARK_OUTLIER, [{"of_workspace": seen.workspace, "of_run_id": run_id} for run_id in seen.regulars]


def _of_events(seen: Observation) -> Iterator[Group]:
    key = _key(seen)
    yield sql.SAVE_INCIDENT, [incident_row(incident) for incident in seen.incidents]
    if seen.alert is not None:
        yield sql.ADD_ALERT, [{**alert_key(seen.workspace, seen.alert), "seen_at": seen.events[0].seen_at}]
    yield sql.ADD_EVENT, [{**key, **_event_row(event)} for event in seen.events]
    yield sql.ADD_DELIVERY, [{**key, **_delivery_row(event, to)} for event in seen.events for to in event.addressees]


def _key(seen: Observation) -> dict[str, Any]:
    return {"workspace": seen.workspace, "sync_id": seen.sync_id or NONE}


def _event_row(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": event.type,
        "run_id": event.run_id or NONE,
        "seen_at": event.seen_at,
        "body": event.body,
        "incident_id": event.incident_id,
    }


def _delivery_row(event: Event, to: Addressee) -> dict[str, Any]:
    return {
        "event_id": event.id,
        "event_type": event.type,
        "receiver": to.receiver,
        "state": DeliveryState.PENDING,
        "created_at": event.seen_at,
        "next_attempt_at": event.seen_at,
        "clock_started_at": event.seen_at,
        "story": to.story,
        "quiet": to.quiet,
        "mentions": " ".join(to.mentions) or None,
    }
