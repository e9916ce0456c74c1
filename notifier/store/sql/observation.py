"""All that one observation writes, as rows of its statements."""

from typing import Any

from sqlalchemy import Executable

from notifier.model.delivery import DeliveryState
from notifier.model.event import Observation
from notifier.store.sql import watching as sql
from notifier.store.sql.rows import alert_key, incident_row, snapshot_row, standing_row
from notifier.store.sql.schema import NONE


def observation_rows(seen: Observation) -> list[tuple[Executable, list[dict[str, Any]]]]:
    key = {"workspace": seen.workspace, "sync_id": seen.sync_id or NONE}
    here = {"of_workspace": seen.workspace, "of_sync_id": seen.sync_id}
    rows: list[tuple[Executable, list[dict[str, Any]]]] = []
    if seen.mark is not None:
        mark = {"mark_run_id": seen.mark.run_id, "mark_created_at": seen.mark.created_at, "floor": seen.mark.floor}
        rows.append((sql.MOVE_MARK, [{**key, "label": seen.label, **mark}]))
    if seen.gap is not None:
        gap = {
            "new_gap_noticed_at": seen.gap.noticed_at,
            "new_gap_oldest_run_id": seen.gap.oldest_reported_run_id,
        }
        rows.append((sql.NOTE_GAP, [{**here, **gap}]))
    rows.append((sql.SAVE_SNAPSHOT, [snapshot_row(seen.workspace, snapshot) for snapshot in seen.snapshots]))
    rows.append((sql.MARK_OUTLIER, [{"of_workspace": seen.workspace, "of_run_id": run_id} for run_id in seen.outliers]))
    regulars = [{"of_workspace": seen.workspace, "of_run_id": run_id} for run_id in seen.regulars]
    rows.append((sql.UNMARK_OUTLIER, regulars))
    if seen.new_level_from is not None:
        rows.append((sql.TAKE_NEW_LEVEL, [{**here, "level_from": seen.new_level_from}]))
    if seen.standing is not None and seen.sync_id is not None:
        rows.append((sql.SAVE_STANDING, [standing_row(seen.workspace, seen.sync_id, seen.standing)]))
    rows.append((sql.SAVE_INCIDENT, [incident_row(incident) for incident in seen.incidents]))
    if seen.alert is not None:
        rows.append((sql.ADD_ALERT, [{**alert_key(seen.workspace, seen.alert), "seen_at": seen.events[0].seen_at}]))
    rows.append(
        (
            sql.ADD_EVENT,
            [
                {
                    **key,
                    "id": e.id,
                    "type": e.type,
                    "run_id": e.run_id or NONE,
                    "seen_at": e.seen_at,
                    "body": e.body,
                    "incident_id": e.incident_id,
                }
                for e in seen.events
            ],
        )
    )
    rows.append(
        (
            sql.ADD_DELIVERY,
            [
                {
                    **key,
                    "event_id": e.id,
                    "event_type": e.type,
                    "receiver": to.receiver,
                    "state": DeliveryState.PENDING,
                    "created_at": e.seen_at,
                    "next_attempt_at": e.seen_at,
                    "clock_started_at": e.seen_at,
                    "story": to.story,
                    "quiet": to.quiet,
                    "mentions": " ".join(to.mentions) or None,
                }
                for e in seen.events
                for to in e.addressees
            ],
        )
    )
    return rows
