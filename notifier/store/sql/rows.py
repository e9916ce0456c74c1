"""Our values as the database's rows, and back."""

import json
from typing import Any

from sqlalchemy import Executable, Row

from notifier.model.delivery import DeliveryState, PendingDelivery, ReceiverState, Settlement
from notifier.model.event import CensusAlert, Observation
from notifier.model.incident import Check, CountedTo, Incident, Reason
from notifier.model.run import GoodRun, Records, Result, Snapshot, Watched
from notifier.model.sync import Standing
from notifier.store.sql import order as sql
from notifier.store.sql.schema import NONE


def snapshot_of(row: Row[Any]) -> Snapshot:
    return Snapshot(
        run_id=row.run_id,
        sync_id=row.sync_id,
        watched=Watched(row.status, row.canceled, row.error_code, row.error_message, row.error_detail),
        created_at=row.created_at,
        updated_at=row.updated_at,
        changed_at=row.changed_at,
        followed=row.followed,
        completed_at=row.completed_at,
        records_sent=row.records_sent,
        full_sync=row.full_sync,
        counts=_counts(row.counts),
    )


def _counts(text: str | None) -> Records | None:
    return None if text is None else Records(*json.loads(text))


def result_of(row: Row[Any]) -> Result:
    return Result(
        run_id=row.run_id,
        created_at=row.created_at,
        completed=row.status == "completed",
        completed_at=row.completed_at or row.updated_at,
        records_sent=row.records_sent,
        outlier=row.outlier,
    )


def mentions_of(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(" ")) if text else ()


def incident_of(row: Row[Any]) -> Incident:
    good = row.last_good_run_id
    return Incident(
        id=row.id,
        workspace=row.workspace,
        sync_id=None if row.sync_id == NONE else row.sync_id,
        sync_label=row.sync_label,
        check=Check(row.check),
        opened_at=row.opened_at,
        labels=json.loads(row.labels),
        runs=row.runs,
        last_run_id=row.last_run_id,
        likeness=row.likeness,
        last_good_run=GoodRun(good, row.last_good_run_completed_at) if good is not None else None,
        summary=row.summary,
        reminders=row.reminders,
        reminded_at=row.reminded_at,
        told=frozenset(json.loads(row.told)),
        resolved_at=row.resolved_at,
        reason=Reason(row.reason) if row.reason else None,
        counted_to=CountedTo(row.counted_run_id, row.counted_to) if row.counted_to else None,
        wrong=row.wrong,
    )


def incident_row(incident: Incident) -> dict[str, Any]:
    good, counted_to = incident.last_good_run, incident.counted_to
    return {
        "id": incident.id,
        "workspace": incident.workspace,
        "sync_id": incident.sync_id or NONE,
        "sync_label": incident.sync_label,
        "check": incident.check,
        "open": incident.is_open,
        "opened_at": incident.opened_at,
        "labels": json.dumps(dict(incident.labels)),
        "runs": incident.runs,
        "last_run_id": incident.last_run_id,
        "likeness": incident.likeness,
        "last_good_run_id": good.id if good else None,
        "last_good_run_completed_at": good.completed_at if good else None,
        "summary": incident.summary,
        "reminders": incident.reminders,
        "reminded_at": incident.reminded_at,
        "told": json.dumps(sorted(incident.told)),
        "resolved_at": incident.resolved_at,
        "reason": incident.reason,
        "counted_to": counted_to.created_at if counted_to else None,
        "counted_run_id": counted_to.run_id if counted_to else None,
        "wrong": incident.wrong,
    }


def alert_key(workspace: str, alert: CensusAlert) -> dict[str, Any]:
    """What makes an alert the same one when its webhook comes again."""
    return {"workspace": workspace, "alert_id": str(alert.id), "type": alert.type}


def standing_row(workspace: str, sync_id: int, standing: Standing) -> dict[str, Any]:
    return {
        "of_workspace": workspace,
        "of_sync_id": sync_id,
        "new_paused": standing.paused,
        "new_scheduled": standing.scheduled,
        "new_stale_from": standing.stale_from,
    }


def pending_of(row: Row[Any]) -> PendingDelivery:
    return PendingDelivery(**{name: getattr(row, name) for name in PendingDelivery.__slots__})


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


def snapshot_row(workspace: str, snapshot: Snapshot) -> dict[str, Any]:
    watched = snapshot.watched
    return {
        "workspace": workspace,
        "sync_id": snapshot.sync_id,
        "run_id": snapshot.run_id,
        "status": watched.status,
        "canceled": watched.canceled,
        "error_code": watched.error_code,
        "error_message": watched.error_message,
        "error_detail": watched.error_detail,
        "counted": watched.is_counted,
        "followed": snapshot.followed,
        "created_at": snapshot.created_at,
        "updated_at": snapshot.updated_at,
        "changed_at": snapshot.changed_at,
        "completed_at": snapshot.completed_at,
        "records_sent": snapshot.records_sent,
        "full_sync": snapshot.full_sync,
        "counts": _counts_text(snapshot.counts),
    }


def _counts_text(counts: Records | None) -> str | None:
    return None if counts is None else json.dumps([counts.sent, counts.rejected, counts.invalid])


def receiver_row(state: ReceiverState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in ReceiverState.__slots__}


def settlement_row(settlement: Settlement) -> dict[str, Any]:
    finished = settlement.state is not DeliveryState.PENDING
    return {
        "of_id": settlement.delivery_id,
        "new_state": settlement.state,
        "new_attempts": settlement.attempts,
        "new_next_attempt_at": settlement.next_attempt_at,
        "new_first_failed_at": settlement.first_failed_at,
        "new_aside": settlement.aside,
        "new_finished_at": settlement.settled_at if finished else None,
        "new_last_error": settlement.last_error,
        "new_maybe_sent_at": settlement.maybe_sent_at,
    }
