"""Our values as the database's rows, and back."""

import json
from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Row

from notifier.model.api_version import ApiVersion
from notifier.model.delivery import DeliveryState, PendingDelivery, ReceiverState, Settlement
from notifier.model.event import CensusAlert, EventType
from notifier.model.hints import Hints
from notifier.model.identity import Id, id_of
from notifier.model.incident import Check, CountedTo, Incident, Reason
from notifier.model.measure import Measure, Said, measure_json, measure_of
from notifier.model.notice import Notice
from notifier.model.run import GoodRun, Records, Result, Snapshot, Watched
from notifier.model.sync import Mark, RunWatch, Standing, WatchedSync, WorkspaceState
from notifier.store.sql.schema import NONE

ALERT_TYPES: Final = (EventType.CENSUS_ALERT_RAISED, EventType.CENSUS_ALERT_RESOLVED)
POLL: Final = "poll"
"""The kind of a hint that says no more than that its sync should be looked at."""


def workspace_of(row: Row[Any]) -> WorkspaceState:
    return WorkspaceState(
        name=row.name,
        ok=row.ok,
        last_error=row.last_error,
        last_polled_at=row.last_polled_at,
        first_listed_at=row.first_listed_at,
        stretch=row.stretch,
        needed_rate=row.needed_rate,
        silent_since=row.silent_since,
        listed_at=row.listed_at,
        unlisted_since=row.unlisted_since,
        doubted_since=row.doubted_since,
        refusals=row.refusals,
        app_url=row.app_url,
        api=ApiVersion(row.api) if row.api is not None else None,
        source=row.source,
        hints=Hints(row.hints) if row.hints is not None else None,
        announced=row.announced,
        requests_per_minute=row.requests_per_minute,
    )


def workspace_row(state: WorkspaceState) -> dict[str, Any]:
    return {
        "name": state.name,
        "ok": state.ok,
        "last_error": state.last_error,
        "last_polled_at": state.last_polled_at,
        "first_listed_at": state.first_listed_at,
        "stretch": state.stretch,
        "needed_rate": state.needed_rate,
        "silent_since": state.silent_since,
        "listed_at": state.listed_at,
        "unlisted_since": state.unlisted_since,
        "doubted_since": state.doubted_since,
        "refusals": state.refusals,
        "app_url": state.app_url,
        "api": state.api,
        "source": state.source,
        "hints": state.hints,
        "announced": state.announced,
        "requests_per_minute": state.requests_per_minute,
    }


def watched_sync_of(row: Row[Any]) -> WatchedSync:
    return WatchedSync(
        sync_id=row.sync_id,
        label=row.label,
        watched=row.watched,
        mark=Mark(row.mark_run_id, row.mark_created_at, row.floor) if row.marked else None,
        missing_listings=row.missing_listings,
        standing=Standing(row.paused, row.scheduled, row.stale_from),
        deleted=row.deleted,
        unread_since=row.unread_since,
    )


def standing_row(workspace: str, sync_id: Id, standing: Standing) -> dict[str, Any]:
    return {
        "of_workspace": workspace,
        "of_sync_id": sync_id,
        "new_paused": standing.paused,
        "new_scheduled": standing.scheduled,
        "new_stale_from": standing.stale_from,
    }


def run_watch_of(row: Row[Any]) -> RunWatch:
    return RunWatch(row.sync_id, row.ended_at is not None, row.misses, row.missing_since)


def snapshot_of(row: Sequence[Any]) -> Snapshot:
    """By the places of the statement's columns: a poll that shows a change reads five of them."""
    run_id, sync_id, status, canceled, error_code, error_message, error_detail, *others = row
    created_at, updated_at, changed_at, followed, completed_at, records_sent, full_sync, counts, api = others
    return Snapshot(
        run_id=run_id,
        sync_id=sync_id,
        watched=Watched(status, canceled, error_code, error_message, error_detail),
        created_at=created_at,
        updated_at=updated_at,
        changed_at=changed_at,
        followed=followed,
        completed_at=completed_at,
        records_sent=records_sent,
        full_sync=full_sync,
        counts=_counts(counts),
        api=ApiVersion(api or ApiVersion.V1),  # before there was a column, there was one version
    )


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
        "api": snapshot.api,
    }


