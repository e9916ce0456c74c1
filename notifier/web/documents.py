"""What the commands' --json and the server's JSON show, in one shape for both."""

import json
from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

from notifier.judging.body import incident_json
from notifier.model.api_version import retires_on
from notifier.model.event import EventType
from notifier.model.identity import Id, sync_page
from notifier.model.incident import Incident
from notifier.model.times import timestamp
from notifier.store.views.overview import ReceiverView, WorkspaceView
from notifier.store.views.status import ReplicaView, Status, SyncView
from notifier.watchlist.reading.wording import closest

if TYPE_CHECKING:
    from notifier.store.views.deliveries import DeliveryView
    from notifier.store.views.events import EventView
    from notifier.watchlist.models import Workspace

Document = dict[str, Any]


class SyncOfList(Protocol):
    """A sync of a workspace's list, read just now or known from another worker's reading."""

    @property
    def id(self) -> Id: ...
    @property
    def label(self) -> str | None: ...
    @property
    def status(self) -> str | None: ...
    @property
    def paused(self) -> bool: ...


def status_document(view: Status, running: bool) -> Document:
    worker = view.worker
    return {
        "worker": {
            "running": running,
            "version": worker.version if worker else None,
            "started_at": _time(worker.started_at if worker else None),
            "last_seen_at": _time(worker.last_seen_at if worker else None),
        },
        "replicas": [_replica(replica) for replica in view.replicas],
        "workspaces": [_workspace(workspace) for workspace in view.workspaces],
        "syncs": [_watched_sync(sync) for sync in view.syncs],
        "receivers": [_receiver(receiver) for receiver in view.receivers],
    }


def _replica(view: ReplicaView) -> Document:
    return {
        "name": view.name,
        "version": view.version,
        "started_at": _time(view.started_at),
        "last_seen_at": _time(view.last_seen_at),
        "parts": list(view.parts),
        "standing_by": view.standing_by,
    }


def sync_document(workspace: str, sync: SyncOfList, watched: bool) -> Document:
    """A sync as Census lists it."""
    return {
        "workspace": workspace,
        "id": sync.id,
        "label": sync.label,
        "status": sync.status,
        "paused": sync.paused,
        "watched": watched,
    }


def event_document(event: "EventView") -> Document:
    return {"id": event.id, **json.loads(event.body)}


def delivery_document(delivery: "DeliveryView") -> Document:
    values = {name: getattr(delivery, name) for name in delivery.__slots__}
    return {name: timestamp(value) if isinstance(value, datetime) else value for name, value in values.items()}


def incident_document(incident: Incident, workspaces: "Mapping[str, Workspace]") -> Document:
    """`workspaces`: those of the watchlist, which say where links lead."""
    return {
        **incident_json(incident),
        "summary": incident.summary,
        "workspace": incident.workspace,
        "sync": _sync_of(incident, workspaces.get(incident.workspace)),
    }


def types_named(pattern: str) -> list[EventType]:
    """The types of events that a name or a glob means. ValueError says what may have been meant."""
    found = [known for known in EventType if fnmatchcase(known, pattern)]
    if not found:
        words = {known.rpartition(".")[2]: known for known in EventType}
        meant = closest(pattern.rpartition(".")[2], words)  # with their prefix, many are much alike
        remedy = f'did you mean "{words[meant]}"?' if meant else f"there are {', '.join(EventType)}"
        raise ValueError(f'no event has the type "{pattern}"; {remedy}')
    return found


def _workspace(workspace: WorkspaceView) -> dict[str, Any]:
    stretched = (
        {"intervals_stretched_by": workspace.stretch, "needed_requests_per_second": workspace.needed_rate}
        if workspace.stretch > 1
        else {}
    )
    end = retires_on(workspace.api)
    return {
        "name": workspace.name,
        "ok": workspace.ok,
        "last_error": workspace.last_error,
        "last_polled_at": _time(workspace.last_polled_at),
        "api": workspace.api,
        "retires_on": end.isoformat() if end is not None else None,
        "hints": workspace.hints,
        "requests_per_minute": workspace.requests_per_minute,
        **stretched,
    }


def _watched_sync(sync: SyncView) -> dict[str, Any]:
    gap = (
        {"gap": {"noticed_at": _time(sync.gap_noticed_at), "oldest_reported_run_id": sync.gap_oldest_reported_run_id}}
        if sync.gap_noticed_at
        else {}
    )
    run = sync.newest_run
    newest = run and {
        "id": run.id,
        "status": run.status,
        "error_code": run.error_code,
        "updated_at": _time(run.updated_at),
    }
    known = {"workspace": sync.workspace, "id": sync.id, "label": sync.label}
    return {**known, "newest_run": newest, "last_error": sync.last_error, **gap}


def _receiver(receiver: ReceiverView) -> dict[str, Any]:
    return {
        "name": receiver.name,
        "ok": receiver.works,
        "last_error": receiver.last_error,
        "pending": receiver.pending,
        "dead": receiver.dead,
    }


def _sync_of(incident: Incident, workspace: "Workspace | None") -> dict[str, Any] | None:
    """As in a webhook's body; without a link where the watchlist no longer says to which host."""
    if incident.sync_id is None:
        return None
    url = sync_page(workspace.app_url, incident.sync_id) if workspace is not None else None
    return {"id": incident.sync_id, "label": incident.sync_label, "url": url}


def _time(time: datetime | None) -> str | None:
    return None if time is None else timestamp(time)