def _counts(text: str | None) -> Records | None:
    return None if text is None else Records(*orjson.loads(text))


def _counts_text(counts: Records | None) -> str | None:
    return None if counts is None else orjson.dumps([counts.sent, counts.rejected, counts.invalid]).decode()


def stored_result(row: Row[Any]) -> Result:
    return Result(
        run_id=row.run_id,
        created_at=row.created_at,
        completed=row.status == "completed",
        completed_at=row.completed_at or row.updated_at,
        records_sent=row.records_sent,
        outlier=row.outlier,
    )


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
        measure=_measure(row),
        reminders=row.reminders,
        reminded_at=row.reminded_at,
        told=frozenset(json.loads(row.told)),
        resolved_at=row.resolved_at,
        reason=Reason(row.reason) if row.reason else None,
        counted_to=CountedTo(row.counted_run_id, row.counted_to) if row.counted_to else None,
        wrong=row.wrong,
    )


def _measure(row: Row[Any]) -> Measure | None:
    """What an older version wrote has a sentence, and nothing else."""
    if row.measure is not None:
        return measure_of(json.loads(row.measure))
    return Said(row.summary) if row.summary is not None else None


def _measure_text(measure: Measure | None) -> str | None:
    found = measure_json(measure)
    return json.dumps(found) if found is not None else None


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
        "measure": _measure_text(incident.measure),
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


def hint_key(workspace: str, notice: Notice) -> dict[str, Any]:
    """What makes a webhook the same one while what was kept of it waits: all polls of a sync are one."""
    alert = notice.alert
    kind = POLL if alert is None else f"{alert.type}:{alert.id}"
    return {"workspace": workspace, "sync_id": notice.sync_id, "kind": kind}


def hint_row(workspace: str, notice: Notice) -> dict[str, Any]:
    alert = None if notice.alert is None else orjson.dumps(notice.alert)
    return {**hint_key(workspace, notice), "alert": alert}


def hint_of(row: Row[Any]) -> Notice | None:
    """None for what can't be read: another version may have written it."""
    if row.alert is None:
        return Notice(row.sync_id) if row.kind == POLL else None
    try:
        said = orjson.loads(row.alert)
        return Notice(row.sync_id, _alert_of(said))
    except (orjson.JSONDecodeError, TypeError, ValueError, KeyError):
        return None


def _alert_of(said: dict[str, Any]) -> CensusAlert:
    """Fields that this version does not know are left out. Raises TypeError, ValueError, KeyError."""
    kind, run_id = EventType(said["type"]), said.get("run_id")
    words = {name: said.get(name) for name in ("kind", "message", "details", "url")}
    are_words = all(isinstance(word, str | None) for word in words.values())
    is_id = isinstance(said["id"], int | str) and not isinstance(said["id"], bool)
    if not (are_words and is_id and kind in ALERT_TYPES) or id_of(run_id) != run_id:
        raise ValueError("not an alert as this version writes them")
    return CensusAlert(id=said["id"], type=kind, run_id=run_id, **words)


def pending_of(row: Sequence[Any]) -> PendingDelivery:
    """The columns of the statement are the fields, in their order."""
    return PendingDelivery(*row)


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


def mentions_of(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(" ")) if text else ()


def receiver_of(row: Row[Any]) -> ReceiverState:
    return ReceiverState(
        name=row.name,
        broken_since=row.broken_since,
        last_error=row.last_error,
        last_accepted_at=row.last_accepted_at,
        hold_until=row.hold_until,
        probe_at=row.probe_at,
        note=row.note,
        failed_since=row.failed_since,
        failing=row.failing,
    )


def receiver_row(state: ReceiverState) -> dict[str, Any]:
    return {
        "name": state.name,
        "broken_since": state.broken_since,
        "last_error": state.last_error,
        "last_accepted_at": state.last_accepted_at,
        "hold_until": state.hold_until,
        "probe_at": state.probe_at,
        "note": state.note,
        "failed_since": state.failed_since,
        "failing": state.failing,
    }
